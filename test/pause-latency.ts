/**
 * Pauses a campaign again and again while four engines, each a process of its own, send it at full speed to the vendor over HTTP: how long
 * a pause takes to be acknowledged, and what leaves after that. Its own program, for the minute it takes and because its figure is a time:
 * `npx tsx test/pause-latency.ts [pauses]`. Postgres is the one DATABASE_URL names, in a database of its own, else an embedded one.
 * Ends with 1 when the slowest twentieth takes 300 ms, or when more leaves than a pause said, or later than it may.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbedded } from "../src/runtime/embedded.ts";
import { migrate } from "../src/runtime/migrate.ts";
import { connect, type Database } from "../src/runtime/postgres.ts";
import { startVendor, type Vendor } from "../vendor/main.ts";
import { type ServerProcess, startServer } from "./process/server.ts";
import { addressOf, asAdmin } from "./support/database.ts";

const ENGINES = 4;
const P95_MAX_MS = 300;
const RECIPIENTS = 400_000;
/** Each pause comes when so many have left since the last one, and up to so long after that; then it is watched for so long. */
const RUN_MESSAGES = 500;
const RUN_MAX_MS = 10_000;
const CHANCE_MS = 200;
const WATCH_MS = 600;
/** What was marked begins within 250 ms; that much more is allowed to the way to the vendor, on a machine with more processes than cores. */
const BEGIN_MAX_MS = 250;
const WAY_MS = 100;

