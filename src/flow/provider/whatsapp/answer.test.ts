import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { whatsappCodes } from "../../../rules/whatsapp-codes.ts";
import { classify } from "./answer.ts";

const HOUR_MS = 3_600_000;
const error = (code: unknown, more: object = {}) =>
  JSON.stringify({ error: { message: `(#${code}) said`, type: "OAuthException", code, fbtrace_id: "A", ...more } });

/** Written by hand from Meta's page of error codes, not from the table: code, HTTP status, what it does. */
const expected: [code: number, status: number, verdict: string, retryAfterMs?: number][] = [
  [0, 401, "block_sender"],
  [1, 400, "retry"],
  [2, 503, "uncertain"],
  [3, 500, "block_sender"],
  [4, 400, "sender waits", 300_000],
  [10, 403, "block_sender"],
  [33, 400, "block_sender"],
  [100, 400, "fail, suspect"],
  [190, 401, "block_sender"],
  [200, 403, "block_sender"],
  [230, 403, "block_sender"],
  [299, 403, "block_sender"],
  [368, 403, "block_sender"],
  [80007, 400, "sender waits", 60_000],
  [80008, 400, "sender waits", 60_000],
  [130403, 400, "fail"],
  [130429, 400, "sender waits", 2_000],
  [130429, 429, "sender waits", 2_000],
  [130472, 400, "fail"],
  [130497, 403, "fail"],
  [131000, 500, "uncertain"],
  [131000, 400, "uncertain"],
  [131005, 403, "block_sender"],
  [131008, 400, "pause_campaign"],
  [131009, 400, "fail, suspect"],
  [131016, 500, "uncertain"],
  [131021, 400, "fail"],
  [131026, 400, "fail"],
  [131030, 400, "block_sender"],
  [131031, 403, "block_sender"],
  [131037, 400, "block_sender"],
  [131042, 400, "block_sender"],
  [131045, 500, "block_sender"],
  [131047, 400, "fail, suspect"],
  [131048, 400, "block_sender"],
  [131049, 400, "retry", 25 * HOUR_MS],
  [131050, 400, "suppress"],
  [131051, 400, "pause_campaign"],
  [131052, 400, "fail, suspect"],
  [131053, 400, "pause_campaign"],
  [131055, 400, "pause_campaign"],
  [131056, 400, "recipient waits", 1_000],
  [131057, 500, "sender waits", 60_000],
  [131059, 400, "fail, suspect"],
  [131060, 400, "fail, suspect"],
  [131062, 400, "fail"],
  [131063, 400, "pause_campaign"],
  [131064, 400, "block_sender"],
  [131065, 400, "fail"],
  [132000, 400, "pause_campaign"],
  [132001, 404, "pause_campaign"],
  [132005, 400, "fail"],
  [132007, 400, "pause_campaign"],
  [132012, 400, "pause_campaign"],
  [132015, 400, "pause_campaign"],
  [132016, 400, "pause_campaign"],
  [132018, 400, "fail, suspect"],
  [132068, 400, "pause_campaign"],
  [132069, 400, "pause_campaign"],
  [133000, 500, "block_sender"],
  [133001, 400, "block_sender"],
  [133002, 400, "block_sender"],
  [133003, 400, "block_sender"],
  [133004, 503, "sender waits", 60_000],
  [133005, 400, "block_sender"],
  [133006, 400, "block_sender"],
  [133007, 400, "block_sender"],
  [133008, 400, "block_sender"],
  [133009, 400, "block_sender"],
  [133010, 400, "block_sender"],
  [133011, 400, "block_sender"],
  [133012, 400, "block_sender"],
  [133013, 400, "block_sender"],
  [133014, 400, "block_sender"],
  [133015, 400, "block_sender"],
  [133016, 400, "block_sender"],
  [134011, 400, "block_sender"],
  [134100, 400, "pause_campaign"],
  [134101, 400, "retry", 600_000],
  [134102, 500, "pause_campaign"],
  [135000, 400, "retry"],
  [137000, 400, "fail"],
  [1752041, 400, "fail, suspect"],
  [2388019, 400, "fail, suspect"],
  [2388040, 400, "fail, suspect"],
  [2388047, 400, "fail, suspect"],
  [2388072, 400, "fail, suspect"],
  [2388073, 400, "fail, suspect"],
  [2388293, 400, "fail, suspect"],
  [2388299, 400, "fail, suspect"],
  [2494100, 400, "sender waits", 60_000],
  [2593107, 400, "fail, suspect"],
  [2593108, 400, "fail, suspect"],
];

