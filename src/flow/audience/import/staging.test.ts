import { setImmediate as tick } from "node:timers/promises";
import { expect, test } from "vitest";
import { stagingOf } from "./staging.ts";

const nothing = { phone: null, email: null, firstName: null, lastName: null, company: null, timeZone: null, attributes: "{}" };

test("every row is handed over once, in order, one batch at a time, whatever its size", async () => {
  let [underWay, most] = [0, 0];
  const batches: string[] = [];
  const staging = stagingOf(async (batch) => {
    most = Math.max(most, ++underWay);
    await tick();
    // Only now: what has been put in since must not have changed it.
    batches.push(batch.toString());
    underWay--;
  });
  const names = [3, 300_000, 10, 400_000, 9_000, 900_000, 1, 0].map((length, at) => String.fromCharCode(97 + at).repeat(length));
  let expected = "";
  for (let round = 0; round < 4; round++) {
    for (const [line, firstName] of names.entries()) {
      staging.contact(line, { ...nothing, firstName });
      expected += `${line}\t\\N\t\\N\t${firstName}\t\\N\t\\N\t\\N\t{}\t\\N\t\\N\n`;
      await staging.drain();
    }
    staging.reject(99, "é\t\\\n", "why");
    expected += "99\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\té\\t\\\\\\n\twhy\n";
  }
  await staging.end();
  expect(batches.join("") === expected).toBe(true);
  expect(most).toBe(1);
  expect(batches.length).toBeGreaterThan(5);
});

test("nothing to hand over is no batch", async () => {
  const staging = stagingOf(async () => expect.unreachable());
  await staging.drain();
  await staging.end();
});

test("a batch that fails is thrown to whoever comes next", async () => {
  const staging = stagingOf(async () => {
    throw new Error("disk full");
  });
  staging.contact(1, { ...nothing, firstName: "x".repeat(1_200_000) });
  await staging.drain();
  await tick();
  await expect(staging.end()).rejects.toThrow("disk full");
});
