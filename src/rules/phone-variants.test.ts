import fc from "fast-check";
import { expect, test } from "vitest";
import { phoneVariants } from "./phone-variants.ts";

test.each([
  ["5215512345678", ["+5215512345678", "+525512345678"]],
  ["+525512345678", ["+525512345678", "+5215512345678"]],
  ["5531987654321", ["+5531987654321", "+553187654321"]],
  ["553187654321", ["+553187654321", "+5531987654321"]],
  ["553133334444", ["+553133334444"]], // a landline
  ["5491123456789", ["+5491123456789", "+541123456789"]],
  ["541123456789", ["+541123456789", "+5491123456789"]],
  ["16505551234", ["+16505551234"]],
])("%s may be %j", (phone, variants) => {
  expect(phoneVariants(phone)).toEqual(variants);
});

test("every variant of a number has the same variants", () => {
  const number = fc.tuple(fc.constantFrom("52", "521", "55", "54", "549", "1", "91"), fc.stringMatching(/^[1-9]\d{9,10}$/));
  fc.assert(
    fc.property(number, ([country, rest]) => {
      const variants = phoneVariants(country + rest);
      for (const variant of variants) expect(phoneVariants(variant).sort()).toEqual([...variants].sort());
    }),
  );
});