interface Pause {
  readonly tookMs: number;
  readonly inFlight: number;
  /** Accepted by the vendor after the answer had come, and how long after it the last of them began. */
  readonly after: number;
  readonly lastMs: number;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A planned campaign that is paused, so that nothing leaves before the first resume. */
async function plan(sql: Database, recipients: number): Promise<string> {
  const [sender] = await sql<{ workspaceId: string; id: string }[]>`select workspace_id, id from sender`;
  if (sender === undefined) throw new Error("the server made no default sender");
  await sql`update pace set per_second = null`;
  const id = crypto.randomUUID();
  await sql`insert into campaign (workspace_id, id, name, surface, engine, state, sender_id, channel, message, audience_type, schedule_type,
      on_uncertain, on_daily_limit, total_recipients, started_at)
    values (${sender.workspaceId}, ${id}, 'paused often', 'engine', true, 'paused', ${sender.id}, 'whatsapp', ${sql.json({ type: "text", text: "Hi {{firstName}}" })},
      'inline', 'now', 'hold', 'wait', ${recipients}, campanile.clock())`;
  await sql`insert into recipient (workspace_id, campaign_id, position, address, variables)
    select ${sender.workspaceId}, ${id}, n, '+91' || (9000000000 + n), jsonb_build_object('firstName', 'N' || n) from generate_series(1, ${recipients}::int) n`;
  await sql`insert into lot (campaign_id, first, last, handed, due_at)
    select ${id}, n, least(n + 999, ${recipients}::int), n - 1, campanile.clock() from generate_series(1, ${recipients}::int, 1000) n`;
  await sql`analyze`;
  return id;
}

/** Lets it run, pauses it through one of the servers, and watches what still comes. */
async function pauseOnce(id: string, vendor: Vendor, server: ServerProcess): Promise<Pause> {
  await server.call("POST", `/api/v1/campaigns/${id}/resume`);
  const wanted = vendor.stats().accepted + RUN_MESSAGES;
  for (const giveUpAt = Date.now() + RUN_MAX_MS; vendor.stats().accepted < wanted && Date.now() < giveUpAt; ) await sleep(5);
  await sleep(Math.random() * CHANCE_MS);
  const askedAt = performance.now();
  const { data } = await server.call<{ data: { inFlight: number } }>("POST", `/api/v1/campaigns/${id}/pause`);
  const answeredAt = Date.now();
  const tookMs = performance.now() - askedAt;
  const before = vendor.stats().accepted;
  await sleep(WATCH_MS);
  const after = vendor.stats().accepted - before;
  const lines = after === 0 ? [] : (await vendor.ledgerLines()).slice(-after);
  return { tookMs, inFlight: data.inFlight, after, lastMs: Math.max(0, ...lines.map(({ begunAt }) => Date.parse(begunAt) - answeredAt)) };
}

const share = (sorted: readonly number[], part: number) => sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;

function report(pauses: readonly Pause[], perSecond: number): string[] {
  const took = pauses.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  const [p50, p95, max] = [share(took, 0.5), share(took, 0.95), share(took, 1)];
  const most = (of: (pause: Pause) => number) => Math.max(...pauses.map(of));
  console.log(`${pauses.length} pauses with ${ENGINES} engines at ${Math.round(perSecond)} messages/s, one process each`);
  console.log(`acknowledged after p50 ${p50.toFixed(0)} ms, p95 ${p95.toFixed(0)} ms, at most ${max.toFixed(0)} ms`);
  console.log(`after the answer at most ${most((p) => p.after)} messages came, where at least ${most((p) => p.after - p.inFlight)} more than said`);
  console.log(`the last of them began ${most((p) => p.lastMs)} ms after it`);
  const faults = pauses.flatMap(({ after, inFlight }) => (after > inFlight ? [`${after} messages came after a pause that said ${inFlight}`] : []));
  if (most((p) => p.lastMs) > BEGIN_MAX_MS + WAY_MS) faults.push(`a call began ${most((p) => p.lastMs)} ms after a pause`);
  if (p95 >= P95_MAX_MS) faults.push(`p95 is ${p95.toFixed(0)} ms`);
  if (most((p) => p.inFlight) === 0) faults.push("nothing was ever in flight: the engines did not run");
  return faults;
}

async function measure(count: number, database: string, dir: string): Promise<string[]> {
  const sql = connect(database, { max: 3 });
  const vendor = await startVendor({ settings: { limits: { throughput: null }, mix: { successRate: 1, latencyMs: [20, 60] } } });
  const servers: ServerProcess[] = [];
  try {
    await migrate(sql);
    for (let i = 0; i < ENGINES; i++) servers.push(await startServer({ dir, databaseUrl: database, vendor }));
    const id = await plan(sql, RECIPIENTS);
    const pauses: Pause[] = [];
    const begunAt = performance.now();
    for (let i = 0; i < count; i++) {
      const server = servers[i % servers.length];
      if (server !== undefined) pauses.push(await pauseOnce(id, vendor, server));
      if (process.env["VERBOSE"]) console.log(pauses.at(-1));
    }
    const ranMs = performance.now() - begunAt - count * WATCH_MS;
    const { duplicates } = await vendor.ledger();
    const perSecond = (vendor.stats().accepted * 1_000) / ranMs;
    return [...report(pauses, perSecond), ...(duplicates > 0 ? [`${duplicates} people were written to twice`] : [])];
  } finally {
    await Promise.all(servers.map((server) => server.end("SIGTERM")));
    await vendor.stop();
    await sql.end({ timeout: 1 });
  }
}

const count = Number(process.argv[2] ?? 50);
const dir = mkdtempSync(join(tmpdir(), "campanile-pause-"));
const external = process.env["DATABASE_URL"];
const embedded = external === undefined ? await startEmbedded({ dir }) : null;
const admin = embedded?.url ?? external ?? "";
const name = `campanile_pause_${process.pid}`;
await asAdmin(admin, (sql) => sql`create database ${sql(name)} template template0 encoding 'UTF8'`);
try {
  const faults = await measure(count, addressOf(admin, name), dir);
  for (const fault of faults) console.error(`WRONG: ${fault}`);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  await asAdmin(admin, (sql) => sql`drop database ${sql(name)} with (force)`);
  await embedded?.stop();
  rmSync(dir, { recursive: true, force: true });
}
