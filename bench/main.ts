/** `npm run bench` (see README.md): runs the contenders in interleaved rounds, and writes what came out. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import postgres from "postgres";
import { chartOf } from "./chart.ts";
import { factsOf } from "./facts.ts";
import { chosen, type EntryName, sizes, taskOf } from "./plan.ts";
import { progressOf } from "./progress.ts";
import { type Findings, jsonOf, reportOf } from "./report.ts";
import { startPostgres, startRedis } from "./servers.ts";
import { cpuOf, type Round } from "./stats.ts";
import { dropAll, type Ground, runTrial, type Task, type Trial } from "./trial.ts";

/** Of the project: what runs is a copy of it (start.mjs). */
const root = process.cwd();
const USAGE = `npm run bench -- [--quick] [--json] [--only <names>] [--rounds <n>] [--out <folder>]

  --quick    small sizes, and no round is begun that would not end within two minutes
  --json     print one line of JSON, last, on standard output
  --only     a comma list of contenders or comparisons (engine, floor, http0, sizes …)
  --rounds   rounds at the most (5; with --quick 3)
  --out      write RESULTS.md and bench.svg there. Without it only a full run of at least five rounds writes, to bench/ and docs/
`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    only: { type: "string" },
    rounds: { type: "string" },
    out: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** A quick run ends within two minutes, its servers' end included. */
const QUICK_MAX_MS = 100_000;
const FULL_ROUNDS = 5;
const rounds = Number(options.rounds ?? (options.quick ? 3 : FULL_ROUNDS));
const size = options.quick ? "quick" : "full";
const only = options.only?.split(",").map((name) => name.trim()) ?? null;
const withSizes = only === null ? !options.quick : only.includes("sizes");
const startedAt = performance.now();

interface Bench {
  readonly ground: Ground;
  readonly names: readonly EntryName[];
}

async function roundsOf({ ground, names }: Bench): Promise<Round[]> {
  const done: Round[] = [];
  const progress = progressOf(rounds * names.length);
  let longestMs = 0;
  for (let round = 1; names.length > 0 && round <= rounds; round++) {
    const beganAt = performance.now();
    if (options.quick && beganAt - startedAt + longestMs > QUICK_MAX_MS) break;
    const trials: Partial<Record<EntryName, Trial>> = {};
    // Every other round the other way round: nobody always comes after the same one.
    for (const name of round % 2 === 1 ? names : names.toReversed()) trials[name] = await runNoted(taskOf(name, size), { ground, round, progress });
    done.push(trials);
    longestMs = Math.max(longestMs, performance.now() - beganAt);
  }
  progress.end();
  return done;
}

async function grownOf(ground: Ground): Promise<{ recipients: number; trial: Trial }[]> {
  const grown: { recipients: number; trial: Trial }[] = [];
  if (!withSizes) return grown;
  const progress = progressOf(sizes.length);
  for (const recipients of sizes) {
    grown.push({ recipients, trial: await runNoted(taskOf("engine", recipients), { ground, round: null, progress }) });
  }
  progress.end();
  return grown;
}

interface Noting {
  readonly ground: Ground;
  readonly round: number | null;
  readonly progress: ReturnType<typeof progressOf>;
}

async function runNoted(task: Task, { ground, round, progress }: Noting): Promise<Trial> {
  const where = round === null ? task.n.toLocaleString("en") : `round ${round} of ${rounds}`;
  progress.begin(`${where}: ${task.name}`);
  const trial = await runTrial(task, ground);
  const { perSecond, walBytes, rssMb } = trial;
  progress.done([
    where,
    task.name.padEnd(13),
    `${Math.round(perSecond).toLocaleString("en").padStart(9)} /s`,
    `${cpuOf(trial).toFixed(1).padStart(7)} µs (Node ${trial.nodeCpuUs.toFixed(1)})`,
    `${walBytes.toFixed(0).padStart(6)} B WAL`,
    `${rssMb.toFixed(0).padStart(5)} MB`,
  ]);
  return trial;
}

function write(findings: Findings): void {
  const complete = only === null && !options.quick && findings.rounds.length >= FULL_ROUNDS;
  if (options.out === undefined && !complete) return;
  const [report, chart] = options.out === undefined ? [join(root, "bench"), join(root, "docs")] : [options.out, options.out];
  for (const folder of [report, chart]) mkdirSync(folder, { recursive: true });
  const svg = chartOf(findings.rounds, findings.facts.slice(0, 2));
  writeFileSync(join(report, "RESULTS.md"), reportOf(findings));
  if (svg !== null) writeFileSync(join(chart, "bench.svg"), svg);
  process.stderr.write(`Written: ${join(report, "RESULTS.md")}${svg === null ? "" : `, ${join(chart, "bench.svg")}`}\n`);
}

async function bench(ground: Ground): Promise<void> {
  const names = chosen(only, { quick: options.quick, redis: ground.redisUrl !== null });
  const facts = await factsOf(ground.admin, ground.redisUrl);
  for (const fact of facts) process.stderr.write(`${fact}\n`);
  const findings: Findings = {
    facts,
    rounds: await roundsOf({ ground, names }),
    grown: await grownOf(ground),
    sizeOf: (name) => taskOf(name, size).n,
  };
  write(findings);
  const result = jsonOf(findings);
  if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
  else process.stdout.write(`\n${JSON.stringify(result, null, 2)}\n`);
}

/** Opens the servers, and closes what was opened, the last first, whatever happens. */
async function run(): Promise<void> {
  const told = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => told.abort());
  const closing: (() => unknown)[] = [];
  try {
    await bench(await openGround(told.signal, closing));
  } catch (error) {
    if (!told.signal.aborted) throw error;
    process.stderr.write("Stopped; nothing is written.\n");
    process.exitCode = 130;
  } finally {
    for (const close of closing.toReversed()) await close();
  }
}

async function openGround(told: AbortSignal, closing: (() => unknown)[]): Promise<Ground> {
  // Beside node_modules, not in the system's folder for temporary files: that may be in memory, where a commit costs nothing.
  mkdirSync(join(root, ".cache"), { recursive: true });
  const dir = mkdtempSync(join(root, ".cache", "bench-"));
  closing.push(() => rmSync(dir, { recursive: true, force: true }));
  const server = await startPostgres(join(dir, "postgres"));
  closing.push(server.stop);
  const redis = await startRedis(dir);
  if (redis === null) process.stderr.write("There is no redis-server: BullMQ is left out. (apt-get install redis-server, or set BENCH_REDIS_URL.)\n");
  else closing.push(redis.stop);
  const admin = postgres(server.url, { max: 1, onnotice: () => {} });
  const prefix = `campanile_bench_${process.pid}_`;
  const ground = { admin, databaseUrl: server.url, redisUrl: redis?.url ?? null, dir, prefix, told };
  closing.push(
    () => admin.end(),
    () => dropAll(ground).catch(() => {}), // a server that is gone has nothing left to drop
  );
  return ground;
}

if (options.help) process.stdout.write(USAGE);
else await run();
