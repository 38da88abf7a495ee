import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Fate, fate } from "./fate.ts";
import { faultNames, Mix } from "./settings.ts";

const mixOf = (patch: Partial<Mix>): Mix => Mix.parse(patch);
const phones = Array.from({ length: 20_000 }, (_, i) => `4917${String(10_000_000 + i * 7)}`);
const crowd = (mix: Mix, size = 4_000): Fate[] => phones.slice(0, size).map((phone) => fate({ seed: 1, phone, stage: 1, attempt: 1 }, mix));
const share = (fates: readonly Fate[], test: (doom: Fate) => boolean) => fates.filter(test).length / fates.length;
const tells = (doom: Fate, kind: string) => doom.updates.some((update) => update.kind === kind);

describe("shares of a crowd", () => {
  test("by default nine in ten are delivered, half of the rest fail in the answer and half later", () => {
    const fates = crowd(mixOf({}), phones.length);
    expect(share(fates, (doom) => doom.refusal !== null)).toBeCloseTo(0.05, 2);
    expect(share(fates, (doom) => tells(doom, "failed"))).toBeCloseTo(0.05, 2);
    expect(share(fates, (doom) => tells(doom, "sent"))).toBeCloseTo(0.9, 2);
    expect(share(fates, (doom) => tells(doom, "read"))).toBeCloseTo(0.9 * 0.6, 1);
    expect(share(fates, (doom) => tells(doom, "optOut"))).toBeCloseTo(0.9 * 0.01, 2);
    expect(share(fates, (doom) => doom.fault !== null || doom.throttle !== null || doom.held)).toBe(0);
  });

  test.each([
    ["readRate", (doom: Fate) => tells(doom, "read")],
    ["replyRate", (doom: Fate) => tells(doom, "reply")],
    ["optOutRate", (doom: Fate) => tells(doom, "optOut")],
    ["preferenceStopRate", (doom: Fate) => tells(doom, "preference")],
    ["contradictRate", (doom: Fate) => tells(doom, "failed")],
    ["heldRate", (doom: Fate) => doom.held],
    ["earlyRate", (doom: Fate) => doom.early],
    ["duplicateRate", (doom: Fate) => doom.updates[0]?.toldMs.length === 2],
    ["loseRate", (doom: Fate) => doom.updates[0]?.toldMs.length === 0],
    ["slowRate", (doom: Fate) => doom.latencyMs >= 1_000],
  ] as const)("%s", (name, happened) => {
    for (const rate of [0, 0.3, 1]) {
      const quiet = { successRate: 1, readRate: 0, replyRate: 0, optOutRate: 0, heldFailShare: 0 };
      expect(share(crowd(mixOf({ ...quiet, [name]: rate })), happened)).toBeCloseTo(rate, 1);
    }
  });

  test("codes come by weight, and a table of none refuses nobody", () => {
    const fates = crowd(mixOf({ successRate: 0, answerShare: 1, answerFailures: { "131026": 3, "130472": 1, "131021": 0 } }));
    expect(share(fates, (doom) => doom.refusal === 131026)).toBeCloseTo(0.75, 1);
    expect(share(fates, (doom) => doom.refusal === 130472)).toBeCloseTo(0.25, 1);
    expect(share(crowd(mixOf({ successRate: 0, answerShare: 1, answerFailures: {} })), (doom) => doom.refusal !== null)).toBe(0);
  });

  test.each(faultNames)("fault %s", (name) => {
    const fates = crowd(mixOf({ faults: { [name]: 0.2 } }));
    expect(share(fates, (doom) => doom.fault !== null || doom.throttle !== null)).toBeCloseTo(0.2, 1);
    const certain = fate({ seed: 1, phone: "1", stage: 1, attempt: 1 }, mixOf({ faults: { [name]: 1 } }));
    if (name.endsWith("Limit")) expect(certain.throttle?.code).toBe(name === "pairLimit" ? 131056 : 130429);
    else expect(certain.fault).toMatchObject({ kind: name.replace("Accepted", ""), accepted: name.endsWith("Accepted") });
  });

  test("faults that add up to everything leave nothing, each with its own share", () => {
    const fates = crowd(mixOf({ faults: { timeout: 0.25, reset: 0.25, garbageAccepted: 0.5 } }));
    expect(share(fates, (doom) => doom.fault?.kind === "timeout")).toBeCloseTo(0.25, 1);
    expect(share(fates, (doom) => doom.fault?.kind === "garbage" && doom.fault.accepted)).toBeCloseTo(0.5, 1);
  });
});

