import fc from "fast-check";
import { expect, test } from "vitest";
import { admit, type Candidate, type Limits } from "./admission.ts";
import type { Door } from "./pace.ts";

const free: Door = { ownerId: "s", perSecond: null, loweredTo: null, nextAt: 0, holdUntil: null, holdReason: null, probing: false };
const limits = (change: Partial<Limits> = {}): Limits => ({
  now: 1_000,
  doors: [free],
  suppressed: new Set(),
  expiresAt: null,
  cap: null,
  room: 100,
  ...change,
});
const people = (count: number): Candidate[] => Array.from({ length: count }, (_, i) => ({ address: `a${i}`, skip: null }));
const addresses = (granted: readonly { readonly candidate: Candidate }[]) => granted.map(({ candidate }) => candidate.address);

test("all go when nothing limits them", () => {
  expect(admit(people(3), limits())).toMatchObject({ covered: 3, limitedBy: null, skipped: [] });
});

test("who is suppressed, has no address, no variable, or comes too late is skipped, each with its reason", () => {
  const candidates: Candidate[] = [
    { address: "stop", skip: null },
    { address: null, skip: null },
    { address: "a", skip: { reason: "missing_variable", detail: "city" } },
    { address: "b", skip: null },
  ];
  const admission = admit(candidates, limits({ suppressed: new Set(["stop"]) }));
  expect(admission.skipped.map(({ skip }) => skip.reason)).toEqual(["suppressed", "invalid", "missing_variable"]);
  expect(addresses(admission.granted)).toEqual(["b"]);
  expect(admit(people(2), limits({ expiresAt: 1_000 })).skipped.map(({ skip }) => skip.reason)).toEqual(["expired", "expired"]);
});

test("a full cap stops at the first who would open; whoever is open already costs nothing", () => {
  const cap = { used: 9, max: 10, open: new Set(["a0", "a1", "a3"]) };
  const admission = admit(people(6), limits({ cap }));
  expect(addresses(admission.granted)).toEqual(["a0", "a1", "a2", "a3"]);
  expect(admission.granted.map(({ opens }) => opens)).toEqual([false, false, true, false]);
  expect(admission).toMatchObject({ covered: 4, limitedBy: "cap" });
});

test("one address opens once", () => {
  const twice: Candidate[] = [
    { address: "x", skip: null },
    { address: "x", skip: null },
  ];
  expect(admit(twice, limits({ cap: { used: 0, max: 1, open: new Set() } })).granted.map(({ opens }) => opens)).toEqual([true, false]);
});

test("when the pace lets fewer go, nobody behind them is skipped ahead of time", () => {
  const candidates = [...people(4), { address: null, skip: null }];
  const admission = admit(candidates, limits({ doors: [{ ...free, perSecond: 10 }] }));
  expect(admission).toMatchObject({ covered: 3, skipped: [], limitedBy: "pace" });
});

test("what was dealt with is always a prefix, and never more than any limit allows", () => {
  const candidate = fc.record({ address: fc.option(fc.integer({ min: 0, max: 30 }).map(String), { nil: null }), skip: fc.constant(null) });
  const any = fc.record({
    candidates: fc.array(candidate, { maxLength: 60 }),
    used: fc.integer({ min: 0, max: 20 }),
    max: fc.integer({ min: 0, max: 20 }),
    open: fc.array(fc.integer({ min: 0, max: 30 }).map(String)),
    suppressed: fc.array(fc.integer({ min: 0, max: 30 }).map(String)),
    room: fc.integer({ min: 0, max: 40 }),
    perSecond: fc.option(fc.integer({ min: 1, max: 200 }), { nil: null }),
  });
  fc.assert(
    fc.property(any, ({ candidates, used, max, open, suppressed, room, perSecond }) => {
      const admission = admit(
        candidates,
        limits({ doors: [{ ...free, perSecond }], cap: { used, max, open: new Set(open) }, suppressed: new Set(suppressed), room }),
      );
      const dealt = [...admission.granted, ...admission.skipped].map((one) => candidates.indexOf(one.candidate));
      expect(dealt.toSorted((a, b) => a - b)).toEqual(candidates.slice(0, admission.covered).map((_, i) => i));
      expect(admission.granted.length).toBeLessThanOrEqual(room);
      expect(used + admission.granted.filter(({ opens }) => opens).length).toBeLessThanOrEqual(Math.max(used, max));
      expect(admission.granted.some(({ candidate: { address } }) => address === null || suppressed.includes(address))).toBe(false);
      if (admission.covered < candidates.length) expect(admission.limitedBy).not.toBeNull();
    }),
  );
});
