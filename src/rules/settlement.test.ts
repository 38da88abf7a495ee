import { describe, expect, test } from "vitest";
import { ATTEMPTS_MAX } from "./limits.ts";
import type { Outcome } from "./outcome.ts";
import { isKnownNotSent, settle } from "./settlement.ts";

const first = { attempt: 1, delays: 0, luck: 0.5 };
const rejected = (remedy: Extract<Outcome, { kind: "rejected" }>["remedy"], change: object = {}): Outcome => ({
  kind: "rejected",
  code: "1",
  cause: "no",
  remedy,
  ...change,
});
const throttled = (scope: "sender" | "recipient", retryAfterMs: number): Outcome => ({
  kind: "throttled",
  code: "130429",
  cause: "too fast",
  scope,
  retryAfterMs,
});

test("accepted keeps the provider's id", () => {
  expect(settle({ kind: "accepted", providerRef: "wamid.1" }, first)).toEqual({ state: "accepted", providerRef: "wamid.1" });
});

test("no clear answer is uncertain, whatever the attempt", () => {
  expect(settle({ kind: "uncertain", code: "timeout", cause: "no answer" }, first)).toMatchObject({ state: "uncertain", code: "timeout" });
});

describe("a refusal for the time being", () => {
  test.each([
    [1, 30_000],
    [2, 120_000],
  ])("after attempt %i is due again, later and later", (attempt, delayMs) => {
    expect(settle(rejected("retry"), { ...first, attempt })).toMatchObject({ state: "queued", delayMs, ended: true });
  });

  test("spreads by luck", () => {
    const delay = (luck: number) => settle(rejected("retry"), { ...first, luck });
    expect(delay(0)).toMatchObject({ delayMs: 27_000 });
    expect(delay(0.999)).toMatchObject({ delayMs: expect.closeTo(32_994, 0) });
  });

  test("fails the recipient after the last attempt", () => {
    expect(settle(rejected("retry"), { ...first, attempt: ATTEMPTS_MAX })).toMatchObject({ state: "failed", code: "1" });
  });

  test("waits as long as the vendor asks", () => {
    expect(settle(rejected("retry", { retryAfterMs: 86_400_000 }), first)).toMatchObject({ delayMs: 86_400_000 });
  });
});

test("being limited is waiting, however often: no attempt is used up", () => {
  expect(settle(throttled("sender", 3_000), { ...first, attempt: ATTEMPTS_MAX, delays: 50 })).toMatchObject({
    state: "queued",
    delayMs: 3_000,
    ended: false,
  });
});

test.each([0, 1, 2, 3, 4])("after %i pair limits the wait is four times longer each time", (delays) => {
  expect(settle(throttled("recipient", 1_000), { ...first, delays })).toMatchObject({ delayMs: 1_000 * 4 ** delays });
});

test("a pair limit never waits longer than an hour", () => {
  expect(settle(throttled("recipient", 1_000), { ...first, delays: 40 })).toMatchObject({ delayMs: 3_600_000 });
});

test.each(["block_sender", "pause_campaign"] as const)("%s fails nobody, even at the last attempt", (remedy) => {
  expect(settle(rejected(remedy), { ...first, attempt: ATTEMPTS_MAX })).toMatchObject({ state: "queued", ended: false });
});

test.each(["fail", "suppress"] as const)("%s fails this recipient at once", (remedy) => {
  expect(settle(rejected(remedy), first)).toMatchObject({ state: "failed" });
});

test("only a definite no is known not to have been sent", () => {
  expect(isKnownNotSent(rejected("fail"))).toBe(true);
  expect(isKnownNotSent(throttled("sender", 0))).toBe(true);
  expect(isKnownNotSent({ kind: "uncertain", code: "x", cause: "x" })).toBe(false);
  expect(isKnownNotSent({ kind: "accepted", providerRef: "x" })).toBe(false);
});
