import { domainToASCII } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { labelToAscii } from "./punycode.ts";

test.each([
  ["example", "example"],
  ["müller", "xn--mller-kva"],
  ["bücher", "xn--bcher-kva"],
  ["ü", "xn--tda"],
  ["例え", "xn--r8jz45g"],
  ["рф", "xn--p1ai"],
  ["भारत", "xn--h2brj9c"],
  ["他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye"], // RFC 3492, 7.1
  ["3年b組金八先生", "xn--3b-ww4c5e180e575a65lsy2b"],
])("%s is %s", (label, ascii) => {
  expect(labelToAscii(label)).toBe(ascii);
});

test("it agrees with the platform", () => {
  const letters = fc.constantFrom(..."abcz09äöüßéñçøåłžабвгдяαβγωאבגابتकखग例日本中文한국");
  const label = fc.string({ unit: letters, minLength: 1, maxLength: 20 });
  fc.assert(
    fc.property(label, (text) => {
      const platform = domainToASCII(`${text}.example`);
      // The platform refuses what no registry sells, such as right-to-left letters mixed with others.
      fc.pre(platform !== "");
      expect(`${labelToAscii(text)}.example`).toBe(platform);
    }),
    { numRuns: 3_000 },
  );
});
