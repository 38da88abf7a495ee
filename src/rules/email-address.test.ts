import fc from "fast-check";
import { expect, test } from "vitest";
import { normaliseEmail } from "./email-address.ts";

const local64 = "a".repeat(64);
const domain189 = `${"d".repeat(63)}.${"e".repeat(63)}.${"f".repeat(57)}.com`;

test.each([
  ["asha@example.com", "asha@example.com"],
  ["  Asha.Rao+News@Example.COM ", "asha.rao+news@example.com"],
  ["mailto:asha@example.com", "asha@example.com"],
  ["\ufeffasha@example.com\u200b", "asha@example.com"],
  ["o'brien@example.co.uk", "o'brien@example.co.uk"],
  ["info@Müller.de", "info@xn--mller-kva.de"],
  ["info@xn--mller-kva.de", "info@xn--mller-kva.de"],
  ["info@MU\u0308LLER。de", "info@xn--mller-kva.de"],
  ["a@例え.jp", "a@xn--r8jz45g.jp"],
  [`${local64}@${domain189}`, `${local64}@${domain189}`],
])("%j is %s", (text, email) => {
  expect(normaliseEmail(text)).toEqual({ ok: true, email });
});

test.each([
  ["", "empty"],
  ["   ", "empty"],
  ["asha", "needs one @"],
  ["@example.com", "needs one @"],
  ["a@b@example.com", "needs one @"],
  ["Asha <asha@example.com>", "one plain e-mail address"],
  ["asha@example.com, ravi@example.com", "one plain e-mail address"],
  ["asha@example.com;ravi@example.com", "one plain e-mail address"],
  ["asha@example.com\r\nBcc: everybody@example.com", "one plain e-mail address"],
  ["asha\u0000@example.com", "one plain e-mail address"],
  ['"asha rao"@example.com', "one plain e-mail address"],
  ["asha@[127.0.0.1]", "one plain e-mail address"],
  ["asha@127.0.0.1", "a number where its domain should end"],
  ["asha@localhost", "no dot in its domain"],
  ["asha@example..com", "no valid domain"],
  ["asha@-example.com", "no valid domain"],
  ["asha@example-.com", "no valid domain"],
  ["asha@exa_mple.com", "no valid domain"],
  ["asha@", "no valid domain"],
  ["asha.@example.com", "a dot too many"],
  [".asha@example.com", "a dot too many"],
  ["as..ha@example.com", "a dot too many"],
  ["müller@example.com", "cannot have"],
  [`a${local64}@example.com`, "at most 64"],
  [`${local64}@x${domain189}`, "no valid domain"],
  [`${local64}@a.${domain189}`, "at most 254"],
])("%j is refused: %s", (text, reason) => {
  const result = normaliseEmail(text);
  expect(result.ok ? result.email : result.reason).toContain(reason);
});

test("100 kB are refused at once, and not repeated to the reader", () => {
  for (const piece of ["a", "@", ".", "a.", " ", "a@a."]) {
    const result = normaliseEmail(piece.repeat(100_000 / piece.length));
    expect(result.ok ? "" : result.reason).toMatch(/^.{20,200}\.$/);
  }
});

test("whatever the text: no throw, and what comes out stays as it is and fits the database", () => {
  const likely = fc.tuple(fc.string({ maxLength: 20 }), fc.string({ unit: "grapheme", maxLength: 20 })).map(([a, b]) => `${a}@${b}.com`);
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary", maxLength: 400 }), likely, fc.emailAddress()), (text) => {
      const result = normaliseEmail(text);
      if (!result.ok) return;
      expect(normaliseEmail(result.email)).toEqual(result);
      expect(result.email).toMatch(/^[\x21-\x7e]{3,254}$/);
      expect(result.email).toBe(result.email.toLowerCase());
    }),
    { numRuns: 5_000 },
  );
});
