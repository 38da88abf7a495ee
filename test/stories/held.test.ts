import { afterEach, beforeEach, expect, test } from "vitest";
import { startEngine } from "../../src/flow/dispatch/engine.ts";
import { rehearsalProvider } from "../../src/flow/provider/rehearsal.ts";
import { watchDisk } from "../../src/runtime/disk.ts";
import { runUnlessHeld } from "../../src/runtime/hold.ts";
import { type Town, town } from "../support/town.ts";

const GB = 1024 ** 3;

let place: Town;
beforeEach(async () => {
  place = await town({ perSecond: 20 });
});
afterEach(() => place.close());

test("the disk of the database gets full: sending ends before Postgres does, in order, and goes on by itself when there is room", async () => {
  const id = await place.campaign({ recipients: 200 });
  let sent = 0;
  const engine = place.engine(rehearsalProvider({ clock: place.clock, latencyMs: 50, witness: () => sent++ }));
  let free = GB;
  const disk = watchDisk({ folders: ["/data"], freeMin: GB / 4, freeOf: async () => free });
  const limits = { campaignsMax: 5, lotsPerCampaign: 4, pollMs: 5_000, sweepMs: 1_000 };
  const running = runUnlessHeld({ name: "the engine", start: () => startEngine(engine, limits), why: disk.fault }, engine);
  await place.clock.pass(3_000);
  expect(sent).toBeGreaterThan(40);

  free = GB / 5;
  await place.clock.pass(2_000);
  const then = sent;
  expect(await state(id)).toEqual({ state: "running", pauseReason: null, held: 0, messages: then, uncertain: 0 });
  await place.clock.pass(60_000);
  expect(sent).toBe(then);
  expect(place.errors).toEqual([expect.stringContaining("The disk of /data has 204 MB left.")]); // said once

  free = GB;
  await place.clock.pass(15_000);
  expect(sent).toBe(200);
  expect(await state(id)).toMatchObject({ state: "completed", uncertain: 0 });
  await place.clock.until(running.stop());
  await engine.kill();
});

test("what is held when it is stopped stays stopped", async () => {
  const engine = place.engine(rehearsalProvider({ clock: place.clock }));
  let starts = 0;
  const start = () => {
    starts++;
    return { nudge() {}, stop: async () => {} };
  };
  const running = runUnlessHeld({ name: "nothing", start, why: async () => "no room" }, engine);
  await place.clock.pass(3_000);
  running.nudge();
  await place.clock.until(running.stop());
  expect(starts).toBe(0);
  await engine.kill();
});

async function state(id: string) {
  const [row] = await place.sql`
    select state, pause_reason, (select count(*)::int from lot where holder is not null) as held,
      (select count(*)::int from message where campaign_id = ${id}) as messages,
      (select count(*)::int from message where campaign_id = ${id} and state = 'uncertain') as uncertain
    from campaign where id = ${id}`;
  return row;
}
