import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const page = fileURLToPath(new URL("../../docs/faults.md", import.meta.url));
const text = readFileSync(page, "utf8");
const rows = text.split("\n").filter((line) => line.startsWith("| ") && !line.startsWith("| when …"));
const cited = [...text.matchAll(/\[([\w-]+)\]\((\.\.\/[\w./-]+\.test\.ts)\) "([^"]+)"/g)].map(([, label = "", path = "", name = ""]) => ({
  label,
  path,
  name,
}));

/** The names of the tests of a file, as they are written there. */
const namesIn = (source: string): string[] =>
  [...source.matchAll(/^\s*(?:test|describe)(?:\.\w+)?\(\s*"((?:[^"\\]|\\.)*)"|^\s*\]?\)?(?:.*\))?\(\s*"((?:[^"\\]|\\.)*)"/gm)].map(
    ([, plain, each]) => plain ?? each ?? "",
  );

describe("docs/faults.md tells of tests that are there:", () => {
  test.each(cited)("$path $name", ({ label, path, name }) => {
    const file = join(dirname(page), path);
    expect(existsSync(file)).toBe(true);
    expect(path.endsWith(`/${label}.test.ts`)).toBe(true);
    const source = readFileSync(file, "utf8");
    expect(namesIn(source).filter((one) => one.startsWith(name))).toHaveLength(1);
    expect(source).not.toMatch(new RegExp(`\\.(?:fails|skip|todo)\\(\\s*"${name.replace(/[^\w ]/g, ".")}`));
  });

  test("every row names one", () => {
    expect(rows.length).toBeGreaterThan(40);
    expect(rows.filter((row) => !/\.test\.ts\) "/.test(row))).toEqual([]);
    expect(cited.length).toBe(text.split(".test.ts)").length - 1);
  });
});
