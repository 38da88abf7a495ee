import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { freshDatabase } from "../../test/support/database.ts";
import { migrate, pendingMigrations, readMigrations } from "./migrate.ts";

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "campanile-migrations-"));
  folders.push(folder);
  await write("0001_towns.sql", "create table town (name text); insert into town values ('Graz');");
  await write("0002_rivers.sql", "create table river (name text);");
});

const write = (name: string, text: string) => writeFile(join(folder, name), text);

async function emptyDatabase() {
  const { sql, drop } = await freshDatabase({ empty: true });
  onTestFinished(drop);
  return sql;
}

test("every migration runs once, in order, and is recorded", async () => {
  const sql = await emptyDatabase();
  expect((await pendingMigrations(sql, { folder })).map(({ number }) => number)).toEqual([1, 2]);
  expect((await migrate(sql, { folder })).map(({ name }) => name)).toEqual(["0001_towns.sql", "0002_rivers.sql"]);
  expect(await migrate(sql, { folder })).toEqual([]);
  expect(await pendingMigrations(sql, { folder })).toEqual([]);

  await write("0003_bridges.sql", "insert into town values ('Linz');");
  expect((await migrate(sql, { folder })).map(({ number }) => number)).toEqual([3]);
  expect((await sql`select name from town`).map((row) => row["name"])).toEqual(["Graz", "Linz"]);
});

test("processes that migrate at the same time apply each migration once", async () => {
  const sql = await emptyDatabase();
  const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(sql, { folder })));
  expect(
    applied
      .flat()
      .map(({ number }) => number)
      .sort(),
  ).toEqual([1, 2]);
  expect((await sql`select name from town`).length).toBe(1);
});

test("a migration that fails leaves nothing behind, and those before it stay", async () => {
  const sql = await emptyDatabase();
  await write("0003_bridges.sql", "create table bridge (name text); insert into nowhere values (1);");
  await expect(migrate(sql, { folder })).rejects.toThrow('relation "nowhere" does not exist');
  expect((await pendingMigrations(sql, { folder })).map(({ number }) => number)).toEqual([3]);
  expect(await sql`select to_regclass('bridge') as bridge, to_regclass('river')::text as river`).toEqual([{ bridge: null, river: "river" }]);
});

test("a migration changed after it was applied is refused", async () => {
  const sql = await emptyDatabase();
  await migrate(sql, { folder });
  await write("0001_towns.sql", "create table town (name text not null);");
  await expect(migrate(sql, { folder })).rejects.toThrow(/^Migration 0001_towns\.sql was changed after 20.*new migration\.$/);
  await expect(pendingMigrations(sql, { folder })).rejects.toThrow("was changed");
});

test("line ends as Windows writes them are no change", async () => {
  const sql = await emptyDatabase();
  await write("0002_rivers.sql", "create table river (\n  name text\n);\n");
  await migrate(sql, { folder });
  await write("0002_rivers.sql", "create table river (\r\n  name text\r\n);\r\n");
  expect(await migrate(sql, { folder })).toEqual([]);
});

test("a database newer than the program is refused", async () => {
  const sql = await emptyDatabase();
  await migrate(sql, { folder });
  await rm(join(folder, "0002_rivers.sql"));
  await expect(migrate(sql, { folder })).rejects.toThrow(
    "This database is newer than this program: it has migration 0002_rivers.sql, the newest known here is 0001_towns.sql.",
  );
});

test("a number used twice and a strange name are refused", async () => {
  for (const name of ["0002_again.sql", "0000_zero.sql", "bridges.sql"]) {
    await write(name, "select 1;");
    await expect(readMigrations(folder)).rejects.toThrow("a migration is named NNNN_words.sql");
    await rm(join(folder, name));
  }
});

test("a migration that fills a gap later is applied then", async () => {
  const sql = await emptyDatabase();
  await write("0004_bridges.sql", "create table bridge (name text);");
  expect((await migrate(sql, { folder })).map(({ number }) => number)).toEqual([1, 2, 4]);
  await write("0003_roads.sql", "create table road (name text);");
  expect((await migrate(sql, { folder })).map(({ number }) => number)).toEqual([3]);
  expect(await migrate(sql, { folder })).toEqual([]);
});
