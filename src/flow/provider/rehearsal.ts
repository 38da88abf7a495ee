import type { Outcome } from "../../rules/outcome.ts";
import type { Clock } from "../../runtime/clock.ts";
import { onAbort } from "./on-abort.ts";
import type { Parcel, Provider } from "./port.ts";

export interface Script {
  readonly clock: Clock;
  /** How long each answer takes; 0 by default. */
  readonly latencyMs?: number;
  /** What becomes of a message; accepted when undefined. `calls` counts from 1 the calls for this reference. */
  readonly outcome?: (parcel: Parcel, calls: number) => Outcome | "hang" | undefined;
  /** Told of every message at the moment it would have left. */
  readonly witness?: (parcel: Parcel) => void;
}

/**
 * A provider inside the process that accepts at once or does as told, for tests and the bench. A hang ends when the signal does,
 * uncertain. Everything that is begun counts as left, whatever its outcome.
 */
export function rehearsalProvider({ clock, latencyMs = 0, outcome, witness }: Script): Provider {
  const calls = new Map<string, number>();
  const callsFor = ({ reference }: Parcel): number => {
    const count = (calls.get(reference) ?? 0) + 1;
    calls.set(reference, count);
    return count;
  };
  return {
    name: "rehearsal",
    async send(parcel, signal) {
      if (signal.aborted) return { kind: "throttled", code: "aborted", cause: "The call was aborted.", scope: "sender", retryAfterMs: 0 };
      const told = outcome?.(parcel, callsFor(parcel)) ?? { kind: "accepted" as const, providerRef: `rehearsal.${parcel.reference}` };
      witness?.(parcel);
      if (told === "hang") await untilAborted(signal);
      else if (latencyMs > 0) await clock.sleep(latencyMs, signal);
      if (told === "hang" || (latencyMs > 0 && signal.aborted)) return { kind: "uncertain", code: "no_answer", cause: "The call was aborted." };
      return told;
    },
  };
}

const untilAborted = (signal: AbortSignal) => new Promise<void>((resolve) => void onAbort(signal, resolve));
