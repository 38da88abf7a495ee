import fc from "fast-check";
import { expect, test } from "vitest";
import { cleanBody, cleanValue } from "./whatsapp-value.ts";

test.each([
  ["Ana", "Ana"],
  ["Ana Ng", "Ana Ng"],
  ["  Ana \t\n Ng\r\n", "Ana Ng"],
  ["a     b", "a b"],
  ["a\u00a0b\u2003c\u2028d", "a b c d"],
  ["a\u0000b\u0007c\u0085d", "abcd"],
  ["a \u0000 b", "a b"],
  ["\ud83d", ""],
  ["\ud83d\ude00", "\ud83d\ude00"],
  ["👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"],
  ["می\u200cخواهم", "می\u200cخواهم"],
  ["\u200b", ""],
  [" \u200b\ufeff ", ""],
  ["", ""],
])("%j becomes %j", (value, clean) => {
  expect(cleanValue(value)).toBe(clean);
});

test("a body keeps its lines", () => {
  expect(cleanBody(" Hi\r\nAna\r\n\r\n\tbye\u0000 \n")).toBe("Hi\nAna\n\n\tbye");
  expect(cleanBody(" \u200b\n")).toBe("");
});

test("cleaning twice is cleaning once, and WhatsApp's rule holds", () => {
  const hostile = fc
    .array(fc.oneof(fc.constantFrom(9, 10, 13, 32, 0, 0x200b, 0xa0, 0xd83d, 97), fc.integer({ min: 0, max: 0xffff })))
    .map((codes) => String.fromCharCode(...codes));
  fc.assert(
    fc.property(hostile, (value) => {
      const clean = cleanValue(value);
      expect(cleanValue(clean)).toBe(clean);
      expect(clean).not.toMatch(/[\n\t\r]| {2}|^ | $/);
      expect(() => encodeURI(clean)).not.toThrow(); // no half of a surrogate pair
      const body = cleanBody(value);
      expect(cleanBody(body)).toBe(body);
    }),
    { numRuns: 500 },
  );
});
