import fc from "fast-check";
import { parsePhoneNumberFromString } from "libphonenumber-js/max";
import metadata from "libphonenumber-js/max/metadata";
import examples from "libphonenumber-js/mobile/examples";
import { expect, test } from "vitest";
import { isAssignable } from "./numbering.ts";

const numbers = Object.entries(metadata.countries).map(([country, row]) => {
  const example: unknown = (examples as Record<string, unknown>)[country];
  return `${row[0]}${example}`;
});

test("every country's example is a number", () => {
  expect(numbers.length).toBeGreaterThan(240);
  expect(numbers.filter((digits) => !isAssignable(digits))).toEqual([]);
});

test("it agrees with libphonenumber about every number, wherever some of its digits are changed", () => {
  const changes = fc.array(fc.tuple(fc.nat(14), fc.nat(9)), { maxLength: 5 });
  const changed = fc.tuple(fc.constantFrom(...numbers), changes, fc.integer({ min: -2, max: 2 })).map(([digits, edits, longer]) => {
    const list = [...digits];
    for (const [at, digit] of edits) if (at < list.length && at > 0) list[at] = String(digit);
    return longer < 0 ? list.slice(0, longer).join("") : list.join("") + "7".repeat(longer);
  });
  const anything = fc.stringMatching(/^[1-9]\d{5,15}$/);
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: changed }, anything), (digits) => {
      const parsed = parsePhoneNumberFromString(`+${digits}`, { extract: false });
      // The library also mends a number (+44 07911 …), and lets Germany have 16 digits, of which E.164 allows 15, and 6, which only old landlines have.
      const valid = parsed?.number === `+${digits}` && parsed.isValid() && digits.length >= 7 && digits.length <= 15;
      expect([digits, isAssignable(digits)]).toEqual([digits, valid]);
    }),
    { numRuns: 20_000 },
  );
});

test.each(["", "0", "491680", "+919876543210", "91 98765 43210", "9".repeat(200), "abc"])("%j is none", (text) => {
  expect(isAssignable(text)).toBe(false);
});
