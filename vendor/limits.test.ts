import { describe, expect, test } from "vitest";
import { vendorLimits } from "./limits.ts";
import { Settings } from "./settings.ts";

const limitsOf = (limits: Partial<Settings["limits"]>) => {
  const set = Settings.parse({ limits }).limits;
  return vendorLimits(() => set);
};
const HOUR_MS = 3_600_000;

describe("throughput", () => {
  test("a second's worth at once, then as it refills; refused calls take nothing", () => {
    const limits = limitsOf({ throughput: 10 });
    const tried = (now: number) => Array.from({ length: 20 }, () => limits.throughput("1", now)).filter((code) => code === null).length;
    expect(tried(0)).toBe(10);
    expect(limits.throughput("1", 0)).toBe(130429);
    expect(tried(99)).toBe(0);
    expect(tried(100)).toBe(1);
    expect(tried(600)).toBe(5);
    expect(tried(60_000)).toBe(10);
    expect(limits.throughput("2", 600)).toBeNull();
  });

  test("unlimited when null, and a clock set back gives nothing", () => {
    expect(limitsOf({ throughput: null }).throughput("1", 0)).toBeNull();
    const limits = limitsOf({ throughput: 1 });
    expect(limits.throughput("1", 10_000)).toBeNull();
    expect(limits.throughput("1", 0)).toBe(130429);
  });
});

test("pair: a burst borrowed from the future, then one per interval, other users untouched", () => {
  const limits = limitsOf({ pair: { intervalMs: 6_000, burst: 3 } });
  expect([0, 0, 0].map((now) => limits.pair("1", "49", now))).toEqual([null, null, null]);
  expect(limits.pair("1", "49", 5_999)).toBe(131056);
  expect(limits.pair("1", "49", 6_000)).toBeNull();
  expect(limits.pair("1", "49", 6_000)).toBe(131056);
  expect(limits.pair("1", "50", 0)).toBeNull();
  expect(limits.pair("2", "49", 0)).toBeNull();
  expect(limitsOf({}).pair("1", "49", 0)).toBeNull();
});

test("messaging: unique users in a moving day, counted from each user's latest message", () => {
  const limits = limitsOf({ messaging: 2 });
  const send = (to: string, now: number) => {
    const code = limits.messaging(to, now);
    if (code === null) limits.opened(to, now);
    return code;
  };
  expect(send("a", 0)).toBeNull();
  expect(send("b", HOUR_MS)).toBeNull();
  expect(send("c", 2 * HOUR_MS)).toBe(131048);
  expect(send("a", 20 * HOUR_MS)).toBeNull();
  expect(send("c", 24 * HOUR_MS)).toBe(131048);
  expect(send("c", 25 * HOUR_MS)).toBeNull();
  expect(send("b", 26 * HOUR_MS)).toBe(131048);
  limits.clear();
  expect(send("b", 26 * HOUR_MS)).toBeNull();
});
