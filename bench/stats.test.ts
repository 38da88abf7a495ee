import { expect, test } from "vitest";
import { over, ratioOf, spreadOf } from "./stats.ts";
import type { Trial } from "./trial.ts";

const trial = (perSecond: number, redisCpuUs: number | null = null): Trial => ({
  perSecond,
  ms: 1,
  nodeCpuUs: 1,
  postgresCpuUs: 1,
  redisCpuUs,
  walBytes: 1,
  rssMb: 1,
});

test.each([
  [[5], { median: 5, min: 5, max: 5 }],
  [[10, 2, 9], { median: 9, min: 2, max: 10 }],
  [[4, 1, 2, 100], { median: 3, min: 1, max: 100 }],
])("the middle of %j, its least and its most", (values, expected) => {
  expect(spreadOf(values)).toEqual(expected);
});

test("a ratio is taken within each round: a machine that is slow for a while changes nothing", () => {
  const rounds = [
    { engine: trial(200), floor: trial(400) },
    { engine: trial(20), floor: trial(40) },
    { engine: trial(300), floor: trial(400) },
  ];
  expect(ratioOf(rounds, { ours: "engine", theirs: "floor" })).toEqual({ median: 0.5, min: 0.5, max: 0.75 });
});

test("a round without one of the two is left out, and without any there is no ratio", () => {
  expect(ratioOf([{ engine: trial(1) }, { engine: trial(3), floor: trial(1) }], { ours: "engine", theirs: "floor" })?.median).toBe(3);
  expect(ratioOf([{ engine: trial(1) }], { ours: "engine", theirs: "floor" })).toBeNull();
});

test("a figure that could not be read is no zero", () => {
  expect(over([{ bullmq: trial(1) }, { bullmq: trial(1, 7) }], "bullmq", ({ redisCpuUs }) => redisCpuUs)).toEqual({ median: 7, min: 7, max: 7 });
  expect(over([{ bullmq: trial(1) }], "bullmq", ({ redisCpuUs }) => redisCpuUs)).toBeNull();
});
