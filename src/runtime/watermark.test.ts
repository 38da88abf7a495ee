import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { addressOf, asAdmin, type FreshDatabase, freshDatabase } from "../../test/support/database.ts";
import { type Embedded, startEmbedded } from "./embedded.ts";
import { createLog } from "./log.ts";
import { systemLuck } from "./luck.ts";
import { migrate } from "./migrate.ts";
import { connect, type Database, transaction } from "./postgres.ts";
import { openWatermark, type Watermark } from "./watermark.ts";
import { acceptRegressions, openRegressions } from "./watermark-store.ts";

vi.setConfig({ testTimeout: 60_000 });

const root = mkdtempSync(join(tmpdir(), "campanile-watermark-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let stops: string[] = [];
let lines: string[] = [];
beforeEach(() => {
  stops = [];
  lines = [];
});

const folder = () => mkdtempSync(join(root, "folder-"));

/** A process that opens the database and remembers in `dir`. */
const opened = (sql: Database, dir: string): Promise<Watermark> =>
  openWatermark({
    sql,
    folder: dir,
    luck: systemLuck,
    log: createLog("error", { write: (line) => lines.push(line) }),
    stopAll: async (_tx, what) => void stops.push(what),
  });

const whats = async (sql: Database) => (await openRegressions(sql)).map(({ what }) => what);
const marks = (sql: Database) => sql<{ owner: string; at: string }[]>`select owner, at::text as at from watermark order by at`;
const fileOf = (dir: string) => join(dir, readdirSync(dir).find((name) => name.startsWith("watermark-")) ?? "no file");

async function database(): Promise<FreshDatabase> {
  const made = await freshDatabase();
  onTestFinished(() => made.drop());
  return made;
}

/** A further database, which begins as a copy of this one. */
async function copyOf({ url, name, sql }: FreshDatabase): Promise<Database> {
  const copy = `${name}_copy`;
  await sql.end({ timeout: 1 });
  await asAdmin(addressOf(url, "postgres"), (admin) => admin`create database ${admin(copy)} template ${admin(name)}`);
  const copied = connect(addressOf(url, copy), { max: 3 });
  onTestFinished(async () => {
    await copied.end({ timeout: 1 });
    await asAdmin(addressOf(url, "postgres"), (admin) => admin`drop database ${admin(copy)} with (force)`);
  });
  return copied;
}

describe("the mark", () => {
  test("is the same in the database and in the file, and never goes back, even when the clock does", async () => {
    const { sql } = await database();
    const dir = folder();
    const { beat } = await opened(sql, dir);
    await setClock(sql, "clock_timestamp() + interval '2 hours'");
    await beat();
    const [ahead] = await marks(sql);
    expect(JSON.parse(readFileSync(fileOf(dir), "utf8"))).toMatchObject({ ...ahead, timeline: "00000001" });
    await setClock(sql, "clock_timestamp()");
    await opened(sql, dir);
    const [after] = await marks(sql);
    expect(String(after?.at) > String(ahead?.at)).toBe(true);
    expect(await whats(sql)).toEqual([]);
  });

  test("is raised by every beat while a campaign runs, once a minute otherwise", async () => {
    const { sql } = await database();
    const { beat } = await opened(sql, folder());
    const at = async () => (await marks(sql))[0]?.at;
    const before = await at();
    await beat();
    expect(await at()).toBe(before);
    await running(sql);
    await beat();
    expect(await at()).not.toBe(before);
  });

  test("is kept apart for each folder, and for each database a folder is used with", async () => {
    const [first, second] = [await database(), await database()];
    await second.sql`update installation set id = gen_random_uuid()`;
    const dir = folder();
    for (const { sql } of [first, second, first]) await opened(sql, dir);
    await opened(first.sql, folder());
    expect(readdirSync(dir).length).toBe(2);
    expect((await marks(first.sql)).length).toBe(2);
    expect([...(await whats(first.sql)), ...(await whats(second.sql))]).toEqual([]);
  });

  test("that cannot be understood ends the start, in a sentence", async () => {
    const { sql } = await database();
    const dir = folder();
    await opened(sql, dir);
    writeFileSync(fileOf(dir), "");
    await expect(opened(sql, dir)).rejects.toThrow(/watermark-.*\.json cannot be understood\. .* put the file back, or remove it/);
  });
});

const setClock = (sql: Database, now: string) =>
  sql.unsafe(`create or replace function campanile.clock() returns timestamptz language sql volatile as $$ select ${now} $$`);

/** A campaign that runs, without anything else it needs. */
async function running(sql: Database): Promise<void> {
  const id = systemLuck.uuid();
  await sql`insert into workspace (id, name) values (${id}, 'w')`;
  await sql`insert into cap_scope (workspace_id, id, name) values (${id}, ${id}, 's')`;
  await sql`insert into sender (workspace_id, id, channel, provider, name, external_id, cap_scope_id) values (${id}, ${id}, 'whatsapp', 'rehearsal', 's', ${id}, ${id})`;
  await sql`insert into campaign (workspace_id, id, name, surface, engine, state, sender_id, channel, message, audience_type, schedule_type, on_uncertain, on_daily_limit, total_recipients)
    values (${id}, ${id}, 'c', 'engine', true, 'running', ${id}, 'whatsapp', '{}', 'inline', 'now', 'hold', 'wait', 1)`;
}

describe("an older database", () => {
  test("is found out when it is opened, written down once however many processes find it, and stops everything until it is accepted", async () => {
    const before = await database();
    const dir = folder();
    const other = folder();
    for (const one of [dir, other]) await opened(before.sql, one);
    const copy = await copyOf(before);
    const original = connect(before.url, { max: 2 });
    for (const one of [dir, other]) await opened(original, one);
    await original.end();

    await opened(copy, dir);
    expect(await whats(copy)).toEqual([
      expect.stringMatching(/^This database has nothing from this machine after .*; this machine knew it up to .*older backup/),
    ]);
    expect(stops.length).toBe(1);
    expect(lines.join()).toContain("campanile doctor --accept-database");
    const watermark = await opened(copy, other);
    await opened(copy, dir);
    await watermark.beat();
    expect((await whats(copy)).length).toBe(1);
    expect(stops.length).toBeGreaterThan(2); // again and again, for whatever was started meanwhile

    await acceptRegressions(copy);
    stops = [];
    await watermark.beat();
    for (const one of [dir, other]) await opened(copy, one);
    expect([await whats(copy), stops]).toEqual([[], []]);
  });

  test("is found out although it does not know the folder at all", async () => {
    const { sql } = await database();
    const dir = folder();
    await opened(sql, dir);
    await sql`delete from watermark`;
    await opened(sql, dir);
    expect(await whats(sql)).toEqual([expect.stringContaining("has nothing from this machine; this machine knew it")]);
  });

  test("commits nothing through the pool of a process that was there all the time; it sees the stop first", async () => {
    const { sql } = await database();
    const watermark = await opened(sql, folder());
    await sql`update watermark set at = at - interval '1 microsecond'`; // what a backup would do, under our very feet
    const seen: number[] = [];
    await transaction(watermark.sql, async (tx) => {
      seen.push(stops.length);
      await tx`insert into workspace (id, name) values (${systemLuck.uuid()}, 'written')`;
    });
    expect(seen).toEqual([0, 1]);
    expect((await sql`select 1 from workspace where name = 'written'`).length).toBe(1);
    expect((await whats(sql)).length).toBe(1);
  });

  test("is told from what fails in it: a row that is missing there is no bug", async () => {
    const { sql } = await database();
    const watermark = await opened(sql, folder());
    await sql`delete from watermark`;
    const work = transaction(watermark.sql, async () => {
      if (stops.length === 0) throw new Error("a campaign has vanished");
      return "afterwards";
    });
    expect(await work).toBe("afterwards");
  });

  test("can also be known from elsewhere, and only once", async () => {
    const { sql } = await database();
    const { note } = await opened(sql, folder());
    await note("A receipt came.");
    await note("Another came.");
    expect(await whats(sql)).toEqual(["A receipt came."]);
    expect(stops.length).toBe(1);
  });

  test("lets no campaign be planned or run", async () => {
    const { sql } = await database();
    const { note } = await opened(sql, folder());
    await running(sql);
    await sql`update campaign set state = 'paused'`;
    await note("A receipt came.");
    await expect(sql`update campaign set state = 'running'`).rejects.toThrow("the database has gone back");
    await acceptRegressions(sql);
    await sql`update campaign set state = 'running'`;
  });
});

describe("a server", () => {
  async function cluster(
    dir: string,
    settings: Record<string, string> = {},
  ): Promise<{ embedded: Embedded; sql: Database; end: () => Promise<void> }> {
    const embedded = await startEmbedded({ dir, fsync: false, settings });
    const sql = connect(embedded.url, { max: 3 });
    await migrate(sql);
    const end = async () => {
      await sql.end({ timeout: 1 });
      await embedded.stop();
    };
    onTestFinished(end);
    return { embedded, sql, end };
  }

  test("that was stopped, that was killed, and that repairs itself has not gone back; one that went on from a copy may have", async () => {
    const [data, marked] = [join(root, "cluster"), folder()];
    const first = await cluster(data);
    await running(first.sql);
    const { beat } = await opened(first.sql, marked);
    await beat();
    await first.end();

    const second = await cluster(data);
    const again = await opened(second.sql, marked);
    await again.beat();
    process.kill(second.embedded.pid, "SIGKILL");
    await second.end();

    const third = await cluster(data);
    await (await opened(third.sql, marked)).beat();
    expect(await whats(third.sql)).toEqual([]);
    await third.end();

    const copy = join(root, "copy");
    cpSync(data, copy, { recursive: true });
    writeFileSync(join(copy, "postgres", "recovery.signal"), "");
    const recovered = await cluster(copy, { restore_command: "false" });
    await opened(recovered.sql, marked);
    expect(await whats(recovered.sql)).toEqual([expect.stringContaining("(timeline 00000002; it was 00000001)")]);
  });

  test("that is another one holds a copy, and may be older", async () => {
    const { sql } = await database();
    const dir = folder();
    await opened(sql, dir);
    const mark = JSON.parse(readFileSync(fileOf(dir), "utf8")) as { systemIdentifier: string };
    writeFileSync(fileOf(dir), JSON.stringify({ ...mark, systemIdentifier: "6976543210987654321" }));
    await opened(sql, dir);
    expect(await whats(sql)).toEqual([expect.stringContaining(`another server now (${mark.systemIdentifier}; it was 6976543210987654321)`)]);
    await acceptRegressions(sql);
    await opened(sql, dir);
    expect(await whats(sql)).toEqual([]);
  });
});
