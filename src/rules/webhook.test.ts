import { describe, expect, test } from "vitest";
import { retryAfterMs, retryWaitMs } from "./webhook.ts";

const HOUR_MS = 3_600_000;

describe("the waits between tries", () => {
  const middle = (attempts: number) => retryWaitMs(attempts, { askedMs: null, chance: 0.5 });

  test("ten tries in three days, then no more", () => {
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(middle);
    expect(waits).toEqual([5_000, 300_000, 1_800_000, ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR_MS)]);
    expect(middle(10)).toBeNull();
  });

  test("are spread by a tenth in both directions", () => {
    expect([0, 0.25, 0.75, 0.999].map((chance) => retryWaitMs(2, { askedMs: null, chance }))).toEqual([270_000, 285_000, 315_000, 329_940]);
  });

  test("undercut nothing that was asked for, but for more than a day", () => {
    expect(retryWaitMs(1, { askedMs: 60_000, chance: 0.9 })).toBe(60_000);
    expect(retryWaitMs(3, { askedMs: 60_000, chance: 0.5 })).toBe(1_800_000);
    expect(retryWaitMs(1, { askedMs: 90 * HOUR_MS, chance: 0.5 })).toBe(24 * HOUR_MS);
    expect(retryWaitMs(10, { askedMs: 60_000, chance: 0.5 })).toBeNull();
  });
});

test.each([
  ["120", 120_000],
  ["0", 0],
  ["Mon, 02 Mar 2026 09:01:00 GMT", 60_000],
  ["Mon, 02 Mar 2026 08:00:00 GMT", 0],
  ["", null],
  ["soon", null],
  ["-5", null],
  ["1.5", null],
  ["99999999999", null],
])("Retry-After: %s", (header, ms) => {
  expect(retryAfterMs(header, new Date("2026-03-02T09:00:00Z"))).toBe(ms);
});
