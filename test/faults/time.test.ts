import { expect, test } from "vitest";
import { pause, resume } from "../../src/flow/campaign/control.ts";
import { createCampaign } from "../../src/flow/campaign/create.ts";
import { planDue } from "../../src/flow/campaign/plan.ts";
import { senderUsage } from "../../src/flow/provider/sender.ts";
import { LATE_START_MAX_MS } from "../../src/rules/limits.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { busiest } from "../support/crew.ts";
import { seedList } from "../support/seed.ts";
import type { Town } from "../support/town.ts";
import { campaignOf, everybody, openTown, positionsOf, statesOf, work } from "./scene.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const PER_SECOND = 20;

/** From now on the database's clock goes by so much before or behind everybody else's. */
const setDatabaseClock = (place: Town, byMs: number) =>
  place.sql.unsafe(
    `create or replace function campanile.clock() returns timestamptz language sql volatile as $$ select at + ${byMs} * interval '1 ms' from campanile.test_clock $$`,
  );

test.each([
  ["an hour forward", HOUR_MS],
  ["an hour back", -HOUR_MS],
  ["a day forward", DAY_MS],
  ["a day back", -DAY_MS],
])("the database's clock is set %s while a campaign runs: it goes on at its pace, and nobody is written to twice", async (_, byMs) => {
  const place = await openTown({ perSecond: PER_SECOND });
  const id = await place.campaign({ recipients: 200 });
  const hands = work(place, { engines: 2, latencyMs: 100 });
  await place.clock.pass(3_010);
  const before = hands.sent.length;
  await setDatabaseClock(place, byMs);
  await place.clock.pass(4_000);
  expect(hands.sent.length - before, "it does not wait for the hour to pass").toBeGreaterThan(2 * PER_SECOND);
  await place.clock.pass(15_000);
  expect(busiest(hands.sent, 1_000)).toBeLessThanOrEqual(PER_SECOND * 1.05 + 1);
  const { accepted = 0, uncertain = 0 } = await statesOf(place, id);
  expect(accepted + uncertain).toBe(200);
  expect(uncertain, "at most what was marked and not begun").toBeLessThanOrEqual(PER_SECOND / 4);
  expect(positionsOf(hands)).toHaveLength(accepted);
  expect((await campaignOf(place, id)).state).toBe("completed");
});

test("a process whose wall clock is a day wrong, or jumps, sends like any other", async () => {
  const place = await openTown({ perSecond: PER_SECOND });
  const id = await place.campaign({ recipients: 80 });
  const hands = work(place, { engines: 2, latencyMs: 100 });
  const wrong = [DAY_MS, -DAY_MS];
  for (const [i, engine] of hands.engines.entries())
    Object.assign(engine.clock, { now: () => new Date(place.clock.now().getTime() + (wrong[i] ?? 0) * (1 + (place.clock.elapsedMs % 3))) });
  await place.clock.pass(10_000);
  expect(positionsOf(hands)).toEqual(everybody(80));
  expect(busiest(hands.sent, 1_000)).toBeLessThanOrEqual(PER_SECOND * 1.05 + 1);
  expect(await statesOf(place, id)).toEqual({ accepted: 80 });
});

