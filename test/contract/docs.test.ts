import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("the generated pages say what the code says (npx tsx docs/generate.ts writes them anew)", async () => {
  const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
  const { stderr } = await promisify(execFile)(process.execPath, [path("node_modules/tsx/dist/cli.mjs"), path("docs/generate.ts"), "--check"]);
  expect(stderr).toBe("");
});
