import { expect, test } from "vitest";
import { createCampaign } from "../../src/flow/campaign/create.ts";
import { planDue } from "../../src/flow/campaign/plan.ts";
import { rehearsalProvider } from "../../src/flow/provider/rehearsal.ts";
import { ATTEMPTS_MAX } from "../../src/rules/limits.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { seedList } from "../support/seed.ts";
import type { Town } from "../support/town.ts";
import { campaignOf, everybody, openTown, positionsOf, somebodyWaits, statesOf, work } from "./scene.ts";

const RECIPIENTS = 60;

/** A campaign for ten seconds from now. */
async function scheduled(place: Town): Promise<string> {
  const listId = await seedList(place.sql, place, RECIPIENTS);
  const { workspaceId, senderId } = place;
  const schedule = { type: "scheduled", at: new Date(place.clock.now().getTime() + 10_000) } as const;
  const { id } = await createCampaign(
    {
      workspaceId,
      senderId,
      surface: "engine",
      name: "Spring",
      message: { type: "text", text: "Hi" },
      audience: { type: "list", listId },
      throttle: { messagesPerMinute: null },
      schedule,
    },
    { sql: place.sql, clock: place.clock, luck: systemLuck, enlist: async () => [] },
  );
  return id;
}

test("two schedulers, one cut off in the middle of its work and back later: the campaign starts once", async () => {
  const place = await openTown({ perSecond: 40 });
  const id = await scheduled(place);
  await place.clock.pass(10_000);
  const provider = rehearsalProvider({ clock: place.clock });
  let reach = () => {};
  const reached = new Promise<void>((resolve) => {
    reach = resolve;
  });
  let wake = () => {};
  const asleep = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const sleeper = place.engine(provider, {
    before() {},
    after(name) {
      if (name !== "insert recipient") return;
      reach();
      return asleep;
    },
  });
  const cutOff = planDue(10, sleeper).catch((error: unknown) => error);
  await reached;
  sleeper.forget();
  const other = place.engine(provider);
  const planned = planDue(10, other);
  await somebodyWaits(place.sql);
  // As Postgres itself ends a session that says nothing for too long in the middle of a transaction.
  await place.sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`;
  expect(await planned).toBe(1);
  wake();
  expect(await cutOff).toBeInstanceOf(Error);
  expect(await planDue(10, sleeper)).toBe(0);
  const names = await place.sql<{ name: string }[]>`select name from event where campaign_id = ${id} order by seq`;
  expect(names.map(({ name }) => name)).toEqual(["campaign:started"]);
  await Promise.all([sleeper.kill(), other.kill()]);

  const hands = work(place, { engines: 2 });
  await place.clock.pass(10_000);
  expect(positionsOf(hands)).toEqual(everybody(RECIPIENTS));
  expect(await campaignOf(place, id)).toMatchObject({ state: "completed", statement: { accepted: RECIPIENTS } });
});

test("three engines at once send each doubt again once, and complete once", async () => {
  const place = await openTown({ perSecond: 40 });
  const id = await place.campaign({ recipients: 30, onUncertain: "resend" });
  const lost = { kind: "uncertain", code: "no_answer", cause: "no answer" } as const;
  const hands = work(place, {
    engines: 3,
    sweepMs: 20_000,
    outcome: ({ position, attempt }) => (position % 8 === 0 && (attempt === 1 || position === 16) ? lost : undefined),
  });
  await place.clock.pass(40 * 60_000);
  const attempts = (of: number) => hands.sent.filter(({ position }) => position === of).map(({ attempt }) => attempt);
  expect(attempts(8)).toEqual([1, 2]);
  expect(attempts(16)).toEqual(everybody(ATTEMPTS_MAX));
  expect(attempts(24)).toEqual([1, 2]);
  expect(await statesOf(place, id)).toEqual({ accepted: 29, uncertain: 1 });
  const events = await place.sql`select 1 from event where campaign_id = ${id} and name = 'campaign:completed'`;
  expect(events).toHaveLength(1);
});
