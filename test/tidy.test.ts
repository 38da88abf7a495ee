import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

const LINES_MAX = 300;
/** Names that say nothing about what a thing is. */
const EMPTY_NAMES = /(manager|service|helper|util|common|misc|info|processor)/i;

const tracked = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], { encoding: "utf8" }).trim().split("\n");
const code = tracked.filter((path) => /^(src|vendor|test|bin|docs|examples|bench)\/.*\.(ts|mjs|js)$/.test(path));
const product = code.filter((path) => /^(src|vendor)\//.test(path) && !path.endsWith(".test.ts"));
const read = (path: string) => readFileSync(path, "utf8");
const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "");

test("there is something to look at", () => {
  expect(product.length).toBeGreaterThan(50);
});

describe.each(code)("%s", (path) => {
  const text = read(path);

  test("is short enough, and says what it is in its name", () => {
    if (!/\.test\.ts$/.test(path)) expect(text.split("\n").length).toBeLessThanOrEqual(LINES_MAX);
    expect(path.split("/").at(-1)).not.toMatch(EMPTY_NAMES);
    expect(withoutComments(text)).not.toMatch(/\b(?:class|interface|type) \w*(Manager|Service|Helper|Util|Processor)\b/);
  });

  test("promises nothing for later, and hides no type", () => {
    if (path === "test/tidy.test.ts") return;
    expect(text).not.toMatch(/\b(TODO|FIXME|XXX|HACK)\b/);
    expect(text).not.toMatch(/@ts-ignore|@ts-nocheck/);
    expect(text).not.toMatch(/\b(it|test|describe)\.(skip|only|todo)\b/);
  });
});

describe.each(product.filter((path) => path.startsWith("src/") && !path.startsWith("src/runtime/")))("%s", (path) => {
  const text = withoutComments(read(path));

  test("knows neither time nor luck by itself", () => {
    if (/^src\/doors\/(cli\/|http\/.*\.js$)/.test(path)) return; // a command lives in real time, and so does a page in a browser
    expect(text).not.toMatch(/Date\.now|new Date\(\)|Math\.random|\bset(Timeout|Interval)\(|performance\.now|randomUUID|randomBytes/);
  });

  test("asks Postgres for the time through campanile.clock() only", () => {
    expect(text).not.toMatch(/(?<![.\w])now\(\)\s*(-|\+|,|\)|as)|clock_timestamp|current_timestamp|statement_timestamp|transaction_timestamp/i);
  });

  test("speaks SQL in a store only, and never opens a transaction by itself", () => {
    expect(text).not.toMatch(/\b(sql|tx)\.(begin|reserve)\(/);
    if (!/store\.ts$/.test(path)) expect(text).not.toMatch(/\b(sql|tx)(<[^`]*>)?`/);
  });
});

describe("the schema", () => {
  const migrations = tracked.filter((path) => path.startsWith("db/migrations/"));

  test.each(migrations)("%s takes its time from campanile.clock()", (path) => {
    const text = read(path)
      .replace(/--.*$/gm, "")
      .replace(/create function campanile\.clock\(\)[^;]*;/, "");
    expect(text).not.toMatch(/\bnow\(\)|clock_timestamp|current_timestamp/i);
  });
});

test("versions are exact", () => {
  const { dependencies, devDependencies, optionalDependencies } = JSON.parse(read("package.json")) as Record<string, Record<string, string>>;
  for (const version of Object.values({ ...dependencies, ...devDependencies, ...optionalDependencies }))
    expect(version).toMatch(/^\d+\.\d+\.\d+(-[\w.]+)?$/);
});
