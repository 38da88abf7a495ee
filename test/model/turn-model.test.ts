import { afterAll, describe, expect, test } from "vitest";
import { type Explored, explore } from "./explore.ts";
import { turnModel } from "./turn-model.ts";
import { type Rule, rules, type World } from "./world.ts";

type Options = Pick<World, "budget"> & Partial<World>;
const visit = (options: Options, off: readonly Rule[] = []): Explored =>
  explore(turnModel({ positions: 2, window: 2, onUncertain: "hold", lots: true, cuts: false, suppressed: [], off, ...options }));

const worlds: readonly (readonly [name: string, options: Options])[] = [
  ["a lot, with all misfortunes", { budget: { crash: 1, freeze: 1, lostReply: 1, pause: 1, silence: 1 } }],
  ["a lot, with COMMITs that fail", { budget: { crash: 1, freeze: 1, lostReply: 1, failedCommit: 1 } }],
  ["a lot of three, with a window of two", { positions: 3, budget: { freeze: 1, lostReply: 1 } }],
  ["a lot, limited, with an engine that ends", { budget: { freeze: 1, lostReply: 1, limit: 1, shutdown: 1 } }],
  ["a lot that is given up", { budget: { lostReply: 1, error: 1, refusal: 1 } }],
  ["a lot that is cut", { cuts: true, budget: { crash: 1, freeze: 1, lostReply: 1 } }],
  ["a lot of three that is cut twice", { positions: 3, cuts: true, budget: { freeze: 1 } }],
  ["a lot, with somebody suppressed", { suppressed: [1], budget: { freeze: 1, lostReply: 1, optIn: 1 } }],
  ["a lot, with somebody who opts out", { suppressed: [0], budget: { crash: 1, lostReply: 1, pause: 1, optOut: 1 } }],
  ["a lot, and retries", { budget: { freeze: 1, lostReply: 1, refusal: 1 } }],
  ["a lot that is stopped", { budget: { freeze: 1, lostReply: 1, pause: 1, stop: 1 } }],
  ["retries", { lots: false, budget: { crash: 1, freeze: 1, lostReply: 1, silence: 1 } }],
  [
    "one message, with everything twice",
    { positions: 1, lots: false, budget: { crash: 1, freeze: 1, lostReply: 2, failedCommit: 1, silence: 1, refusal: 2, pause: 1, stop: 1 } },
  ],
  ["resends", { positions: 1, lots: false, onUncertain: "resend", budget: { freeze: 1, lostReply: 1, silence: 1, refusal: 1, reply: 1 } }],
  [
    "resends that are stopped",
    { positions: 1, lots: false, onUncertain: "resend", suppressed: [0], budget: { crash: 1, silence: 1, refusal: 2, stop: 1, optOut: 1 } },
  ],
  ["a lot, and resends", { positions: 1, onUncertain: "resend", budget: { crash: 1, lostReply: 1, silence: 1, refusal: 1 } }],
];

describe("nobody is sent to twice, nobody is left out, and everything adds up", () => {
  const visited: string[] = [];
  afterAll(() => console.log(visited.join("\n")));

  test.each(worlds)("%s", (name, options) => {
    const { states, steps, violation } = visit(options);
    visited.push(`${states} states, ${steps} steps: ${name}`);
    expect(violation).toBeNull();
    expect(states).toBeGreaterThan(1_000);
  });
});

const one = { positions: 1, lots: false } as const;
const broken: readonly (readonly [off: readonly Rule[], violation: string, options: Options])[] = [
  [["markFirst"], "sent twice", { budget: { failedCommit: 1, freeze: 1 } }],
  [["fencing"], "written beyond the mark", { budget: { freeze: 1, pause: 1 } }],
  [["recovery"], "marked, and in nobody's hands", { budget: { crash: 1 } }],
  [["memoryIsTruth"], "marked, and in nobody's hands", { budget: { lostReply: 1 } }],
  [["memoryIsTruth", "closesFull"], "nobody's", { budget: { lostReply: 1 } }],
  [["dropFirst"], "sent twice", { budget: { lostReply: 1, pause: 1 } }],
  [["readsRows"], "skipped and sent", { suppressed: [1], budget: { lostReply: 1, optIn: 1 } }],
  [["writesOnce"], "counters differ from rows", { budget: { lostReply: 1 } }],
  [["waitsForOpen"], "ended without everybody", { ...one, budget: {} }],
  [["looksAtCampaign"], "skipped and sent", { budget: { stop: 1 } }],
  [["closesUnmarked"], "skipped and sent", { budget: { stop: 1 } }],
  [["mergeCompares"], "sent twice", { ...one, budget: { refusal: 1, lostReply: 1 } }],
  [["claimFirst"], "sent twice", { ...one, budget: { failedCommit: 1 } }],
  [["claimFencing"], "sent twice", { ...one, budget: { lostReply: 1 } }],
  [["sweep"], "in doubt although a receipt is there", { ...one, budget: { silence: 1 } }],
  [["settlementLocksCampaign"], "statement differs from rows", { ...one, budget: { silence: 1 } }],
  [["settlementLocksCampaign"], "ended without everybody", { ...one, onUncertain: "resend", budget: { silence: 1, stop: 1 } }],
  [["amends"], "statement differs from rows", { ...one, budget: { freeze: 1 } }],
  [["claimReadsReceipts"], "sent again although a receipt was there", { ...one, onUncertain: "resend", budget: { silence: 1 } }],
  [["repliesProveNothing"], "never ends", { ...one, onUncertain: "resend", budget: { silence: 1, refusal: 1, reply: 1 } }],
  [["doubtOutlivesResend"], "skipped and sent", { ...one, onUncertain: "resend", budget: { silence: 1, stop: 1 } }],
  [["doubtOutlivesResend"], "failed and sent", { ...one, onUncertain: "resend", budget: { silence: 1, refusal: 1 } }],
  [["cutShortens"], "written beyond the mark", { cuts: true, budget: {} }],
];

describe("every rule is needed", () => {
  test.each(broken)("without %s: %s", (off, violation, options) => {
    expect(visit(options, off).violation?.name).toBe(violation);
    expect(visit(options).violation).toBeNull();
  });

  test("every rule was switched off once", () => {
    expect([...new Set(broken.flatMap(([off]) => off))].sort()).toEqual(Object.keys(rules).sort());
  });
});
