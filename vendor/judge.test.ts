import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { maxInWindow, summarize } from "./judge.ts";
import type { LedgerLine } from "./ledger.ts";

const iso = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();

function line(at: number, change: Partial<LedgerLine> = {}): LedgerLine {
  return {
    at: iso(at),
    begunAt: iso(at),
    phoneNumberId: "1",
    to: "+16505551234",
    wamid: `wamid.${at}`,
    reference: "r",
    campaign: "c",
    stage: 1,
    position: 1,
    attempt: 1,
    kind: "text",
    ...change,
  };
}

describe("summary", () => {
  const lines = [
    line(1),
    line(2, { to: "+16505550002" }),
    line(3, { attempt: 2 }),
    line(4, { stage: 2 }),
    line(5, { campaign: "other" }),
    line(6, { attempt: 3, wamid: "third" }),
    line(7, { reference: null, campaign: null, stage: null, position: null, attempt: null }),
  ];

  test("a duplicate is one person accepted twice in one stage of one campaign, whatever the attempt", async () => {
    expect(await summarize(lines)).toEqual({
      accepted: 7,
      duplicates: 2,
      duplicated: [{ campaign: "c", stage: 1, to: "+16505551234", wamids: ["wamid.1", "wamid.3", "third"] }],
      unreferenced: 1,
      recipients: 2,
      firstAt: iso(1),
      lastAt: iso(7),
    });
  });

  test("of one campaign only", async () => {
    expect(await summarize(lines, "other")).toMatchObject({ accepted: 1, duplicates: 0, unreferenced: 0 });
    expect(await summarize([], "other")).toMatchObject({ accepted: 0, duplicates: 0, firstAt: null, lastAt: null });
  });
});

describe("fullest window", () => {
  const slow = (lines: readonly LedgerLine[], windowMs: number, unique: boolean) =>
    Math.max(
      ...lines.map((last) => {
        const inside = lines.filter((each) => Date.parse(each.at) <= Date.parse(last.at) && Date.parse(each.at) > Date.parse(last.at) - windowMs);
        return unique ? new Set(inside.map((each) => each.to)).size : inside.length;
      }),
    );

  test("agrees with counting every window one by one", async () => {
    const event = fc.record({ at: fc.integer({ min: 0, max: 60 }), to: fc.constantFrom("+1", "+2", "+3", "+4") });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 1, maxLength: 40 }),
        fc.integer({ min: 1, max: 30 }),
        fc.boolean(),
        async (events, windowMs, unique) => {
          const lines = events.map(({ at, to }) => line(at, { to }));
          const [found] = await maxInWindow(lines, { windowMs, unique });
          expect(found?.max).toBe(slow(lines, windowMs, unique));
        },
      ),
    );
  });

  test("one for each phone number, or all together; by the instant the calls began when asked", async () => {
    const lines = [
      line(0, { begunAt: iso(0) }),
      line(100, { begunAt: iso(10), phoneNumberId: "2", to: "+2" }),
      line(200, { begunAt: iso(20), to: "+3" }),
    ];
    expect(await maxInWindow(lines, { windowMs: 50 })).toEqual([
      { phoneNumberId: "1", max: 1, until: iso(0) },
      { phoneNumberId: "2", max: 1, until: iso(100) },
    ]);
    expect(await maxInWindow(lines, { windowMs: 50, by: "begunAt", together: true })).toEqual([{ phoneNumberId: "*", max: 3, until: iso(20) }]);
  });

  test("the window is open at its old end: exactly windowMs apart is never together", async () => {
    expect(await maxInWindow([line(0), line(50, { to: "+2" })], { windowMs: 50 })).toMatchObject([{ max: 1 }]);
    expect(await maxInWindow([line(0), line(49, { to: "+2" })], { windowMs: 50 })).toMatchObject([{ max: 2 }]);
  });
});
