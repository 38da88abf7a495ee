import { expect, test } from "vitest";
import { handClock } from "../../test/conformance/hand-clock.ts";
import { openDeadlines } from "./deadlines.ts";

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
