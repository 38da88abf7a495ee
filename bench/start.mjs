// `npm run bench`: brings what only the bench needs (Node 24, the packages it compares with), and runs it under that Node.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const NODE = "24.21.0";
const bench = dirname(fileURLToPath(import.meta.url));
const root = dirname(bench);

/** npm, its words on standard error: standard output is the result's alone. */
function npm(args, what) {
  process.stderr.write(`${what} …\n`);
  const quiet = ["--no-audit", "--no-fund", "--loglevel", "error"];
  const { status } = spawnSync("npm", [...args, ...quiet], { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  if (status !== 0) {
    process.stderr.write(`${what} failed: npm ${args.join(" ")} ended with ${status}.\n`);
    process.exit(1);
  }
}

/** This Node when it is new enough, else one from npm, kept where .ci/run keeps its own. */
function node24() {
  if (Number.parseInt(process.versions.node, 10) >= 24) return process.execPath;
  const prefix = join(root, ".cache", "node24");
  const path = join(prefix, "node_modules", ".bin", "node");
  if (!existsSync(path)) {
    npm(["install", "--no-save", "--prefix", prefix, `node-${process.platform}-${process.arch}@${NODE}`], `Installing Node ${NODE} for the bench`);
  }
  return path;
}

const node = node24();
process.env.PATH = `${dirname(node)}${delimiter}${process.env.PATH}`;
const installed = join(bench, "node_modules", ".package-lock.json");
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(join(bench, "package-lock.json")).mtimeMs) {
  npm(["ci", "--prefix", bench, "--ignore-scripts"], "Installing what the bench compares with");
}

// What is measured is the source as it is now, whoever edits it meanwhile, built as it is published: in a folder inside of the project, so
// that its packages are found.
mkdirSync(join(root, ".cache"), { recursive: true });
const copy = mkdtempSync(join(root, ".cache", "bench-source-"));
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
const modules = join(bench, "node_modules");
for (const name of ["src", "vendor", "db", "bench", "package.json"]) {
  cpSync(join(root, name), join(copy, name), { recursive: true, filter: (path) => path !== modules });
}
const built = join(copy, "built", "bench");
const build = { noEmit: false, noCheck: true, outDir: join(copy, "built"), rootDir: copy, types: ["node"] };
writeFileSync(
  join(copy, "tsconfig.json"),
  JSON.stringify({
    extends: join(root, "tsconfig.node.json"),
    compilerOptions: build,
    include: ["src", "vendor", "bench"],
    exclude: ["**/*.test.ts"],
  }),
);
const { status } = spawnSync(node, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", copy], { stdio: ["ignore", 2, 2] });
if (status !== 0) process.exit(1);
const pages = join("src", "doors", "http"); // beside its code the product reads pages and styles
cpSync(join(root, pages), join(copy, "built", pages), { recursive: true, filter: (path) => !path.endsWith(".ts") });
cpSync(join(bench, "package.json"), join(built, "package.json"));
symlinkSync(modules, join(built, "node_modules"), "junction");

const child = spawn(node, [join(built, "main.js"), ...process.argv.slice(2)], { stdio: "inherit", cwd: root });
// A terminal's Ctrl-C reaches the child too: it ends its servers, then itself.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => signal !== "SIGINT" && child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
