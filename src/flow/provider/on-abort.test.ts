import { expect, test } from "vitest";
import { onAbort } from "./on-abort.ts";

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
