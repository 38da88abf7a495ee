import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HORIZON_MS } from "./limits.ts";
import { type Door, isRecovered, rateOf, slowerRate, takeSlots, windowOf } from "./pace.ts";

const door = (change: Partial<Door> = {}): Door => ({
  ownerId: "d",
  perSecond: null,
  loweredTo: null,
  nextAt: 0,
  holdUntil: null,
  holdReason: null,
  probing: false,
  ...change,
});

describe("slots", () => {
  test("without a pace all are due now", () => {
    expect(takeSlots([door()], 3, 1_000)).toMatchObject({ at: [1_000, 1_000, 1_000], waitUntil: null });
  });

  test("a pace spreads them, within the horizon only", () => {
    const slots = takeSlots([door({ perSecond: 10 })], 9, 1_000);
    expect(slots.at).toEqual([1_000, 1_100, 1_200]);
    expect(slots).toMatchObject({ nextAt: [1_300], waitUntil: 1_300, waitFor: "pace" });
  });

  test("the slower of two doors decides, and both move", () => {
    const slots = takeSlots([door({ perSecond: 80 }), door({ perSecond: 4 })], 5, 0);
    expect(slots.at).toEqual([0, 250]);
    expect(slots.nextAt).toEqual([262.5, 500]);
  });

  test("nothing is reserved when nothing can go within the horizon", () => {
    const slots = takeSlots([door({ perSecond: 1, nextAt: 5_000 })], 1, 0);
    expect(slots).toEqual({ at: [], nextAt: [5_000], waitUntil: 5_000, waitFor: "pace" });
  });

  test("a hold is waited for, and said", () => {
    expect(takeSlots([door({ holdUntil: 9_000 })], 1, 0)).toMatchObject({ at: [], waitUntil: 9_000, waitFor: "hold" });
  });

  test("in no window are there more than the pace allows, however callers take turns", () => {
    const takers = fc.array(fc.record({ count: fc.integer({ min: 1, max: 300 }), waitMs: fc.integer({ min: 0, max: 900 }) }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 400 }), takers, (perSecond, turns) => {
        let [now, nextAt] = [0, 0];
        const all: number[] = [];
        for (const { count, waitMs } of turns) {
          const slots = takeSlots([door({ perSecond, nextAt })], count, now);
          all.push(...slots.at);
          nextAt = slots.nextAt[0] ?? nextAt;
          now += waitMs;
        }
        const sorted = all.toSorted((a, b) => a - b);
        for (const [i, at] of sorted.entries()) {
          const before = sorted[i - perSecond];
          if (before !== undefined) expect(at - before).toBeGreaterThanOrEqual(1_000 - 1e-6);
        }
        expect(Math.max(0, ...all)).toBeLessThanOrEqual(now + HORIZON_MS);
      }),
    );
  });
});

describe("a throttled sender", () => {
  const slowed = door({ perSecond: 80, loweredTo: 20, holdUntil: 10_000 });

  test("sends at half its rate, and climbs back within a minute", () => {
    expect(slowerRate(door({ perSecond: 80 }), 0)).toBe(40);
    expect(rateOf(slowed, 10_000)).toBe(20);
    expect(rateOf(slowed, 40_000)).toBe(60);
    expect(rateOf(slowed, 70_000)).toBe(80);
  });

  test("throttled again it halves what it had climbed to", () => {
    expect(slowerRate(slowed, 40_000)).toBe(30);
  });

  test("an unlimited one has a rate until it has climbed back", () => {
    const unlimited = door({ loweredTo: slowerRate(door(), 0), holdUntil: 0 });
    expect(rateOf(unlimited, 0)).toBe(40);
    expect(rateOf(unlimited, 60_000)).toBeNull();
    expect([29_000, 30_000].map((now) => isRecovered(unlimited, now))).toEqual([false, true]);
    expect(isRecovered({ ...unlimited, probing: true }, 60_000)).toBe(false);
    expect(isRecovered(door(), 60_000)).toBe(false);
  });
});

describe("the window", () => {
  test.each([
    [20 / 60, 0, 1],
    [80, 0, 20],
    [80, 1_000, 80],
    [10_000, 0, 250],
    [null, 0, 250],
  ])("at %s per second with %i ms of latency is %i", (perSecond, latencyMs, expected) => {
    expect(windowOf([door({ perSecond })], 0, { latencyMs, max: 250 })).toBe(expected);
  });

  test("of a sender that is probed is 1", () => {
    expect(windowOf([door({ probing: true })], 0, { latencyMs: 0, max: 250 })).toBe(1);
  });
});
