import { expect, test } from "vitest";
import { systemClock } from "./clock.ts";

test("a sleep ends at once, and without an error, when its signal is aborted", async () => {
  const abort = new AbortController();
  const asleep = systemClock.sleep(3_600_000, abort.signal);
  abort.abort();
  await asleep;
  await systemClock.sleep(3_600_000, abort.signal);
});

test("a sleep of a year does not end at once", async () => {
  const abort = new AbortController();
  let over = false;
  const asleep = systemClock.sleep(365 * 86_400_000, abort.signal).then(() => (over = true));
  await systemClock.sleep(5);
  expect(over).toBe(false);
  abort.abort();
  await asleep;
});

test("monotonic time does not go back", () => {
  const before = systemClock.monotonicMs();
  expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(before);
});
