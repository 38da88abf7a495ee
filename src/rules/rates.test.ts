import { expect, test } from "vitest";
import { progressOf, ratesOf } from "./rates.ts";

const nothing = { recipients: 0, sent: 0, delivered: 0, read: 0, replied: 0, failed: 0, undelivered: 0 };

test("nothing of nothing is 0 percent", () => {
  expect(ratesOf(nothing)).toEqual({ deliveryRate: 0, readRate: 0, replyRate: 0, failureRate: 0 });
  expect(progressOf(0, 0)).toBe(0);
});

test("each rate has its own denominator and one decimal", () => {
  expect(ratesOf({ recipients: 1_000, sent: 900, delivered: 850, read: 600, replied: 7, failed: 80, undelivered: 50 })).toEqual({
    deliveryRate: 94.4,
    readRate: 70.6,
    replyRate: 0.8,
    failureRate: 13,
  });
});

test.each([
  [999_999, 1_000_000, 99.9],
  [1_000_000, 1_000_000, 100],
  [1, 3, 33.3],
])("%i of %i is %d percent: 100 is never said too early", (processed, recipients, progress) => {
  expect(progressOf(processed, recipients)).toBe(progress);
});
