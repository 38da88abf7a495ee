// Module hooks: while worlds are simulated, each store that the engine uses is its twin in memory. With a patch (wrong.ts), one module
// of the engine is read with one of its rules broken.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** What takes whose place, by the end of its address; `from`: only where that module imports it. */
const twins = [
  ...["batch", "complete", "due", "limits", "lot", "message"].map((name) => ({
    of: `/src/flow/dispatch/${name}-store.ts`,
    by: `./store/${name}-store.ts`,
  })),
  { of: "/src/flow/campaign/store.ts", by: "./store/campaign-store.ts" },
  { of: "/src/flow/campaign/close-store.ts", by: "./store/close-store.ts" },
  { of: "/src/flow/campaign/regression-store.ts", by: "./store/regression-store.ts" },
  { of: "/src/runtime/clock.ts", by: "./memory/system.ts", from: "/src/runtime/postgres.ts" },
  { of: "/src/runtime/luck.ts", by: "./memory/system.ts", from: "/src/runtime/postgres.ts" },
];

let patch = null;

export async function initialize(data) {
  patch = data.patch;
}

const pathOf = (url = "") => url.split("?")[0] ?? "";

export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const twin = twins.find(({ of, from = "" }) => pathOf(found.url).endsWith(of) && pathOf(context.parentURL).endsWith(from));
  if (twin === undefined) return found;
  const { href } = new URL(twin.by, import.meta.url);
  return pathOf(context.parentURL) === href ? found : next(href, context);
}

export async function load(url, context, next) {
  if (patch === null || !pathOf(url).endsWith(patch.file)) return next(url, context);
  const source = await readFile(fileURLToPath(pathOf(url)), "utf8");
  const pieces = source.split(patch.from);
  if (pieces.length !== 2) throw new Error(`${patch.file} has ${pieces.length - 1} times what was to be broken: ${patch.from}`);
  const { default: ts } = await import("typescript");
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true };
  return { format: "module", shortCircuit: true, source: ts.transpileModule(pieces.join(patch.to), { compilerOptions: options }).outputText };
}
