import { existsSync } from "node:fs";
import { expect, inject, onTestFinished, test } from "vitest";
import { asAdmin, freshDatabase } from "../../test/support/database.ts";
import { foldersOf, watchDisk } from "./disk.ts";
import { connect } from "./postgres.ts";

const MB = 1024 ** 2;

test("too little room on one of the disks is a fault, until there is a quarter more than the least", async () => {
  const free: Record<string, number | undefined> = { "/data": 400 * MB, "/wal": 300 * MB, "/elsewhere": undefined };
  const disk = watchDisk({ folders: Object.keys(free), freeMin: 256 * MB, freeOf: async (folder) => free[folder] });
  expect(await disk.fault()).toBeNull();
  free["/wal"] = 255.5 * MB;
  expect(await disk.fault()).toBe("The disk of /wal has 255 MB left. Nothing is sent until 320 MB are free; it goes on by itself then.");
  for (const [freed, fault] of [
    [319, true],
    [320, false],
    [256, false],
  ] as const) {
    free["/wal"] = freed * MB;
    expect((await disk.fault()) !== null).toBe(fault);
  }
});

test("0 is never a fault; nor is a disk that cannot be reached", async () => {
  expect(await watchDisk({ folders: ["/"], freeMin: 0, freeOf: async () => 0 }).fault()).toBeNull();
  expect(await watchDisk({ folders: ["/nowhere/at/all"], freeMin: 1024 ** 4 }).fault()).toBeNull();
  expect(await watchDisk({ folders: ["/"], freeMin: 1024 ** 4 * 1024 }).fault()).toContain("The disk of / has");
});

test("the folders of a server on this machine are found, unless it does not tell this role; of another machine's there are none", async () => {
  const { url } = inject("server");
  const folders = await asAdmin(url, (sql) => foldersOf(sql, url));
  expect(folders.length).toBe(2);
  for (const folder of folders) expect(existsSync(folder)).toBe(true);
  expect(await asAdmin(url, (sql) => foldersOf(sql, "postgres://db.example.com/x"))).toEqual([]);

  const database = await freshDatabase();
  onTestFinished(() => database.drop());
  const role = `${database.name}_role`;
  await database.sql.unsafe(`create role ${role} login`);
  onTestFinished(() => asAdmin(url, async (sql) => void (await sql.unsafe(`drop role ${role}`))));
  const plain = connect(database.url, { max: 1 });
  await plain.unsafe(`set role ${role}`);
  expect(await foldersOf(plain, database.url)).toEqual([]);
  await plain.end();
});

test.each([
  ["postgres:///x?host=/run/postgresql", true],
  ["postgres://u:p@localhost:5433/x", true],
  ["postgres://u@127.0.0.1/x", true],
  ["postgres://[::1]:5432/x", true],
  ["postgres://10.0.0.5/x", false],
  ["postgres://u@/x?host=db.internal", false],
])("%s is on this machine: %s", async (url, here) => {
  const asked = await asAdmin(inject("server").url, (sql) => foldersOf(sql, url));
  expect(asked.length > 0).toBe(here);
});
