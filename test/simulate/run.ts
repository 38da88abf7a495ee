import { judge } from "./judge.ts";
import type { Misfortune } from "./trouble.ts";
import { type Ended, happen } from "./world.ts";

/** How much was simulated, and what happened in it. */
export interface Tally {
  worlds: number;
  campaigns: number;
  calls: number;
  steps: number;
  readonly happened: Record<Misfortune, number>;
}

export interface Failure {
  readonly seed: number;
  readonly faults: readonly string[];
}

export const emptyTally = (): Tally => ({
  worlds: 0,
  campaigns: 0,
  calls: 0,
  steps: 0,
  happened: { crash: 0, freeze: 0, stop: 0, lost: 0, error: 0, restart: 0 },
});

export function addTally(sum: Tally, one: Tally): void {
  sum.worlds += one.worlds;
  sum.campaigns += one.campaigns;
  sum.calls += one.calls;
  sum.steps += one.steps;
  for (const kind of Object.keys(sum.happened) as Misfortune[]) sum.happened[kind] += one.happened[kind];
}

/** Every abort makes an error; where from is asked only of a world that is looked at. */
const STACK_LINES = 10;

/** One world and what is found wrong with it in the end. */
export async function runWorld(seed: number, traced = false): Promise<{ ended: Ended; faults: string[] }> {
  const thrown: unknown[] = [];
  const note = (error: unknown) => void thrown.push(error);
  process.on("unhandledRejection", note);
  Error.stackTraceLimit = traced ? STACK_LINES : 0;
  try {
    const ended = await happen(seed, traced);
    const loose = thrown.map((error) => `nobody caught ${error instanceof Error ? error.stack : String(error)}`);
    return { ended, faults: [...judge(ended), ...loose] };
  } finally {
    Error.stackTraceLimit = STACK_LINES;
    process.off("unhandledRejection", note);
  }
}

/** Worlds one after the other while `more`; ends with the first in which a promise was broken. */
export async function runWorlds(
  { seed, stride }: { seed: number; stride: number },
  more: () => boolean,
  note: (one: Tally) => void,
): Promise<Failure | null> {
  for (let one = seed; more(); one += stride) {
    const { ended, faults } = await runWorld(one);
    const { campaignIds, vendor, steps, trouble } = ended;
    note({ worlds: 1, campaigns: campaignIds.length, calls: vendor.calls.length, steps, happened: trouble.happened });
    if (faults.length > 0) return { seed: one, faults };
  }
  return null;
}
