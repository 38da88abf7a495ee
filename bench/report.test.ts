import { expect, test } from "vitest";
import { chartOf } from "./chart.ts";
import { type EntryName, entries } from "./plan.ts";
import { jsonOf, reportOf } from "./report.ts";
import type { Trial } from "./trial.ts";

const trial = (perSecond: number, more: Partial<Trial> = {}): Trial => ({
  perSecond,
  ms: 2_000,
  nodeCpuUs: 8,
  postgresCpuUs: 9.5,
  redisCpuUs: null,
  walBytes: 221.4,
  rssMb: 137.2,
  ...more,
});

const rounds = [
  { engine: trial(50_000), floor: trial(80_000), bullmq: trial(2_000, { nodeCpuUs: 312, redisCpuUs: 250 }) },
  { engine: trial(60_000), floor: trial(80_000), bullmq: trial(2_500, { nodeCpuUs: 312, redisCpuUs: 250 }) },
];
const findings = { facts: ["here & now", "this machine"], rounds, grown: [], sizeOf: (name: EntryName) => entries[name].full };

test("the line for scripts: medians of the engine, every ratio by name, null where one did not run", () => {
  expect(jsonOf(findings)).toEqual({
    engine: 55_000,
    cpuUs: 17.5,
    walBytes: 221,
    rssMb: 137,
    ratio: { bullmq: 24.5, bullmqChunk: null, graphile: null, pgboss: null, floor: 0.688, http0: null, http50: null, import: null, intake: null },
  });
});

test("the report shows what ran, with the least and the most, and leaves out what did not", () => {
  const report = reportOf(findings);
  expect(report).toContain("Medians of 2 interleaved rounds");
  expect(report).toContain("| 80,000 | 0.69 <sub>0.63–0.75</sub> | 8.0 | 9.5 | – | 221 | 137 |");
  expect(report).toContain("| BullMQ, a job per message | 20,000 | 2,250 <sub>2,000–2,500</sub> | 24.5 <sub>24.0–25.0</sub> | 312 | 9.5 | 250 |");
  expect(report).not.toMatch(/graphile|## Doors|## Growing|NaN|undefined|null/);
});

test("the chart has a bar for each that ran, the fastest first, and no text that is no XML", () => {
  const chart = chartOf(rounds, ["here & now"]) ?? "";
  const at = ["The floor", ">Campanile<", "BullMQ, a job per message"].map((label) => chart.indexOf(label));
  expect(at).toEqual([...at].sort((a, b) => a - b));
  expect(Math.min(...at)).toBeGreaterThan(0);
  expect(chart).toContain("here &amp; now");
  expect(chart).not.toMatch(/NaN|undefined|pg-boss/);
  expect(chartOf([], [])).toBeNull();
});
