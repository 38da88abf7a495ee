import { setImmediate as tick } from "node:timers/promises";
import { expect, test } from "vitest";
import { pause, resume } from "../../src/flow/campaign/control.ts";
import { HORIZON_MS } from "../../src/rules/limits.ts";
import { seededLuck, systemLuck } from "../../src/runtime/luck.ts";
import { fleet } from "../support/fleet.ts";
import { campaignOf, SECOND_MS } from "./judge.ts";

test("four engines at full speed, paused in the middle of what they do: no more leaves than the answer said, and none later than 250 ms", async () => {
  const luck = seededLuck(13);
  const { place, vendor, sender, sail, nudge } = await fleet({ engines: 4, wayMs: () => Math.floor(luck.next() * 3) * 20 });
  const id = await place.campaign({ senderId: await sender(), recipients: 2_500, lotSize: 100 });
  const ref = { workspaceId: place.workspaceId, id };
  const deps = { sql: place.sql, clock: place.clock, luck: systemLuck };
  const paused: { inFlight: number; after: number; lastMs: number }[] = [];
  sail();
  for (let times = 0; times < 6; times++) {
    let passing = true;
    const passed = place.clock.pass(SECOND_MS).then(() => {
      passing = false;
    });
    const wanted = vendor.stats().accepted + 10 + luck.next() * 100;
    while (passing && vendor.stats().accepted < wanted) await tick();
    const { inFlight } = await pause(ref, { reason: null }, deps);
    const [before, pausedAt] = [vendor.stats().accepted, place.clock.now().getTime()];
    await passed;
    const later = (await vendor.ledgerLines()).slice(before);
    paused.push({ inFlight, after: later.length, lastMs: Math.max(0, ...later.map(({ begunAt }) => Date.parse(begunAt) - pausedAt)) });
    const [lots] = await place.sql<{ held: number }[]>`select count(*)::int as held from lot where holder is not null`;
    expect(lots?.held).toBe(0);
    await resume(ref, { atOnce: false }, deps);
    nudge();
  }
  for (const { inFlight, after, lastMs } of paused) {
    expect(after).toBeLessThanOrEqual(inFlight);
    // Begun within 250 ms, and heard after its way.
    expect(lastMs).toBeLessThanOrEqual(HORIZON_MS + 40);
  }
  expect(paused.some(({ after }) => after > 0)).toBe(true);
  await place.clock.pass(30 * SECOND_MS);
  expect(await campaignOf(place, id)).toMatchObject({ state: "completed", statement: { accepted: 2_500, uncertain: 0 } });
  expect((await vendor.ledger()).duplicates).toBe(0);
});
