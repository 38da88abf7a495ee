import { ATTEMPTS_MAX } from "./limits.ts";
import type { Outcome } from "./outcome.ts";

/** What becomes of a message after one attempt. `delayMs` counts from now. */
export type Settlement =
  | { readonly state: "accepted"; readonly providerRef: string }
  | { readonly state: "failed"; readonly code: string; readonly cause: string }
  | { readonly state: "uncertain"; readonly code: string; readonly cause: string }
  /** Due again. `ended`: this attempt was a failure and a further one follows; else the same attempt is still to be made. */
  | { readonly state: "queued"; readonly code: string; readonly cause: string; readonly delayMs: number; readonly ended: boolean };

const RETRY_MIN_MS = 30_000;
/** Meta asks for 4^X seconds after a pair limit, X counting from 0: 1, 4, 16, 64, 256 s; no longer than an hour. */
const PAIR_MAX_MS = 3_600_000;

/**
 * `attempt` counts from 1; `delays`: how often the vendor told this attempt to wait; `luck` in [0, 1).
 * Being limited, or a blocked sender, is waiting and never failure.
 */
export function settle(outcome: Outcome, { attempt, delays, luck }: { attempt: number; delays: number; luck: number }): Settlement {
  switch (outcome.kind) {
    case "accepted":
      return { state: "accepted", providerRef: outcome.providerRef };
    case "uncertain":
      return { state: "uncertain", code: outcome.code, cause: outcome.cause };
    case "throttled": {
      const delayMs = outcome.scope === "recipient" ? Math.min(PAIR_MAX_MS, outcome.retryAfterMs * 4 ** delays) : outcome.retryAfterMs;
      return { state: "queued", code: outcome.code, cause: outcome.cause, delayMs, ended: false };
    }
    case "rejected":
      break;
  }
  const { code, cause, remedy } = outcome;
  if (remedy === "block_sender" || remedy === "pause_campaign") return { state: "queued", code, cause, delayMs: 0, ended: false };
  if (remedy === "retry" && attempt < ATTEMPTS_MAX) {
    const delayMs = outcome.retryAfterMs ?? RETRY_MIN_MS * 4 ** (attempt - 1) * (0.9 + 0.2 * luck);
    return { state: "queued", code, cause, delayMs, ended: true };
  }
  return { state: "failed", code, cause };
}

/** The outcome says for certain that nothing was sent. */
export const isKnownNotSent = (outcome: Outcome): boolean => outcome.kind === "rejected" || outcome.kind === "throttled";