describe("every code of the table", () => {
  test.each(expected)("%i with status %i: %s", (code, status, verdict, retryAfterMs) => {
    const outcome = classify(status, error(code));
    expect(outcome).toMatchObject({ code: String(code), cause: expect.stringContaining("said") });
    expect(inWords(outcome)).toBe(verdict);
    expect("retryAfterMs" in outcome ? outcome.retryAfterMs : undefined).toBe(retryAfterMs);
  });

  test("none is missing from this list", () => {
    expect([...whatsappCodes.keys()].filter((code) => !expected.some(([known]) => known === code))).toEqual([]);
  });
});

function inWords(outcome: ReturnType<typeof classify>): string {
  switch (outcome.kind) {
    case "throttled":
      return `${outcome.scope} waits`;
    case "rejected":
      return outcome.suspect ? `${outcome.remedy}, suspect` : outcome.remedy;
    default:
      return outcome.kind;
  }
}

test.each<[string, number, string, object]>([
  ["accepted", 200, '{"messages":[{"id":"wamid.A","message_status":"accepted"}]}', { kind: "accepted", providerRef: "wamid.A" }],
  ["held for assessment is accepted", 200, '{"messages":[{"id":"wamid.A","message_status":"held_for_quality_assessment"}]}', { kind: "accepted" }],
  ["no id", 200, '{"messages":[{"message_status":"accepted"}]}', { kind: "uncertain", code: "no_message_id" }],
  ["no JSON", 200, "<html>", { kind: "uncertain", code: "answer_unreadable" }],
  ["an unknown code in a success", 200, error(987654), { kind: "uncertain", code: "987654" }],
  ["an unknown code", 400, error(987654), { kind: "rejected", code: "987654", remedy: "fail", suspect: true }],
  ["an unknown code as 5xx", 500, error(987654), { kind: "uncertain", code: "987654" }],
  ["an unknown code as 429", 429, error(987654), { kind: "throttled", scope: "sender", code: "987654" }],
  ["Meta's vague 1 as 5xx", 500, error(1), { kind: "uncertain", code: "1" }],
  ["Meta's vague 135000 as 5xx", 503, error(135000), { kind: "uncertain", code: "135000" }],
  ["a phone number id that does not exist", 400, error(100, { error_subcode: 33 }), { kind: "rejected", code: "100", remedy: "block_sender" }],
  ["a code written as text", 400, error("131026"), { kind: "rejected", code: "131026", remedy: "fail" }],
  ["429 of a proxy", 429, "", { kind: "throttled", scope: "sender", code: "http_429", retryAfterMs: 60_000 }],
  ["401 of a proxy", 401, "", { kind: "rejected", code: "http_401", remedy: "block_sender" }],
  ["404 of a wrong address", 404, "not found", { kind: "rejected", code: "http_404", remedy: "block_sender" }],
  ["400 of a proxy", 400, "", { kind: "rejected", code: "http_400", remedy: "fail", suspect: true }],
  ["408", 408, "", { kind: "uncertain", code: "http_408" }],
  ["500", 500, "", { kind: "uncertain", code: "http_500" }],
  ["502", 502, "<html>", { kind: "uncertain", code: "http_502" }],
  ["302", 302, "", { kind: "rejected", code: "redirected", remedy: "block_sender" }],
])("%s", (_name, status, body, outcome) => {
  expect(classify(status, body)).toMatchObject(outcome);
});

test("the cause is Meta's own detail, short, on one line, without the token", () => {
  const cause = (more: object) => {
    const outcome = classify(400, error(131026, more));
    return "cause" in outcome ? outcome.cause : "";
  };
  expect(cause({ error_data: { details: "Message\nUndeliverable." } })).toBe("Message undeliverable: Message Undeliverable.");
  expect(cause({ message: "" })).toBe("Message undeliverable");
  expect(cause({ message: "Malformed access token EAAGcanary1234" })).toBe("Message undeliverable: Malformed access token EAA…");
  expect(cause({ message: "x".repeat(10_000) }).length).toBeLessThan(400);
});

test("whatever comes back is an outcome, never a throw, and never accepted without an id", () => {
  const status = fc.integer({ min: 100, max: 599 });
  const json = fc.oneof(
    fc.json(),
    fc.record({ error: fc.object() }).map((value) => JSON.stringify(value)),
    fc.string(),
  );
  fc.assert(
    fc.property(status, json, (code, body) => {
      const outcome = classify(code, body);
      expect(["accepted", "throttled", "rejected", "uncertain"]).toContain(outcome.kind);
      if (outcome.kind === "accepted") expect(outcome.providerRef).not.toBe("");
    }),
  );
});
