import { completeOver } from "../../src/flow/dispatch/complete.ts";
import type { DispatchDeps } from "../../src/flow/dispatch/deps.ts";
import { settleDoubts } from "../../src/flow/dispatch/doubt.ts";
import { drive, take } from "../../src/flow/dispatch/drive.ts";
import { nextDue, sendDue } from "../../src/flow/dispatch/due.ts";

/** Longer than the first delay of a retry, so that a day with nothing to do has few effects. */
const IDLE_MS = 40_000;

/** The engine's loops one after the other, in one thread of work: the same effects in nearly the same order each time. */
export async function workday(deps: DispatchDeps, isOver: () => Promise<boolean>): Promise<void> {
  const stop = new AbortController().signal;
  while (!(await isOver())) {
    const lot = await take(deps, { except: [], among: null, anyDriver: false, holdersMax: null });
    if (lot !== null) await drive(lot, deps, { stop, onward: true });
    const next = await nextDue(deps, { among: null, anyDriver: false });
    const due = next?.inMs === 0 ? (await sendDue(next.campaignId, deps)).written.length : 0;
    const swept = (await settleDoubts(deps)) + (await completeOver(10, deps));
    if (lot === null && due === 0 && swept === 0) await deps.clock.sleep(IDLE_MS);
  }
}
