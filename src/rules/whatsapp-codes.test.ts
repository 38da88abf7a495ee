import { describe, expect, test } from "vitest";
import { explainCode, wireCodes } from "./code-words.ts";
import { webhookVerdict, whatsappCode, whatsappCodes } from "./whatsapp-codes.ts";

test.each([...whatsappCodes])("%i says what happened and what to do, in sentences", (_code, { title, sentence, next, verdict, retryAfterMs }) => {
  expect(title).toMatch(/\S/);
  expect(sentence).toMatch(/^[A-Z].*\.$/);
  expect(next).toMatch(/^[A-Z].*\.$/);
  if (verdict.startsWith("throttle")) expect(retryAfterMs).toBeGreaterThan(0);
});

test("200 stands for 200 to 299", () => {
  expect(whatsappCode(299)).toBe(whatsappCode(200));
  expect(whatsappCode(300)).toBeUndefined();
  expect(whatsappCode(199)).toBeUndefined();
});

test.each([
  [131050, "suppress"],
  [131031, "block_sender"],
  [131042, "block_sender"],
  [132015, "pause_campaign"],
  [131026, null],
  [131049, null],
  [130472, null],
  [131000, null],
  [987654, null],
])("a webhook that fails with %i asks for: %s", (code, verdict) => {
  expect(webhookVerdict(code)).toBe(verdict);
});

describe("a stored code in plain words", () => {
  test("of WhatsApp", () => {
    expect(explainCode("131026")).toEqual({
      title: "Message undeliverable",
      sentence: "The number has no WhatsApp, or the person uses a very old version or has not accepted the terms.",
      next: "Check the number, or reach this person another way.",
    });
  });
  test.each(Object.keys(wireCodes))("of the wire: %s", (code) => {
    expect(explainCode(code)).toMatchObject({ title: code, sentence: expect.stringMatching(/\.$/), next: expect.stringMatching(/\.$/) });
  });
  test.each(["http_502", "http_404", "987654", "constructor", "whatever"])("also of %s", (code) => {
    expect(explainCode(code)).toMatchObject({
      title: expect.any(String),
      sentence: expect.stringMatching(/\.$/),
      next: expect.stringMatching(/\.$/),
    });
  });
});
