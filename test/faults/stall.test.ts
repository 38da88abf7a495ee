import { describe, expect, test } from "vitest";
import { LEASE_MS, RECOVERY_MARGIN_MS } from "../../src/rules/limits.ts";
import type { Town } from "../support/town.ts";
import { campaignOf, everybody, ice, openTown, positionsOf, statesOf, work, writtenTwice } from "./scene.ts";

const RECIPIENTS = 80;
const SWEEP_MS = 5_000;
/** So long nobody may take the lot of a process that is silent. */
const FORSAKEN_MS = LEASE_MS + RECOVERY_MARGIN_MS;

const markOf = async (place: Town, id: string) => {
  const [lot] = await place.sql<
    { handed: number; holder: string | null }[]
  >`select handed, holder from lot where campaign_id = ${id} order by first limit 1`;
  return lot?.handed ?? 0;
};

describe("a process that stands still in the middle of a campaign", () => {
  test("for longer than its lease begins nothing more of what it held; another goes on behind its mark", async () => {
    const place = await openTown({ perSecond: 40 });
    const id = await place.campaign({ recipients: RECIPIENTS });
    const frost = ice();
    const asleep = work(place, { latencyMs: 100, watcher: frost, sweepMs: SWEEP_MS });
    await place.clock.pass(1_010);
    const begun = asleep.sent.length;
    const marked = await markOf(place, id);
    expect(marked, "somebody is marked and not begun, or this shows nothing").toBeGreaterThan(begun);
    frost.freeze();

    const awake = work(place, { latencyMs: 100, sweepMs: SWEEP_MS });
    await place.clock.pass(FORSAKEN_MS - 2_000);
    expect(awake.sent, "the lease is kept").toEqual([]);
    await place.clock.pass(4_000);
    expect(awake.sent[0]?.position, "exactly behind the mark").toBe(marked + 1);
    frost.thaw();
    await place.clock.pass(10_000);

    const sent = positionsOf(asleep, awake);
    expect(writtenTwice(sent)).toEqual([]);
    expect(everybody(RECIPIENTS).filter((position) => !sent.includes(position))).toEqual(everybody(marked).slice(begun));
    expect(await campaignOf(place, id)).toMatchObject({ state: "completed" });
  });

  test("tells what it had heard when it wakes up: only what nobody began stays in doubt", async () => {
    const place = await openTown({ perSecond: 40 });
    const id = await place.campaign({ recipients: RECIPIENTS });
    const frost = ice();
    const asleep = work(place, { latencyMs: 300, watcher: frost, sweepMs: SWEEP_MS });
    await place.clock.pass(1_010);
    const begun = asleep.sent.length;
    const marked = await markOf(place, id);
    frost.freeze();
    work(place, { latencyMs: 100, sweepMs: SWEEP_MS });
    await place.clock.pass(FORSAKEN_MS + 1_000);
    const { uncertain: before = 0 } = await statesOf(place, id);
    expect(before, "calls were on their way").toBeGreaterThan(marked - begun);
    frost.thaw();
    await place.clock.pass(10_000);
    const { accepted = 0, uncertain = 0 } = await statesOf(place, id);
    expect(accepted + uncertain).toBe(RECIPIENTS);
    expect(uncertain).toBeLessThanOrEqual(marked - begun);
  });

  test("for less than its lease goes on by itself, and nothing is in doubt", async () => {
    const place = await openTown({ perSecond: 40 });
    const id = await place.campaign({ recipients: RECIPIENTS });
    const frost = ice();
    const asleep = work(place, { latencyMs: 100, watcher: frost, sweepMs: SWEEP_MS });
    await place.clock.pass(1_010);
    frost.freeze();
    const awake = work(place, { latencyMs: 100, sweepMs: SWEEP_MS });
    await place.clock.pass(LEASE_MS - 5_000);
    frost.thaw();
    await place.clock.pass(10_000);
    expect(positionsOf(asleep, awake)).toEqual(everybody(RECIPIENTS));
    expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS });
  });

  test("says when it wakes up what it never began, and those are sent after all", async () => {
    const place = await openTown({ perSecond: 40 });
    const id = await place.campaign({ recipients: RECIPIENTS });
    const frost = ice();
    const asleep = work(place, { latencyMs: 100, watcher: frost, sweepMs: SWEEP_MS });
    await place.clock.pass(1_010);
    frost.freeze();
    const awake = work(place, { latencyMs: 100, sweepMs: SWEEP_MS });
    await place.clock.pass(FORSAKEN_MS + 500);
    frost.thaw();
    await place.clock.pass(20_000);
    expect(positionsOf(asleep, awake)).toEqual(everybody(RECIPIENTS));
    expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS });
  });
});

test("an engine that is cut off from the database begins nothing more, keeps what it hears, and tells it when it is back", async () => {
  const place = await openTown({ perSecond: 40 });
  const id = await place.campaign({ recipients: RECIPIENTS });
  let isCut = false;
  const before = (name: string) => {
    if (isCut && name !== "sleep" && !name.startsWith("send ")) throw Object.assign(new Error("the line is dead"), { code: "CONNECTION_CLOSED" });
  };
  const alone = work(place, { latencyMs: 300, watcher: { before, after() {} }, sweepMs: SWEEP_MS });
  await place.clock.pass(1_010);
  isCut = true;
  const marked = await markOf(place, id);
  await place.clock.pass(FORSAKEN_MS - 1_000);
  const begun = alone.sent.length;
  expect(begun, "only what was marked").toBeLessThanOrEqual(marked);
  const others = work(place, { latencyMs: 100, sweepMs: SWEEP_MS });
  await place.clock.pass(120_000);
  expect(alone.sent).toHaveLength(begun);
  expect((await statesOf(place, id))["uncertain"], "nobody else can know what it heard").toBeGreaterThan(0);
  isCut = false;
  await place.clock.pass(20_000);
  expect(writtenTwice(positionsOf(alone, others))).toEqual([]);
  const { accepted = 0, uncertain = 0 } = await statesOf(place, id);
  expect(accepted + uncertain).toBe(RECIPIENTS);
  expect(uncertain).toBeLessThanOrEqual(marked - begun);
});
