import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Ledger, type LedgerLine, openLedger, readLedger } from "./ledger.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "campanile-ledger-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const line = (n: number): LedgerLine => ({
  at: "2026-01-01T00:00:00.000Z",
  begunAt: "2026-01-01T00:00:00.000Z",
  phoneNumberId: "1",
  to: "+16505551234",
  wamid: `wamid.${n}`,
  reference: null,
  campaign: null,
  stage: null,
  position: null,
  attempt: null,
  kind: "text",
});
const append = (ledger: Ledger, n: number) => new Promise<Error | null>((resolve) => ledger.append(line(n), resolve));
const wamids = (lines: readonly LedgerLine[]) => lines.map(({ wamid }) => wamid);
const numbers = (count: number) => Array.from({ length: count }, (_, n) => `wamid.${n}`);

describe.each([
  ["fsync", true],
  ["no fsync", false],
])("a file with %s", (_, fsync) => {
  test("keeps every line in order; a settled line is in the file", async () => {
    const path = join(folder, "deep", "ledger.jsonl");
    const ledger = openLedger(path, { fsync });
    const settled: number[] = [];
    await Promise.all(
      Array.from({ length: 500 }, async (__, n) => {
        expect(await append(ledger, n)).toBeNull();
        expect(readFileSync(path, "utf8")).toContain(`"wamid.${n}"`);
        settled.push(n);
      }),
    );
    expect(settled).toEqual(Array.from({ length: 500 }, (__, n) => n));
    await ledger.close();
    expect(wamids(await readLedger(path))).toEqual(numbers(500));
    expect(readFileSync(path, "utf8").split("\n")).toHaveLength(501);
  });

  test("goes on where it ended", async () => {
    const path = join(folder, "ledger.jsonl");
    for (const n of [0, 1, 2]) {
      const ledger = openLedger(path, { fsync });
      await append(ledger, n);
      await ledger.close();
    }
    expect(wamids(await readLedger(path))).toEqual(numbers(3));
  });

  test("is readable while it grows, and says all that was appended before the question", async () => {
    const ledger = openLedger(join(folder, "ledger.jsonl"), { fsync });
    for (let n = 0; n < 3; n++) ledger.append(line(n), () => {});
    const seen: LedgerLine[] = [];
    for await (const each of ledger.lines()) seen.push(each);
    expect(wamids(seen)).toEqual(numbers(3));
    await ledger.close();
  });

  test.each([
    ["half a line", '{"at":"2026-01-01T00'],
    ["the padding of a killed vendor", "\n".repeat(200_000)],
    ["half a line in its padding", `{"at":"2026${"\n".repeat(100_000)}`],
    ["nothing", ""],
  ])("is cut after its last whole line when it ends with %s", async (__, tail) => {
    const path = join(folder, "ledger.jsonl");
    writeFileSync(path, `${JSON.stringify(line(0))}\n${JSON.stringify(line(1))}\n`);
    appendFileSync(path, tail);
    const ledger = openLedger(path, { fsync });
    await append(ledger, 2);
    await ledger.close();
    expect(readFileSync(path, "utf8")).toBe([0, 1, 2].map((n) => `${JSON.stringify(line(n))}\n`).join(""));
  });

  test("a whole last line without its line break is kept", async () => {
    const path = join(folder, "ledger.jsonl");
    writeFileSync(path, JSON.stringify(line(0)));
    const ledger = openLedger(path, { fsync });
    await append(ledger, 1);
    await ledger.close();
    expect(wamids(await readLedger(path))).toEqual(numbers(2));
  });
});

test("a file that cannot be written says so, for this line and every later one", async () => {
  const ledger = openLedger("/dev/full", { fsync: false });
  expect(await append(ledger, 0)).toMatchObject({ code: "ENOSPC" });
  expect(await append(ledger, 1)).toMatchObject({ code: "ENOSPC" });
});

test("while it is open, the file is laid out ahead of its lines", async () => {
  const path = join(folder, "ledger.jsonl");
  const ledger = openLedger(path, { fsync: true });
  await append(ledger, 0);
  expect(statSync(path).size).toBeGreaterThan(200_000);
  expect(wamids(await readLedger(path))).toEqual(numbers(1));
  await ledger.close();
  expect(statSync(path).size).toBe(JSON.stringify(line(0)).length + 1);
});

test("in memory: kept until cleared", async () => {
  const ledger = openLedger(null, { fsync: true });
  await append(ledger, 0);
  const count = async () => {
    let lines = 0;
    for await (const _ of ledger.lines()) lines++;
    return lines;
  };
  expect(await count()).toBe(1);
  ledger.clear();
  expect(await count()).toBe(0);
});
