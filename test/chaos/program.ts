import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
const READY_MAX_MS = 60_000;
const LAST_LINES_MAX = 12;

export interface Program {
  /** The file to run. */
  readonly path: string;
  remove(): void;
}

/**
 * The whole product in one file, as it is now: nobody who edits it changes a run of an hour, and a process is up in 0.4 s of CPU, where
 * it takes 0.9 from its modules and 2.2 through tsx. Five hundred of them die in ten minutes.
 */
export async function bundle(): Promise<Program> {
  mkdirSync(join(root, ".cache"), { recursive: true });
  const dir = mkdtempSync(join(root, ".cache", "chaos-"));
  const path = join(dir, "src", "main.js");
  // What is CommonJS in it asks for require; pages are read from beside the code that serves them.
  const banner = { js: 'import { createRequire as requireOf } from "node:module"; const require = requireOf(import.meta.url);' };
  await build({
    entryPoints: [join(root, "src/main.ts")],
    outfile: path,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    banner,
    logLevel: "error",
  });
  cpSync(join(root, "src/doors/http"), join(dir, "src"), { recursive: true, filter: (file) => !file.endsWith(".ts") });
  return { path, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** What all processes logged, by level and sentence. */
export interface LogBook {
  note(line: string): boolean;
  /** The most frequent first: how often, the sentence, and the first cause that came with it. */
  entries(): { readonly level: string; readonly msg: string; readonly count: number; readonly cause: string }[];
}

export function logBook(): LogBook {
  const seen = new Map<string, { level: string; msg: string; count: number; cause: string }>();
  return {
    note(line) {
      try {
        const { level, msg, err } = JSON.parse(line) as { level: string; msg: string; err?: { message?: string; code?: string } };
        const cause = err === undefined ? "" : `${err.code ?? ""} ${err.message ?? ""}`.trim();
        const entry = seen.get(`${level} ${msg}`) ?? { level, msg, count: 0, cause };
        seen.set(`${level} ${msg}`, entry);
        entry.count++;
        return true;
      } catch {
        return false;
      }
    },
    entries: () => [...seen.values()].sort((a, b) => b.count - a.count),
  };
}

export interface Child {
  readonly pid: number;
  /** What it said first on its standard output: it does its work now. Rejects when it ended before. */
  readonly ready: Promise<Readonly<Record<string, unknown>>>;
  readonly ended: Promise<number | null>;
  readonly hasEnded: boolean;
  /** The last lines it wrote that are no log: how it died, if it did. */
  readonly said: readonly string[];
  kill(signal: NodeJS.Signals): void;
}

/** Nobody outlives this process, however it ends. */
const alive = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** One command of the program, in a process with nothing of our environment. */
export function start({ path }: Program, args: readonly string[], { env, log }: { env: Readonly<Record<string, string>>; log: LogBook }): Child {
  const child = spawn(process.execPath, [path, ...args, "--json"], {
    cwd: root,
    detached: true, // Ctrl-C ends this program, which ends the others in order
    env: { PATH: process.env["PATH"] ?? "", LOG_LEVEL: "warn", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  alive.add(child);
  const said: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (log.note(line) || line.trim() === "") return;
    said.push(line);
    if (said.length > LAST_LINES_MAX) said.shift();
  });
  let hasEnded = false;
  const ended = new Promise<number | null>((resolve) =>
    child.once("exit", (code) => {
      hasEnded = true;
      alive.delete(child);
      resolve(code);
    }),
  );
  const ready = firstLine(child, ended, said);
  ready.catch(() => {});
  return {
    pid: child.pid ?? 0,
    ready,
    ended,
    said,
    get hasEnded() {
      return hasEnded;
    },
    kill: (signal) => void child.kill(signal),
  };
}

async function firstLine(child: ChildProcess, ended: Promise<number | null>, said: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  if (child.stdout === null) throw new Error("no standard output");
  const lines = createInterface({ input: child.stdout });
  const died = ended.then((code) => {
    throw new Error(`it ended with ${code} before it was ready: ${said.join(" | ")}`);
  });
  died.catch(() => {});
  const [line] = await Promise.race([once(lines, "line", { signal: AbortSignal.timeout(READY_MAX_MS) }), died]);
  const told = JSON.parse(String(line)) as Readonly<Record<string, unknown>>;
  // A command that fails says so in JSON too.
  if ("error" in told) throw new Error(JSON.stringify(told["error"]));
  return told;
}
