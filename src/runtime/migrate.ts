import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock, systemClock } from "./clock.ts";
import { type Database, type Sql, transaction } from "./postgres.ts";

export interface Migration {
  readonly number: number;
  /** The file's name: 0001_first_campaign.sql */
  readonly name: string;
  readonly checksum: string;
  readonly text: string;
}

export interface MigrateOptions {
  /** Where the files are; by default those of this program. */
  readonly folder?: string;
  readonly clock?: Clock;
}

/** The lock which lets one process at a time change the schema; two numbers nobody else locks. */
const LOCK_CLASS = 0x63616d70;
const LOCK = 2;

/**
 * Brings the database to the schema of this program, forward only: every file of db/migrations that is not recorded in the table
 * `migration` runs in a transaction of its own. Any number of processes may do so at once. Gives back what it applied. Throws,
 * having changed nothing, when a file was changed after it was applied, or when the database is newer than the program.
 */
export async function migrate(sql: Database, { folder, clock = systemClock }: MigrateOptions = {}): Promise<Migration[]> {
  const migrations = await readMigrations(folder);
  const applied: Migration[] = [];
  for (;;) {
    const next = await transaction(sql, (inner) => applyNext(inner, migrations, clock.now()));
    if (next === undefined) return applied;
    applied.push(next);
  }
}

/** What migrate() would apply now. Throws as it does. */
export async function pendingMigrations(sql: Sql, { folder }: MigrateOptions = {}): Promise<Migration[]> {
  return pendingOf(await readMigrations(folder), await recorded(sql));
}

async function applyNext(sql: Sql, migrations: readonly Migration[], now: Date): Promise<Migration | undefined> {
  // A schema change may take its time, and may wait for that of another process; but not long for a table others are using.
  await sql`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`;
  await sql`select pg_advisory_xact_lock(${LOCK_CLASS}::int, ${LOCK}::int)`;
  await sql`select set_config('lock_timeout', '10s', true)`;
  await sql`create schema if not exists campanile`;
  await sql`create table if not exists migration (number int primary key, name text not null, checksum text not null, applied_at timestamptz not null)`;
  const [next] = pendingOf(migrations, await recorded(sql));
  if (next === undefined) return undefined;
  await sql.unsafe(next.text);
  await sql`insert into migration ${sql({ number: next.number, name: next.name, checksum: next.checksum, appliedAt: now })}`;
  return next;
}

interface Recorded {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
  readonly appliedAt: Date;
}

async function recorded(sql: Sql): Promise<Recorded[]> {
  const [table] = await sql<{ exists: boolean }[]>`select to_regclass('migration') is not null as exists`;
  return table?.exists ? await sql<Recorded[]>`select number, name, checksum, applied_at from migration order by number` : [];
}

function pendingOf(migrations: readonly Migration[], done: readonly Recorded[]): Migration[] {
  for (const { number, name, checksum, appliedAt } of done) {
    const migration = migrations.find((one) => one.number === number);
    if (migration === undefined) {
      throw new Error(
        `This database is newer than this program: it has migration ${name}, the newest known here is ${migrations.at(-1)?.name ?? "none"}. ` +
          "Run a Campanile that is at least as new as the database.",
      );
    }
    if (migration.checksum !== checksum) {
      throw new Error(
        `Migration ${migration.name} was changed after ${appliedAt.toISOString()}, when it was applied here. ` +
          "Restore the file and put the change into a new migration.",
      );
    }
  }
  const numbers = new Set(done.map(({ number }) => number));
  return migrations.filter(({ number }) => !numbers.has(number));
}

/**
 * The migrations of `folder` in order. No number is there twice; one may be missing, for two that are written at the same time must not
 * wait for each other: whichever comes later is applied then.
 */
export async function readMigrations(folder: string = ownFolder()): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sql")).sort();
  return Promise.all(
    names.map(async (name, at) => {
      const number = Number(/^(\d{4})_\w+\.sql$/.exec(name)?.[1]);
      if (!(number > Number(names[at - 1]?.slice(0, 4) ?? 0)))
        throw new Error(`${join(folder, name)}: a migration is named NNNN_words.sql, and no other may have its number.`);
      const text = (await readFile(join(folder, name), "utf8")).replaceAll("\r\n", "\n");
      return { number, name, text, checksum: createHash("sha256").update(text).digest("hex") };
    }),
  );
}

/** db/migrations of the package, seen from src/runtime in a clone and from dist/src/runtime once it is built. */
function ownFolder(): string {
  const candidates = ["../../db/migrations", "../../../db/migrations"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const folder = candidates.find((path) => existsSync(path));
  if (folder === undefined) throw new Error(`db/migrations is missing from this installation: neither ${candidates.join(" nor ")} exists.`);
  return folder;
}
