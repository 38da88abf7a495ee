import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { cleanCell, csvLine } from "./csv-cell.ts";

test.each([
  ["", ""],
  ["Asha", "Asha"],
  ["  Asha Rao\t", "Asha Rao"],
  ["\u00a0Müller\u200b\ufeff", "Müller"],
  ["\u202a+91 98765 43210\u202c", "+91 98765 43210"],
  ['="0042"', "0042"],
  ["'+919876543210", "+919876543210"],
  ["'=1+1", "=1+1"],
  ["'tis", "'tis"],
  ["O'Neil", "O'Neil"],
  ["a\u0007b", "ab"],
  ["two\nlines", "two\nlines"],
  ["👩‍👩‍👧", "👩‍👩‍👧"],
])("%j is cleaned to %j", (text, cell) => {
  expect(cleanCell(text)).toBe(cell);
});

test.each(["=1+1", "+91", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1", "＋1", "－1", "＠x", "'=1"])(
  "%j does not begin a formula in an export",
  (cell) => {
    const line = csvLine([cell]);
    expect(line.startsWith(`"'`)).toBe(true);
    expect(line.endsWith('"\r\n')).toBe(true);
  },
);

test("a line of an export", () => {
  expect(csvLine([7, "+919876543210", 'Asha "A" Rao', "a;b", "plain", null, ""])).toBe(`7,"'+919876543210","Asha ""A"" Rao","a;b",plain,,\r\n`);
});

test("what is exported is read again as it was", () => {
  const cell = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."='+-@ab\",;\n\r\t ＝") }));
  fc.assert(
    fc.property(fc.array(cell, { minLength: 1, maxLength: 5 }), (cells) => {
      const kept = cells
        .map((text) => text.replace(/\p{Cc}/gu, "").trim())
        .map(cleanCell)
        .map((text) => text.trim());
      const [row] = parse(csvLine(kept), { skip_empty_lines: false });
      expect(row?.map(cleanCell) ?? [""]).toEqual(kept);
    }),
    { numRuns: 3_000 },
  );
});

test("cleaning takes linear time", () => {
  const text = `${" a".repeat(25_000)}${" \u200b".repeat(25_000)}b`;
  expect(cleanCell(text)).toBe(text.trim());
});
