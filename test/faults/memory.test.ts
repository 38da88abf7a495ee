import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { startEngine } from "../../src/flow/dispatch/engine.ts";
import type { Provider } from "../../src/flow/provider/port.ts";
import { openTown, statesOf } from "./scene.ts";

const RECIPIENTS = 12_000;
const EARLY = 3_000;
const LATE = 11_000;
/** Were a hundred bytes of each person kept, it would be more. */
const GROWTH_MAX_BYTES = (LATE - EARLY) * 100;

test("an engine remembers nobody to whom it has sent", { timeout: 120_000 }, async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const place = await openTown({}, { checked: false });
  const id = await place.campaign({ recipients: RECIPIENTS });
  const heap: number[] = [];
  let calls = 0;
  const provider: Provider = {
    name: "rehearsal",
    async send({ reference }) {
      calls++;
      if (calls === EARLY || calls === LATE) {
        collect();
        heap.push(process.memoryUsage().heapUsed);
      }
      return { kind: "accepted", providerRef: reference };
    },
  };
  const engine = place.engine(provider);
  const running = startEngine(engine, { campaignsMax: 5, lotsPerCampaign: 4, pollMs: 5_000, sweepMs: 5_000 });
  await place.clock.pass(10_000);
  await place.clock.until(running.stop());
  await engine.kill();
  expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS });
  const [early = 0, late = 0] = heap;
  expect(late - early).toBeLessThan(GROWTH_MAX_BYTES);
});