/** Days that are longer or shorter than others, or not there at all; `until` is the first instant of the next day. */
test.each([
  ["Europe/Warsaw", "2026-03-29T11:00:00Z", "2026-03-29T22:00:00Z", "23 hours"],
  ["Europe/Warsaw", "2026-10-25T11:00:00Z", "2026-10-25T23:00:00Z", "25 hours"],
  ["America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-05T02:00:00Z", "begins at 01:00"],
  ["America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z", "whose midnight does not exist follows"],
  ["Australia/Lord_Howe", "2026-04-05T02:00:00Z", "2026-04-05T13:30:00Z", "24 and a half hours"],
  ["Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-30T10:00:00Z", "the 30th was left out"],
  ["Asia/Kathmandu", "2028-02-29T12:00:00Z", "2028-02-29T18:15:00Z", "a leap day"],
  ["Pacific/Kiritimati", "2026-12-31T09:59:59Z", "2026-12-31T10:00:00Z", "ahead of everybody"],
])("a cap per calendar day is free again at midnight in %s, not before (%s to %s: %s)", async (zone, at, until) => {
  const place = await openTown({ cap: 5 });
  const scope = { workspaceId: place.workspaceId, id: place.senderId };
  const usageAt = async (instant: string | number) => {
    await setDatabaseClock(place, new Date(instant).getTime() - place.clock.now().getTime());
    return senderUsage(scope, { sql: place.sql });
  };
  await place.sql`update cap_scope set calendar_zone = ${zone}, used = 5`;
  await place.sql`insert into opening (scope_id, address, last_at) select ${place.scopeId}, '+91900000000' || n, ${new Date(at)} from generate_series(1, 5) n`;
  expect(await usageAt(at)).toMatchObject({ used: 5, nextFreeAt: new Date(until) });
  expect(await usageAt(Date.parse(until) - 1)).toMatchObject({ used: 5, nextFreeAt: new Date(until) });
  expect(await usageAt(until)).toMatchObject({ used: 0, nextFreeAt: null });
  await setDatabaseClock(place, 0);
});

async function scheduled(place: Town, inMs: number): Promise<string> {
  const listId = await seedList(place.sql, place, 20);
  const { workspaceId, senderId } = place;
  const { id } = await createCampaign(
    {
      workspaceId,
      senderId,
      surface: "engine",
      name: "Spring",
      message: { type: "text", text: "Hi" },
      audience: { type: "list", listId },
      throttle: { messagesPerMinute: null },
      schedule: { type: "scheduled", at: new Date(place.clock.now().getTime() + inMs) },
    },
    { sql: place.sql, clock: place.clock, luck: systemLuck, enlist: async () => [] },
  );
  return id;
}

test("nothing ran when a campaign's time came: within the hour it begins, after three days it does not, says so, and begins when it is resumed", async () => {
  const place = await openTown();
  const deps = { sql: place.sql, clock: place.clock, luck: systemLuck };
  const soon = await scheduled(place, 3 * DAY_MS - LATE_START_MAX_MS + 1_000);
  const long = await scheduled(place, 10_000);
  await place.clock.pass(3 * DAY_MS);
  while ((await planDue(10, deps)) > 0);
  expect(await campaignOf(place, soon)).toMatchObject({ state: "running" });
  expect(await campaignOf(place, long)).toMatchObject({
    state: "paused",
    pauseReason: "Nothing ran when its time came, 2026-03-02T09:00:10.000Z; that is 2 days ago. Resume it to send it now all the same, or stop it.",
  });
  const [event] = await place.sql<{ name: string; body: { reason: string } }[]>`select name, body from event where campaign_id = ${long}`;
  expect(event).toMatchObject({ name: "campaign:paused", body: { reason: expect.stringContaining("Nothing ran") } });
  const hands = work(place);
  await place.clock.pass(5_000);
  expect(hands.sent.filter(({ campaignId }) => campaignId === long)).toEqual([]);

  expect(await resume({ workspaceId: place.workspaceId, id: long }, { atOnce: false }, deps)).toMatchObject({ state: "scheduled" });
  expect(await planDue(10, deps)).toBe(1);
  await place.clock.pass(10_000);
  expect(hands.sent.filter(({ campaignId }) => campaignId === long)).toHaveLength(20);
});

test("a campaign that was paused before its time and resumed long after it begins when it is resumed", async () => {
  const place = await openTown();
  const deps = { sql: place.sql, clock: place.clock, luck: systemLuck };
  const id = await scheduled(place, 10_000);
  const ref = { workspaceId: place.workspaceId, id };
  await pause(ref, { reason: null }, deps);
  await place.clock.pass(2 * DAY_MS);
  await resume(ref, { atOnce: false }, deps);
  expect(await planDue(10, deps)).toBe(1);
  expect((await campaignOf(place, id)).state).toBe("running");
});
