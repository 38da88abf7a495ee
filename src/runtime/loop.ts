import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { isPassing } from "./postgres.ts";

export interface Loop {
  readonly name: string;
  /** Does a bounded piece of work and returns how much it did; 0: there was nothing to do. */
  readonly step: () => Promise<number>;
  /** Milliseconds to rest when there was nothing to do; a nudge ends the rest. */
  readonly restMs: () => number | Promise<number>;
}

export interface Running {
  /** Ends the rest at once. A lost nudge costs latency, never work: polling finds it. */
  nudge(): void;
  /** Ends after the step that is under way. */
  stop(): Promise<void>;
}

/** After an error a loop rests longer and longer, up to this. */
const ERROR_REST_MAX_MS = 10_000;

/** Runs `step` until it finds nothing, then rests until a nudge or the poll. Stops between two steps only. */
export function startLoop({ name, step, restMs }: Loop, { clock, log }: { clock: Clock; log: Log }): Running {
  const stopped = new AbortController();
  let nap = new AbortController();
  let nudged = false;
  const rest = async (ms: number) => {
    if (!nudged && !stopped.signal.aborted) await clock.sleep(ms, nap.signal);
    nap = new AbortController();
    nudged = false;
  };
  const run = async () => {
    let errors = 0;
    while (!stopped.signal.aborted) {
      try {
        const done = await step();
        errors = 0;
        if (done === 0) await rest(await restMs());
      } catch (error) {
        errors++;
        // A database that is away for a moment is no bug; everything else is.
        log[isPassing(error) ? "warn" : "error"]({ err: error, loop: name }, `the ${name} loop failed; it goes on`);
        await rest(Math.min(ERROR_REST_MAX_MS, 100 * 2 ** errors));
      }
    }
  };
  const running = run();
  const nudge = () => {
    nudged = true;
    nap.abort();
  };
  return {
    nudge,
    stop: async () => {
      stopped.abort();
      nudge();
      await running;
    },
  };
}
