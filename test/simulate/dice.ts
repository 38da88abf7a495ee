import type { Luck } from "../../src/runtime/luck.ts";

/** Chance in the words of whoever draws a world. */
export interface Dice extends Luck {
  /** True with probability `share`. */
  chance(share: number): boolean;
  between(min: number, max: number): number;
  /** Small numbers as often as large ones: each power of ten is as likely as the next. */
  scale(min: number, max: number): number;
  whole(min: number, max: number): number;
  pick<T>(from: readonly T[]): T;
  /** One of the keys, each as likely as its weight. */
  weighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K;
}

export function diceOf(luck: Luck): Dice {
  const { next } = luck;
  const between = (min: number, max: number) => min + next() * (max - min);
  return {
    ...luck,
    chance: (share) => next() < share,
    between,
    scale: (min, max) => Math.exp(between(Math.log(min), Math.log(max))),
    whole: (min, max) => Math.floor(between(min, max + 1)),
    pick: (from) => (from.length > 0 ? (from[Math.floor(next() * from.length)] as (typeof from)[number]) : fail("nothing to pick from")),
    weighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K {
      const entries = Object.entries(weights) as [K, number][];
      let rest = next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [key, weight] of entries) {
        rest -= weight;
        if (rest < 0) return key;
      }
      return entries.at(-1)?.[0] ?? fail("nothing to draw from");
    },
  };
}

function fail(message: string): never {
  throw new Error(message);
}
