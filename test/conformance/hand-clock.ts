import type { Clock } from "../../src/runtime/clock.ts";

/** A clock without a database that moves when it is told to. */
export interface HandClock extends Clock {
  pass(ms: number): Promise<void>;
}

export function handClock(): HandClock {
  let at = 0;
  const sleepers = new Set<{ at: number; wake: () => void }>();
  return {
    now: () => new Date(at),
    monotonicMs: () => at,
    sleep(ms, signal) {
      if (signal?.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const sleeper = {
          at: at + ms,
          wake: () => {
            sleepers.delete(sleeper);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", sleeper.wake, { once: true });
      });
    },
    async pass(ms) {
      at += ms;
      for (const sleeper of [...sleepers]) if (sleeper.at <= at) sleeper.wake();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}
