import { expect, test } from "vitest";
import { handClock } from "../../../test/conformance/hand-clock.ts";
import { openDeadlines } from "./deadlines.ts";
import { onAbort } from "./on-abort.ts";

test("each expires at its own time, and not before; what has ended does not", async () => {
  const clock = handClock();
  const deadlines = openDeadlines(clock, 100);
  const expired: string[] = [];
  const begin = (name: string) => deadlines.begin(() => expired.push(name));
  begin("a");
  await clock.pass(30);
  const b = begin("b");
  await clock.pass(30);
  begin("c");
  await clock.pass(39);
  expect(expired).toEqual([]);
  await clock.pass(1);
  expect(expired).toEqual(["a"]);
  deadlines.end(b);
  await clock.pass(59);
  expect(expired).toEqual(["a"]);
  await clock.pass(1);
  expect(expired).toEqual(["a", "c"]);
  begin("d");
  await clock.pass(100);
  expect(expired).toEqual(["a", "c", "d"]);
});

test("after closing nothing expires, and nobody sleeps", async () => {
  const clock = handClock();
  const deadlines = openDeadlines(clock, 100);
  let expired = false;
  deadlines.begin(() => {
    expired = true;
  });
  deadlines.close();
  await clock.pass(1_000);
  expect(expired).toBe(false);
});

test("hundreds wait for one abort, each is told once, and those who left are not", () => {
  const abort = new AbortController();
  const told: number[] = [];
  const leave = Array.from({ length: 300 }, (_, at) => onAbort(abort.signal, () => told.push(at)));
  leave[7]?.();
  abort.abort();
  abort.abort();
  expect(told).toEqual(Array.from({ length: 300 }, (_, at) => at).filter((at) => at !== 7));
  onAbort(abort.signal, () => told.push(300));
  expect(told.at(-1)).toBe(300);
});
