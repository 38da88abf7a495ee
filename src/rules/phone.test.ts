import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Country, isCountry, normalisePhone } from "./phone.ts";

const phoneOf = (text: string, country?: Country) => {
  const result = normalisePhone(text, country);
  return result.ok ? result.phone : result.code;
};

test.each<[text: string, country: Country | undefined, result: string]>([
  ["+919876543210", undefined, "+919876543210"],
  ["+91 98765-43210", undefined, "+919876543210"],
  ["00919876543210", undefined, "+919876543210"],
  ["919876543210", undefined, "+919876543210"],
  ["91 98765 43210", undefined, "+919876543210"],
  ["919876543210", "IN", "+919876543210"],
  ["9876543210", "IN", "+919876543210"],
  ["09876543210", "IN", "+919876543210"],
  ["00919876543210", "IN", "+919876543210"],
  ["98765-43210", "IN", "+919876543210"],
  ["447911123456", "IN", "+447911123456"], // no number of India: international
  ["0044 7911 123456", "US", "+447911123456"], // Americans dial 011 abroad; 00 is understood all the same
  ["+44 (0)7911 123456", undefined, "+447911123456"],
  ["(631) 555-1234", "US", "+16315551234"],
  ["+39 06 6982 1234", undefined, "+390669821234"], // Italy keeps its zero
])("%j of a file from %s is %s", (text, country, result) => {
  expect(phoneOf(text, country)).toBe(result);
});

test.each([
  "'+919876543210",
  "’+919876543210",
  '="+919876543210"',
  "=+919876543210",
  '"+919876543210"',
  "tel:+91-98765-43210",
  "whatsapp:+919876543210",
  "\u200e+91\u00a098765\u202f43210\u202c",
  "\ufeff+919876543210\u200b",
  "＋９１９８７６５４３２１０",
  "+٩١٩٨٧٦٥٤٣٢١٠",
  "+۹۱۹۸۷۶۵۴۳۲۱۰",
  "+९१९८७६५४३२१०",
  "+৯১৯৮৭৬৫৪৩২১০",
  "+91–98765–43210",
  "919876543210.0",
])("what stands around a number is taken off: %j", (text) => {
  expect(phoneOf(text)).toBe("+919876543210");
});

test("only an exact .0 is the trace of a floating point number", () => {
  expect(phoneOf("919876543210.0", "IN")).toBe("+919876543210"); // not +919198765432100, which the digits would be
  expect(phoneOf("919876543210.00", "IN")).toBe("invalid");
});

describe("one person in two spellings is one contact", () => {
  test.each<[one: string, other: string, country: Country, phone: string]>([
    ["+5215512345678", "5512345678", "MX", "+525512345678"],
    ["044 55 1234 5678", "5215512345678", "MX", "+525512345678"],
    ["01 55 1234 5678", "(55) 1234-5678", "MX", "+525512345678"],
    ["+551187654321", "(11) 98765-4321", "BR", "+5511987654321"],
    ["+541123456789", "011 15-2345-6789", "AR", "+5491123456789"],
    ["+5491123456789", "11 2345 6789", "AR", "+5491123456789"],
  ])("%s and %s", (one, other, country, phone) => {
    expect([phoneOf(one, country), phoneOf(other, country)]).toEqual([phone, phone]);
  });

  test("a landline of Brazil is given no 9", () => {
    expect(phoneOf("+551134567890")).toBe("+551134567890");
  });
});

test.each<[text: string, country: Country | undefined, code: string]>([
  ["", undefined, "empty"],
  [" \u200b\t", undefined, "empty"],
  ["9.19877E+11", "IN", "scientific"],
  ["9,19877E+11", undefined, "scientific"],
  ["9.19876543210e11", "IN", "scientific"],
  ["+91 98765 43210 / 98765 43211", undefined, "two_numbers"],
  ["9876543210;9876543211", "IN", "two_numbers"],
  ["9876543210 ::: 9876543211", "IN", "two_numbers"],
  ["+919876543210 +919876543211", undefined, "two_numbers"],
  ["+91 98765 43210 ext 5", undefined, "extension"],
  ["+91 98765 43210x512", undefined, "extension"],
  ["tel:+91-98765-43210;ext=5", undefined, "extension"],
  ["n/a", "IN", "not_a_phone"],
  ["1-800-FLOWERS", "US", "not_a_phone"],
  ["asha@example.com", "IN", "not_a_phone"],
  ["++919876543210", undefined, "not_a_phone"],
  ["12345", "IN", "too_short"],
  ["1234567890123456789", undefined, "too_long"],
  ["9876543210", undefined, "no_country"],
  ["09876543210", undefined, "no_country"],
  ["(631) 555-1234", undefined, "no_country"],
  ["+1 555 010 0000", undefined, "invalid"],
  ["+22501020304", undefined, "invalid"], // Ivory Coast before 2021
  ["+0919876543210", undefined, "invalid"],
  ["5555555555", "IN", "invalid"],
  ["(631) 555-1234", "IN", "ambiguous"],
])("%j of a file from %s is refused: %s", (text, country, code) => {
  expect(phoneOf(text, country)).toBe(code);
});

test("Mexicans write (614) 123-4567 themselves", () => {
  expect(phoneOf("(614) 123-4567", "MX")).toBe("+526141234567");
});

test("a reason is a sentence with the value and what to do", () => {
  expect(normalisePhone("9.19877E+11", "IN")).toEqual({
    ok: false,
    code: "scientific",
    reason: "9.19877E+11 is in Excel's scientific notation: its last digits are lost. Format the column as text and export again.",
  });
});

test.each(["9", "(", " 9", "+9 ", "ext ", "9;"])("100 kB of %j are refused at once, and not repeated to the reader", (piece) => {
  const result = normalisePhone(piece.repeat(100_000 / piece.length), "IN");
  expect(result).toMatchObject({ ok: false, code: "too_long" });
  expect(result.ok ? "" : result.reason.length).toBeLessThan(200);
});

test("a country is known by its code", () => {
  expect([isCountry("IN"), isCountry("in"), isCountry("XX"), isCountry("__proto__"), isCountry("")]).toEqual([true, false, false, false, false]);
});

const countries = fc.constantFrom<(Country | undefined)[]>(undefined, "IN", "US", "MX", "BR", "AR", "DE", "IT", "RU", "GB");
const likely = fc.stringMatching(/^[+0 '=(]{0,3}[0-9 ().-]{5,20}(E\+11|\.0| ext 5)?$/);

test("whatever the text: no throw, and what comes out is E.164 and stays as it is", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 200 }), likely), countries, (text, country) => {
      const result = normalisePhone(text, country);
      if (!result.ok) {
        expect(result.reason).toMatch(/^.{10,}\.$/su);
        return;
      }
      expect(result.phone).toMatch(/^\+[1-9][0-9]{6,14}$/);
      expect(normalisePhone(result.phone, country)).toEqual(result);
      if (result.phone.length > 8) expect(normalisePhone(result.phone.slice(1))).toEqual(result);
    }),
    { numRuns: 5_000 },
  );
});
