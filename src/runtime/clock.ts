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
  // Node's own promise of a timer is rejected when it is aborted, with an error that costs 50 µs: as much as five messages.
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, Math.min(ms, SLEEP_MAX_MS));
      signal?.addEventListener("abort", end);
    }),
};
