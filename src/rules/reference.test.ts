import fc from "fast-check";
import { expect, test } from "vitest";
import { formatReference, parseReference } from "./reference.ts";

const reference = fc.record({
  campaignId: fc.uuid(),
  stage: fc.integer({ min: 1, max: 9_999 }),
  position: fc.integer({ min: 1, max: 2_000_000_000 }),
  attempt: fc.integer({ min: 1, max: 9_999 }),
});

test("what is written is read", () => {
  fc.assert(
    fc.property(reference, (one) => {
      expect(parseReference(formatReference(one))).toEqual(one);
    }),
  );
});

test("it fits where it must: WhatsApp takes 512 characters", () => {
  fc.assert(fc.property(reference, (one) => formatReference(one).length <= 80));
});

test("a damaged one, or a foreign text, is none of ours", () => {
  fc.assert(
    fc.property(reference, fc.nat(), (one, at) => {
      const text = formatReference(one);
      const i = at % text.length;
      const damaged = text.slice(0, i) + (text[i] === "0" ? "1" : "0") + text.slice(i + 1);
      expect(parseReference(damaged)).toBeNull();
    }),
  );
  fc.assert(fc.property(fc.string(), (text) => parseReference(text) === null));
});
