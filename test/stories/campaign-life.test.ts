import { afterEach, beforeEach, expect, test } from "vitest";
import { closeDue } from "../../src/flow/campaign/close.ts";
import { pause, resume, start, stop } from "../../src/flow/campaign/control.ts";
import { createCampaign } from "../../src/flow/campaign/create.ts";
import type { CampaignRef } from "../../src/flow/campaign/deps.ts";
import { planDue } from "../../src/flow/campaign/plan.ts";
import { readCampaign, readStats } from "../../src/flow/campaign/read.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { type Crew, crew } from "../support/crew.ts";
import { seedList } from "../support/seed.ts";
import { type Town, town } from "../support/town.ts";

const PEOPLE = 400;

let place: Town;
let hands: Crew;
beforeEach(async () => {
  place = await town({ perSecond: 20 });
  hands = crew(place, { latencyMs: 40 });
});
afterEach(async () => {
  await hands.stop();
  expect(place.errors).toEqual([]);
  await place.close();
});

const deps = () => ({ sql: place.sql, clock: place.clock, luck: systemLuck, enlist: async () => [] });
const reached = () => hands.sent.map((one) => one.address);
const people = Array.from({ length: PEOPLE }, (_, i) => `+91${9_000_000_001 + i}`);
const events = async ({ id }: CampaignRef) =>
  (await place.sql<{ name: string }[]>`select name from event where campaign_id = ${id} order by seq`).map(({ name }) => name);

/** Made from a named list, started by hand and planned by the loop. */
async function underWay(): Promise<CampaignRef> {
  const { workspaceId, senderId } = place;
  const listId = await seedList(place.sql, place, PEOPLE);
  const message = { type: "text", text: "Hi {{ firstName }}, {{ shop }} opens" } as const;
  const throttle = { messagesPerMinute: 600, batchSize: 100 };
  const input = {
    workspaceId,
    senderId,
    surface: "engine",
    name: "Spring",
    message,
    audience: { type: "list", listId },
    throttle,
    variables: { shop: "Bloom" },
  } as const;
  const { id } = await createCampaign(input, deps());
  const ref = { workspaceId, id };
  expect(await start(ref, { atOnce: false }, deps())).toMatchObject({ state: "scheduled" });
  expect(await planDue(10, deps())).toBe(1);
  return ref;
}

test("a campaign is started, paused for a minute and resumed; everybody hears of it once", async () => {
  const ref = await underWay();
  await place.clock.pass(10_000);
  const { inFlight } = await pause(ref, { reason: "a queue at the till" }, deps());
  const before = reached().length;
  expect(before).toBeGreaterThan(40); // ten a second, once the engine has looked
  await place.clock.pass(60_000);
  expect(reached().length).toBeLessThanOrEqual(before + inFlight);
  expect(await readCampaign(place.sql, ref)).toMatchObject({ state: "paused", pauseReason: "a queue at the till" });

  expect(await resume(ref, { atOnce: false }, deps())).toMatchObject({ state: "running" });
  await place.clock.pass(60_000);
  expect([...reached()].sort()).toEqual(people);
  expect(hands.sent[0]?.text).toBe("Hi Person 1, Bloom opens");
  expect(await readCampaign(place.sql, ref)).toMatchObject({
    state: "completed",
    statement: { recipients: PEOPLE, accepted: PEOPLE, failed: 0, skipped: {}, uncertain: 0 },
  });
  expect(await events(ref)).toEqual(["campaign:started", "campaign:paused", "campaign:resumed", "campaign:progress", "campaign:completed"]);
});

test("a campaign that is stopped under way accounts for everybody: who was reached, and who was not", async () => {
  const ref = await underWay();
  await place.clock.pass(15_000);
  const { inFlight } = await stop(ref, deps());
  const before = reached().length;
  await place.clock.pass(60_000);
  await closeDue(10, deps());
  const sent = reached().length;
  expect(sent).toBeLessThanOrEqual(before + inFlight);
  expect(new Set(reached()).size).toBe(sent);
  const { statement } = await readCampaign(place.sql, ref);
  expect(statement).toEqual({ recipients: PEOPLE, accepted: sent, failed: 0, skipped: { stopped: PEOPLE - sent }, uncertain: 0, undelivered: 0 });
  expect(await readStats(place.sql, ref)).toMatchObject({ pending: 0, sent, skipped: { stopped: PEOPLE - sent }, statement });
  expect(await place.sql`select 1 from lot where campaign_id = ${ref.id}`).toHaveLength(0);
});
