/**
 * Imports a million rows that are made up as they are read, and checks every count and the memory it took. Its own program, for the
 * minute it takes: `npx tsx test/import-million.ts [rows]`. Postgres is the one DATABASE_URL names, in a database of its own, else an
 * embedded one. Ends with 1 when a count is wrong or the process ever held more than 200 MB.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importCsv } from "../src/flow/audience/import/import.ts";
import { namedList } from "../src/flow/audience/lists.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { startEmbedded } from "../src/runtime/embedded.ts";
import { type Luck, seededLuck, systemLuck } from "../src/runtime/luck.ts";
import { migrate } from "../src/runtime/migrate.ts";
import { connect, type Database } from "../src/runtime/postgres.ts";
import { addressOf, asAdmin } from "./support/database.ts";

const RSS_MAX_MB = 200;
const SEED = 20_260_302;

interface Expected {
  stored: number;
  merged: number;
  rejected: number;
}

const numberOf = (person: number) => `98${String(person).padStart(8, "0")}`;

/** The spellings in which a person comes again. */
const spellings = [
  (phone: string) => `0091${phone}`,
  (phone: string) => `91${phone}`,
  (phone: string) => `'+91${phone}`,
  (phone: string) => `tel:+91-${phone.slice(0, 5)}-${phone.slice(5)}`,
  (phone: string) => `"+91 ${phone.slice(0, 5)} ${phone.slice(5)}"`,
  (phone: string) => `91${phone}.0`,
];

/** Cells that are nobody's phone. */
const wrong = ["9.19877E+11", "n/a", "12345", "+91 98765 43210 / 98765 43211", "+919876543210 ext 5", "+9198765432100000", "9876543210", ""];

/** Rows from a seed, 64 kB at a time; counts in `expected` what must become of them. */
function* file(rows: number, expected: Expected): Generator<Buffer> {
  const luck = seededLuck(SEED);
  let text = "Phone,First name,Last name,Company,City,Note\r\n";
  for (let row = 0; row < rows; row++) {
    text += `${rowOf(row, expected, luck)}\r\n`;
    if (text.length < 65_536) continue;
    yield Buffer.from(text);
    text = "";
  }
  yield Buffer.from(text);
}

function rowOf(row: number, expected: Expected, luck: Luck): string {
  const chance = luck.next();
  const rest = `Asha ${row},Müller-${row % 977},Acme ${row % 5_003},Pune`;
  if (chance < 0.02) {
    expected.rejected++;
    return `${wrong[row % wrong.length]},${rest},wrong`;
  }
  if (chance < 0.05 && expected.stored > 0) {
    expected.merged++;
    const phone = numberOf(Math.floor(luck.next() * expected.stored));
    return `${spellings[row % spellings.length]?.(phone)},${rest},again`;
  }
  const phone = `+91${numberOf(expected.stored++)}`;
  return chance < 0.07 ? `"${phone}",${rest},"two\r\nlines, ""quoted"""` : `${phone},${rest},`;
}

async function openDatabase(): Promise<{ sql: Database; close: () => Promise<void> }> {
  const external = process.env["DATABASE_URL"];
  const dir = external === undefined ? mkdtempSync(join(tmpdir(), "campanile-million-")) : null;
  const embedded = dir === null ? null : await startEmbedded({ dir });
  const server = embedded?.url ?? external ?? "";
  const name = `campanile_million_${process.pid}`;
  await asAdmin(server, (admin) => admin`create database ${admin(name)} template template0 encoding 'UTF8'`);
  const sql = connect(addressOf(server, name), { max: 4 });
  await migrate(sql);
  const close = async () => {
    await sql.end({ timeout: 5 });
    await asAdmin(server, (admin) => admin`drop database ${admin(name)} with (force)`);
    await embedded?.stop();
    if (dir !== null) rmSync(dir, { recursive: true, force: true });
  };
  return { sql, close };
}

/** What Postgres holds afterwards; `disorder`: members of the list who stand before somebody who came earlier in the file. */
const countAll = (sql: Database, listId: string) => sql<{ contacts: number; members: number; rejects: number; disorder: number }[]>`
  select (select count(*) from contact) as contacts, (select count(*) from import_reject) as rejects, count(*) as members,
    count(*) filter (where phone <= before) as disorder
  from (select c.phone, lag(c.phone) over (order by m.ordinal) as before
    from list_member m join contact c on c.workspace_id = m.workspace_id and c.id = m.contact_id where m.list_id = ${listId}) member`;

async function run(sql: Database, rows: number): Promise<string[]> {
  const deps = { sql, clock: systemClock, luck: systemLuck };
  const workspaceId = systemLuck.uuid();
  await sql`insert into workspace (id, name) values (${workspaceId}, 'Million')`;
  const { id: listId } = await namedList(workspaceId, "Everybody", deps);
  const expected: Expected = { stored: 0, merged: 0, rejected: 0 };
  const begin = performance.now();
  let readMs = 0;
  const onProgress = ({ phase }: { phase: string }) => {
    if (phase === "storing") readMs = performance.now() - begin;
  };
  const source = (async function* () {
    yield* file(rows, expected);
  })();
  const result = await importCsv({ workspaceId, listId, fileName: "million.csv", source, onProgress }, deps);
  const ms = performance.now() - begin;
  const [found] = await countAll(sql, listId);
  const perSecond = (spent: number) => `${Math.round((rows / spent) * 1_000)} rows/s`;
  console.log(`${rows} rows = ${result.stored} stored + ${result.merged} merged + ${result.rejected} rejected; ${result.bytes} bytes`);
  console.log(`read ${perSecond(readMs)}, stored ${perSecond(ms - readMs)}, altogether ${perSecond(ms)} (${(ms / 1_000).toFixed(1)} s)`);
  const { stored, merged, rejected } = expected;
  const wanted = { rows, stored, merged, rejected, inserted: stored, contacts: stored, members: stored, rejects: rejected, disorder: 0 };
  return Object.entries(wanted).flatMap(([name, count]) => {
    const got = { ...result, ...found }[name as keyof typeof wanted];
    return got === count ? [] : [`${name} is ${got}, not ${count}`];
  });
}

const rows = Number(process.argv[2] ?? 1_000_000);
const { sql, close } = await openDatabase();
const faults = await run(sql, rows).finally(close);
const rssMb = process.resourceUsage().maxRSS / 1_024;
console.log(`peak memory ${rssMb.toFixed(0)} MB, at most ${RSS_MAX_MB} MB are allowed`);
if (rssMb > RSS_MAX_MB) faults.push(`the process held ${rssMb.toFixed(0)} MB`);
for (const fault of faults) console.error(`WRONG: ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;
