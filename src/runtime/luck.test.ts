import { describe, expect, test } from "vitest";
import { seededLuck, systemLuck } from "./luck.ts";

const take = (seed: number) => {
  const luck = seededLuck(seed);
  return [luck.next(), luck.uuid(), [...luck.bytes(4)], luck.next()];
};

test("the same seed gives the same luck, for ever", () => {
  expect(take(7)).toEqual(take(7));
  expect(take(7)).not.toEqual(take(8));
  expect(seededLuck(7).uuid()).toBe("020ffab2-8567-473d-8dba-4227c384325e");
});

describe.each([
  ["of the system", systemLuck],
  ["seeded", seededLuck(42)],
])("luck %s", (_, luck) => {
  test("next is in [0, 1) and spread evenly", () => {
    const tenths = new Array<number>(10).fill(0);
    for (let count = 0; count < 10_000; count++) {
      const tenth = Math.floor(luck.next() * 10);
      tenths[tenth] = (tenths[tenth] ?? Number.NaN) + 1;
    }
    for (const count of tenths) expect(count).toBeGreaterThan(800); // 1,000 expected, standard deviation 30
    expect(tenths.length).toBe(10);
  });

  test("a uuid is of version 4 and never the same twice", () => {
    const many = Array.from({ length: 1000 }, () => luck.uuid());
    expect(new Set(many).size).toBe(1000);
    for (const uuid of many) expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("bytes are as many as asked for", () => {
    expect(luck.bytes(0).length).toBe(0);
    expect(luck.bytes(33).length).toBe(33);
  });
});
