import type { Clock } from "../../../src/runtime/clock.ts";
import type { Luck } from "../../../src/runtime/luck.ts";

/** Stands in for the system's clock and luck where runtime/postgres.ts takes them by itself: those of the world that is being simulated. */
let system: { clock: Clock; luck: Luck } | null = null;

export const setSystem = (clock: Clock, luck: Luck): void => {
  system = { clock, luck };
};

function current(): { clock: Clock; luck: Luck } {
  if (system === null) throw new Error("no world is being simulated");
  return system;
}

export const systemClock: Clock = {
  now: () => current().clock.now(),
  monotonicMs: () => current().clock.monotonicMs(),
  sleep: (ms, signal) => current().clock.sleep(ms, signal),
};

export const systemLuck: Luck = {
  next: () => current().luck.next(),
  bytes: (count) => current().luck.bytes(count),
  uuid: () => current().luck.uuid(),
};
