import type { Comparison, EntryName } from "./plan.ts";
import type { Trial } from "./trial.ts";

/** What ran in one round, interleaved. */
export type Round = Readonly<Partial<Record<EntryName, Trial>>>;

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Of at least one number. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return { median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2, min: at(0), max: at(sorted.length - 1) };
}

/** Of the trials of one contender; null when none has this figure. */
export function over(rounds: readonly Round[], name: EntryName, figure: (trial: Trial) => number | null): Spread | null {
  const found = rounds.flatMap((round) => round[name] ?? []).flatMap((trial) => figure(trial) ?? []);
  return found.length === 0 ? null : spreadOf(found);
}

/**
 * How many times as fast ours is as theirs: the ratio inside each round first, then the median of the ratios. What slows the machine for
 * a while slows both. Null when no round has both.
 */
export function ratioOf(rounds: readonly Round[], { ours, theirs }: Comparison): Spread | null {
  const ratios = rounds.flatMap((round) => {
    const [our, their] = [round[ours], round[theirs]];
    return our === undefined || their === undefined ? [] : our.perSecond / their.perSecond;
  });
  return ratios.length === 0 ? null : spreadOf(ratios);
}

/** All CPU of a message: Node, and Postgres and Redis where it could be read. */
export const cpuOf = ({ nodeCpuUs, postgresCpuUs, redisCpuUs }: Trial): number => nodeCpuUs + (postgresCpuUs ?? 0) + (redisCpuUs ?? 0);

/** So many digits that count, not more. */
export const rounded = (value: number, digits = 3): number => Number(value.toPrecision(digits));
