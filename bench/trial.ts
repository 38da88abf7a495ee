import { type ChildProcess, fork } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type postgres from "postgres";
import { codeOf, type Options, type Order, type Place, type Report } from "./contender.ts";
import { read } from "./meter.ts";

/** What is the same for all runs of this bench. */
export interface Ground {
  readonly admin: postgres.Sql;
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  readonly dir: string;
  /** Every database of this bench begins so. */
  readonly prefix: string;
  /** Aborted by Ctrl-C: the child that works is ended. */
  readonly told: AbortSignal;
}

export interface Task {
  readonly name: string;
  readonly file: string;
  readonly n: number;
  readonly options: Options;
  /** It uses Redis: then that server's time is its own. */
  readonly redis: boolean;
}

/** What one run took. CPU in microseconds and WAL in bytes per message. */
export interface Trial {
  readonly perSecond: number;
  readonly ms: number;
  readonly nodeCpuUs: number;
  readonly postgresCpuUs: number | null;
  readonly redisCpuUs: number | null;
  readonly walBytes: number;
  readonly rssMb: number;
}

/** As `bin/campanile.mjs` starts itself; the same for all. */
const NODE_FLAGS = ["--max-semi-space-size=32"];
/** Messages each contender sends before the clock starts: enough for its code to be compiled, a second or two for the slowest. */
const REHEARSAL = 5_000;
/** A run may hang; nobody waits for it longer. */
const RUN_MAX_MS = 30 * 60_000;
const prepared = new Set<string>();

/** Runs a contender once, in a process and a database of its own. Throws when it did not do all of its work, or more than that. */
export async function runTrial(task: Task, ground: Ground): Promise<Trial> {
  const [name, small] = [`${ground.prefix}run`, `${ground.prefix}rehearsal`];
  try {
    const rehearsal = await freshPlace({ ...task, n: Math.min(task.n, REHEARSAL) }, ground, small);
    const place = await freshPlace(task, ground, name);
    await inChild({ do: "fill", file: task.file, place: rehearsal }, ground);
    return await inChild({ do: "run", file: task.file, place, rehearsal }, ground);
  } catch (error) {
    throw new Error(`${task.name} with ${task.n}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    await drop(ground.admin, name);
    await drop(ground.admin, small);
  }
}

/** Copied as files, between two checkpoints: every run begins in the same state, with nothing in the cache. */
async function freshPlace(task: Task, ground: Ground, name: string): Promise<Place> {
  const template = await templateFor(task, ground);
  await drop(ground.admin, name);
  await ground.admin.unsafe(`create database ${name} template ${template} strategy file_copy`);
  return placeOf(task, ground, name);
}

/** The database that `prepare` filled, made when it is first needed. */
async function templateFor(task: Task, ground: Ground): Promise<string> {
  const key = createHash("sha256").update(`${task.file} ${task.n} ${task.options.cap} ${task.options.bare}`).digest("hex").slice(0, 12);
  const name = `${ground.prefix}${key}`;
  if (!prepared.has(name)) {
    await drop(ground.admin, name);
    await ground.admin.unsafe(`create database ${name} template template0 encoding 'UTF8'`);
    await inChild({ do: "prepare", file: task.file, place: placeOf(task, ground, name) }, ground);
    prepared.add(name);
  }
  return name;
}

const drop = (admin: postgres.Sql, name: string) => admin.unsafe(`drop database if exists ${name} with (force)`);

export async function dropAll({ admin, prefix }: Ground): Promise<void> {
  const left = await admin<{ name: string }[]>`select datname as name from pg_database where starts_with(datname, ${prefix})`;
  for (const { name } of left) await drop(admin, name);
}

function placeOf({ n, options, redis }: Task, { databaseUrl, redisUrl, dir }: Ground, database: string): Place {
  const url = new URL(databaseUrl);
  url.pathname = `/${database}`;
  return { databaseUrl: url.href, redisUrl: redis ? redisUrl : null, dir, n, options };
}

async function inChild(order: Exclude<Order, { do: "go" }>, ground: Ground): Promise<Trial> {
  ground.told.throwIfAborted();
  const { n, redisUrl } = order.place;
  // Half of what it takes to load a child, before anything is measured.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(ground.dir, "compiled") };
  const child = fork(fileURLToPath(codeOf("child.ts")), { stdio: ["ignore", 2, 2, "ipc"], execArgv: NODE_FLAGS, env });
  const tell = (said: Order) => child.send(said);
  const kill = () => child.kill("SIGKILL");
  const timer = setTimeout(kill, RUN_MAX_MS);
  ground.told.addEventListener("abort", kill);
  try {
    const reports = listen(child);
    tell(order);
    if (order.do !== "run") {
      await reports("done");
      return nothing;
    }
    await reports("rehearsed");
    await inChild({ do: "fill", file: order.file, place: order.place }, ground);
    tell({ do: "go" });
    await reports("ready");
    const before = await read(ground.admin, redisUrl);
    tell({ do: "go" });
    const { ms, cpuUs, rssMb } = await reports("worked");
    const after = await read(ground.admin, redisUrl);
    tell({ do: "go" });
    const { count } = await reports("done");
    if (count !== n) throw new Error(`${count} were done, not ${n}`);
    const each = (now: number | null, then: number | null) => (now === null || then === null ? null : (now - then) / n);
    return {
      perSecond: (n / ms) * 1_000,
      ms,
      nodeCpuUs: cpuUs / n,
      postgresCpuUs: each(after.postgresCpuUs, before.postgresCpuUs),
      redisCpuUs: each(after.redisCpuUs, before.redisCpuUs),
      walBytes: (after.walBytes - before.walBytes) / n,
      rssMb,
    };
  } finally {
    clearTimeout(timer);
    ground.told.removeEventListener("abort", kill);
    if (child.exitCode === null) kill();
  }
}

const nothing: Trial = { perSecond: 0, ms: 0, nodeCpuUs: 0, postgresCpuUs: null, redisCpuUs: null, walBytes: 0, rssMb: 0 };

type At<Name extends Report["at"]> = Extract<Report, { at: Name }>;

/** Waits for one report after the other; a child that ends before it has reported has failed, and said why on standard error. */
function listen(child: ChildProcess): <Name extends Report["at"]>(at: Name) => Promise<At<Name>> {
  const come: Report[] = [];
  let ended: Error | null = null;
  let wake = () => {};
  child.on("message", (report) => {
    come.push(report as Report);
    wake();
  });
  child.on("exit", (code, signal) => {
    ended = new Error(`its process ended with ${signal ?? code}`);
    wake();
  });
  return async (at) => {
    for (;;) {
      const report = come.shift();
      if (report !== undefined) {
        if (report.at !== at) throw new Error(`its process said ${report.at}, not ${at}`);
        return report as At<typeof at>;
      }
      if (ended !== null) throw ended;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
}
