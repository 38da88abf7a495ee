import { setTimeout as pause } from "node:timers/promises";

/** Node fires a longer timer at once; a sleep is cut there (24.8 days), and every sleeper looks at the time again when it wakes. */
const SLEEP_MAX_MS = 2 ** 31 - 1;

/** The time of this process. Promises about instants that several processes share are kept by the clock of Postgres instead. */
export interface Clock {
  /** The wall clock: for what is shown and stored, never for measuring a duration. */
  now(): Date;
  /** Milliseconds from an arbitrary beginning; never jumps, never goes back. */
  monotonicMs(): number;
  /** Ends after `ms`, or at once and without an error when `signal` is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  async sleep(ms, signal) {
    try {
      await pause(Math.min(ms, SLEEP_MAX_MS), undefined, signal === undefined ? {} : { signal });
    } catch (error) {
      if (!signal?.aborted) throw error;
    }
  },
};
