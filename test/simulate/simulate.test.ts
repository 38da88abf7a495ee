import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { wrongs } from "./wrong.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const OUTPUT_MAX = 64 * 1024 * 1024;

interface Result {
  readonly ok: boolean;
  readonly campaigns: number;
  readonly happened: Readonly<Record<string, number>>;
  readonly failure: { readonly seed: number; readonly faults: readonly string[] } | null;
}

/** A process of its own: the stores of its engine are replaced by their twins in memory. */
const simulate = (...args: string[]) =>
  new Promise<string>((resolve, reject) =>
    execFile(process.execPath, ["--import", "tsx", MAIN, ...args], { maxBuffer: OUTPUT_MAX }, (error, stdout, stderr) =>
      error !== null && typeof error.code !== "number" ? reject(error) : resolve(stdout || stderr),
    ),
  );

const result = async (...args: string[]) => JSON.parse(await simulate(...args, "--json")) as Result;

test("hundreds of small campaigns, with all that can go wrong: every promise is kept", { timeout: 120_000 }, async () => {
  const { ok, campaigns, happened, failure } = await result("--seed", "1", "--campaigns", "600");
  expect(failure).toBeNull();
  expect(ok).toBe(true);
  expect(campaigns).toBeGreaterThanOrEqual(600);
  for (const kind of ["crash", "freeze", "stop", "lost", "error", "restart"]) expect(happened[kind], kind).toBeGreaterThan(0);
});

test("the same seed is the same world, to the last statement", { timeout: 60_000 }, async () => {
  const [once, again, other] = await Promise.all([
    simulate("--seed", "16", "--trace"),
    simulate("--seed", "16", "--trace"),
    simulate("--seed", "17", "--trace"),
  ]);
  expect(once).toContain("every promise was kept");
  expect(again).toBe(once);
  expect(other).not.toBe(once);
});

test.each(Object.entries(wrongs))("an engine in which %s is found out", { timeout: 120_000 }, async (name, { breaks }) => {
  const { failure } = await result("--seed", "1", "--campaigns", "600", "--jobs", "1", "--wrong", name);
  expect(failure?.faults.join("; ")).toMatch(breaks);
});
