import { expect, test } from "vitest";
import { explain, type Known } from "./explain.ts";

const at = (minute: number) => new Date(Date.UTC(2026, 10, 1, 9, minute));
const known = (changes: Partial<Known>): Known => ({
  campaign: { state: "running", name: "Spring", pauseReason: null, onUncertain: "hold" },
  audience: { type: "list", listName: "Members" },
  state: "pending",
  reason: null,
  cause: null,
  at: null,
  dueAt: null,
  attempts: [],
  receipts: [],
  ...changes,
});
const texts = (one: Known) => explain(one).story.map(({ text }) => text);

test("a refused attempt, one that was taken, and its receipts are told in the order in which they happened", () => {
  const { story, next } = explain(
    known({
      state: "accepted",
      attempts: [
        { attempt: 1, outcome: "rejected", code: "131026", cause: "(#131026) undeliverable", at: at(1) },
        { attempt: 2, outcome: "accepted", code: null, cause: null, at: at(5) },
      ],
      receipts: [
        { kind: "read", at: at(9), code: null, cause: null },
        { kind: "delivered", at: at(6), code: null, cause: null },
      ],
    }),
  );
  expect(story.map(({ at }) => at?.getUTCMinutes() ?? null)).toEqual([null, 1, 5, 6, 9]);
  expect(story[0]?.text).toContain('the list "Members"');
  expect(story[1]).toMatchObject({ code: "131026", advice: expect.stringMatching(/\.$/) });
  expect(story[1]?.text).toMatch(/^The message was refused\. /);
  expect(story[2]?.text).toBe("Attempt 2 was accepted by the provider.");
  expect(next).toContain("Receipts may still come");
});

test.each([
  ["missing_variable", /a value that the message needs is missing/],
  ["suppressed", /must not be written to/],
  ["something new", /something new/],
])("a skip for %s says why", (reason, words) => {
  const [, skip] = texts(known({ state: "skipped", reason, cause: "coupon", at: at(2) }));
  expect(skip).toMatch(words);
  expect(skip).toContain("coupon");
});

test.each<[Partial<Known>, RegExp]>([
  [{}, /Their turn comes/],
  [{ campaign: { ...known({}).campaign, state: "paused", pauseReason: "Lunch" } }, /resumed.*paused: Lunch/],
  [{ campaign: { ...known({}).campaign, state: "draft" } }, /until the campaign is started/],
  [{ dueAt: at(7) }, /2026-11-01T09:07/],
  [{ state: "handing" }, /awaited/],
  [{ state: "failed" }, /Resend/],
  [{ state: "skipped" }, /Nothing is sent/],
  [{ state: "uncertain" }, /not sent again by itself/],
  [{ state: "uncertain", campaign: { ...known({}).campaign, onUncertain: "resend" } }, /sent again, for the campaign says so/],
])("what is next: %j", (changes, words) => {
  expect(explain(known(changes)).next).toMatch(words);
});
