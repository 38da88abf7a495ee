import { campaignSteps, openSteps } from "./campaign-steps.ts";
import { dueSteps } from "./due-steps.ts";
import type { Model } from "./explore.ts";
import { lotSteps } from "./lot-steps.ts";
import { canProve, tally } from "./message-rows.ts";
import { at, keyOf, type State, start } from "./state.ts";
import type { Out } from "./step.ts";
import type { World } from "./world.ts";

/**
 * The protocol by which two engines send each message once, reduced to what matters for that. Every step of `src/flow/dispatch` and of
 * closing that others can see is one step here; an engine may rest between any two of them for as long as it likes, and act on what it
 * remembers then. Time is nothing but leases that run out: nothing here rests on a clock.
 */
export const turnModel = (world: World): Model<State> => ({
  start: start(world),
  keyOf,
  next: (s) => {
    const out: Out = [];
    if (s.open !== null) openSteps(s, out);
    else {
      for (const engine of [0, 1] as const) {
        lotSteps(s, engine, out);
        dueSteps(s, engine, out);
      }
      campaignSteps(s, out);
    }
    return out;
  },
  fault,
  goals: {
    "never ends": isEnded,
    "in doubt although a receipt is there": (s) => isEnded(s) && s.rows.every((_, p) => !canProve(s, p)),
  },
});

const isEnded = (s: State): boolean => (s.campaign === "completed" || s.campaign === "stopped") && s.statement !== null;

/** The promises, as what may never be seen. */
function fault(s: State): string | null {
  if (s.needless) return "sent again although a receipt was there";
  for (const p of s.rows.keys()) {
    const wrong = faultOf(s, p);
    if (wrong !== null) return wrong;
  }
  const rows = tally(s);
  if (s.counts.some((n, i) => n !== rows[i])) return "counters differ from rows";
  if (s.statement === null) return null;
  if (s.rows.some(({ state }) => state === "none" || state === "queued" || state === "handing")) return "ended without everybody";
  return s.statement.some((n, i) => n !== rows[i]) ? "statement differs from rows" : null;
}

/** What is wrong with one message. */
function faultOf(s: State, p: number): string | null {
  const { state, attempt } = at(s.rows, p);
  const sent = at(s.sent, p);
  const lot = s.lots.find(({ first, end }) => first <= p && p < end);
  if (sent > 1 && s.world.onUncertain === "hold") return "sent twice";
  if (sent > attempt && state !== "none" && state !== "accepted") return "sent more often than tried";
  if (state === "accepted" && sent === 0) return "accepted and never sent";
  if ((state === "failed" || state === "skipped") && sent > 0) return `${state} and sent`;
  if (state === "uncertain" && !s.excused) return "in doubt for no reason";
  if (state === "none" && lot === undefined && (s.campaign === "running" || s.campaign === "paused")) return "nobody's";
  if (lot !== undefined && !lot.held && p < lot.mark && state === "none") return "marked, and in nobody's hands";
  return lot !== undefined && p >= lot.mark && state !== "none" && state !== "skipped" ? "written beyond the mark" : null;
}
