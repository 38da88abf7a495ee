import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import { type Running, startLoop } from "./loop.ts";

export interface Held {
  readonly name: string;
  readonly start: () => Running;
  /** Why it must not run now; null: it may. Asked every second. */
  readonly why: () => Promise<string | null>;
}

const LOOK_MS = 1_000;

/** Runs what `start` starts while nothing speaks against it; stops it in order while something does. */
export function runUnlessHeld({ name, start, why }: Held, { clock, log }: { clock: Clock; log: Log }): Running {
  let running: Running | null = null;
  let said: string | null = null;
  async function look(): Promise<number> {
    const reason = await why();
    if (reason !== null && said === null) log.error(reason);
    if (reason === null && said !== null) log.warn(`What held ${name} is over; it goes on.`);
    said = reason;
    if (reason === null) running ??= start();
    else await end();
    return 0;
  }
  async function end(): Promise<void> {
    const ending = running;
    running = null;
    await ending?.stop();
  }
  const loop = startLoop({ name: `${name}'s hold`, step: look, restMs: () => LOOK_MS }, { clock, log });
  return {
    nudge: () => running?.nudge(),
    stop: async () => {
      await Promise.all([end(), loop.stop()]);
      await end(); // should it have been started meanwhile
    },
  };
}
