import { expect, test } from "vitest";
import { createLog } from "./log.ts";

function recorder(isTTY: boolean) {
  const lines: string[] = [];
  return { lines, sink: { isTTY, write: (line: string) => lines.push(line) } };
}

test("a line is one JSON object with the level in words", () => {
  const { lines, sink } = recorder(false);
  createLog("info", sink).info({ campaignId: "a", bytes: 12_345_678_901 }, "Campaign started");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({ level: "info", msg: "Campaign started", campaignId: "a", bytes: 12_345_678_901 });
});

test.each([
  ["a bearer token", { msg: "got Bearer abc.DEF-123" }, "abc.DEF"],
  ["a key of ours", { msg: "key cpk_canary_123" }, "canary"],
  ["a token of Meta's", { cause: `token EAA${"x".repeat(40)} expired` }, "xxxx"],
  ["a password in an address", { url: "postgres://me:canary@host/db" }, "canary"],
  ["a phone", { to: "+919876543210" }, "98765"],
  ["a phone without plus, in a sentence", { msg: "to 919876543210, twice" }, "98765"],
  ["a field that is named like a secret", { sender: { accessToken: "canary" } }, "canary"],
  ["an error's message", { err: new Error("no answer for +919876543210") }, "98765"],
])("%s is masked", (_what, fields, leak) => {
  const { lines, sink } = recorder(false);
  createLog("info", sink).warn(fields, "msg" in fields ? String(fields.msg) : "");
  expect(lines.join("")).not.toContain(leak);
  expect(lines.join("")).toContain("***");
});

test("a terminal gets short lines", () => {
  const { lines, sink } = recorder(true);
  createLog("info", sink).info({ lot: 3 }, "Lot done");
  expect(lines[0]).toMatch(/^\d\d:\d\d:\d\d info {2}Lot done \{"lot":3\}\n$/);
});

test("what is below the level is not written", () => {
  const { lines, sink } = recorder(false);
  createLog("warn", sink).info("hello");
  expect(lines).toEqual([]);
});