const anyKey = fc.record({
  seed: fc.oneof(fc.integer(), fc.string()),
  phone: fc.stringMatching(/^[1-9]\d{6,14}$/),
  stage: fc.integer({ min: 1, max: 20 }),
  attempt: fc.integer({ min: 1, max: 9 }),
});
const rate = fc.double({ min: 0, max: 1, noNaN: true });
const anyMix = fc
  .record({
    successRate: rate,
    readRate: rate,
    replyRate: rate,
    optOutRate: rate,
    duplicateRate: rate,
    reorderRate: rate,
    loseRate: rate,
    heldRate: rate,
  })
  .map(mixOf);

describe("a fate", () => {
  test("does not depend on what was asked before", () => {
    fc.assert(
      fc.property(fc.array(anyKey, { maxLength: 20 }), anyMix, (keys, mix) => {
        const forward = keys.map((key) => fate(key, mix));
        const backward = keys.toReversed().map((key) => fate(key, mix));
        expect(backward.toReversed()).toEqual(forward);
      }),
    );
  });

  test("tells a possible story: in order, failed stands alone, whoever answers has read", () => {
    fc.assert(
      fc.property(anyKey, anyMix, (key, mix) => {
        const { updates, refusal } = fate(key, mix);
        const kinds = updates.map((update) => update.kind);
        expect(kinds.length === 0).toBe(refusal !== null);
        if (kinds.includes("failed")) expect(kinds).toEqual(["failed"]);
        if (kinds.includes("reply") || kinds.includes("optOut")) expect(kinds).toContain("read");
        expect(kinds.includes("reply") && kinds.includes("optOut")).toBe(false);
        const times = updates.map((update) => update.happensMs);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
        expect(new Set(kinds).size).toBe(kinds.length);
      }),
    );
  });

  test("reordering swaps when things are told, never when they happened", () => {
    const key = { seed: 1, phone: "491701234567", stage: 1, attempt: 1 };
    const base = { successRate: 1, readRate: 1, skipDeliveredRate: 0 };
    const [calm, rough] = [fate(key, mixOf(base)), fate(key, mixOf({ ...base, reorderRate: 1 }))];
    expect(rough.updates.map((update) => update.happensMs)).toEqual(calm.updates.map((update) => update.happensMs));
    expect(rough.updates.flatMap((update) => update.toldMs)).toEqual(calm.updates.flatMap((update) => update.toldMs).toReversed());
  });

  test.each([
    ["seed", { seed: 2 }],
    ["phone", { phone: "491701234568" }],
    ["stage", { stage: 2 }],
    ["attempt", { attempt: 2 }],
  ])("changes with the %s", (_, change) => {
    // One such pair may agree by chance; that all of 200 do is 1 in 10^60.
    const mix = mixOf({ successRate: 0.5 });
    const outcomes = (extra: object) =>
      Array.from({ length: 200 }, (__, i) => fate({ seed: `s${i}`, phone: "491701234567", stage: 1, attempt: 1, ...extra }, mix).refusal);
    expect(outcomes(change)).not.toEqual(outcomes({}));
  });

  test("is the same in every version: a seed tells the same story", () => {
    const { updates, ...rest } = fate({ seed: 7, phone: "16505551234", stage: 1, attempt: 1 }, mixOf({}));
    expect({ ...rest, kinds: updates.map(({ kind, happensMs }) => `${kind}@${happensMs}`) }).toMatchInlineSnapshot(`
      {
        "early": false,
        "fault": null,
        "held": false,
        "kinds": [
          "sent@186",
          "delivered@307",
        ],
        "latencyMs": 0,
        "refusal": null,
        "throttle": null,
      }
    `);
  });

  test("held messages are delivered late, or fail with 132015", () => {
    const fates = crowd(mixOf({ heldRate: 1, successRate: 1, heldFailShare: 0.3, heldForMs: [5_000, 6_000] }));
    expect(share(fates, (doom) => doom.updates[0]?.code === 132015)).toBeCloseTo(0.3, 1);
    expect(fates.every((doom) => (doom.updates[0]?.happensMs ?? 0) >= 5_000)).toBe(true);
  });

  test("a throttled message is throttled 1 to throttleTimesMax times", () => {
    const times = crowd(mixOf({ faults: { rateLimit: 1 }, throttleTimesMax: 3 })).map((doom) => doom.throttle?.times);
    expect(new Set(times)).toEqual(new Set([1, 2, 3]));
  });
});
