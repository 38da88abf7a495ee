import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Embedded, startEmbedded } from "../../src/runtime/embedded.ts";
import { connect, isConnectionLost, isUnreachable } from "../../src/runtime/postgres.ts";

/** How a Postgres can end: all sessions are told; none is, and it repairs itself at the next start; not even its own processes are. */
export const endings = { fast: "SIGINT", immediate: "SIGQUIT", "kill -9": "SIGKILL" } as const;
export type Ending = keyof typeof endings;

export interface Postgres {
  readonly name: string;
  readonly port: number;
  /** Its own address, past every proxy. */
  url(database: string): string;
  /** Ends it and starts it again at once; for how many milliseconds nobody could work with it. */
  restart(how: Ending): Promise<number>;
  stop(): Promise<void>;
}

const settings = { listen_addresses: "127.0.0.1", max_connections: "300", log_checkpoints: "off" };
/** What is killed here is a process: what it has written stays with the system, flushed or not. A flush takes 5 ms on a busy disk. */
const unflushed = { fsync: "off" };
const START_MAX_MS = 60_000;

/** A Postgres for this run alone: the embedded one, or the newest of Debian's. */
export async function openPostgres(kind: "embedded" | "external"): Promise<Postgres> {
  const port = await freePort();
  const dir = mkdtempSync(join(tmpdir(), "campanile-chaos-"));
  return kind === "embedded" ? embeddedPostgres(dir, port) : debianPostgres(dir, port);
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port is free");
  return address.port;
}

async function embeddedPostgres(dir: string, port: number): Promise<Postgres> {
  const open = () => startEmbedded({ dir, fsync: false, settings: { ...settings, port: String(port) } });
  let running: Embedded = await open();
  endWithUs(() => running.pid);
  const url = (database: string) => `postgres://campanile@127.0.0.1:${port}/${database}`;
  return {
    name: "embedded Postgres 18",
    port,
    url,
    async restart(how) {
      const from = performance.now();
      process.kill(running.pid, endings[how]);
      await untilDead(running.pid);
      await running.stop();
      running = await open();
      await answers(url("postgres"));
      return performance.now() - from;
    },
    async stop() {
      await running.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** It outlives nobody, should this process end without having stopped it. */
function endWithUs(pidOf: () => number | undefined): void {
  process.once("exit", () => {
    const pid = pidOf();
    try {
      if (pid !== undefined) process.kill(pid, "SIGQUIT");
    } catch {
      // it has ended
    }
  });
}

async function untilDead(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0);
    } catch {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function debianPostgres(dir: string, port: number): Promise<Postgres> {
  const bin = debianBinaries();
  // Postgres refuses to be root.
  const identity = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : {};
  const data = join(dir, "data");
  mkdirSync(data, { mode: 0o700 });
  if (identity.uid !== undefined) for (const path of [dir, data]) chownSync(path, identity.uid, identity.gid);
  const env = { PATH: process.env["PATH"] ?? "", LC_ALL: "C.UTF-8", TZ: "UTC" };
  const options = { ...identity, env, cwd: "/" };
  execFileSync(join(bin, "initdb"), ["-D", data, "-U", "campanile", "-A", "trust", "-E", "UTF8"], { ...options, stdio: "ignore" });
  const url = (database: string) => `postgres://campanile@127.0.0.1:${port}/${database}`;
  const args = Object.entries({ ...settings, ...unflushed, port, unix_socket_directories: dir }).flatMap(([name, value]) => [
    "-c",
    `${name}=${value}`,
  ]);
  const launch = async (): Promise<ChildProcess> => {
    const giveUpAt = performance.now() + START_MAX_MS;
    while (performance.now() < giveUpAt) {
      const child = spawn(join(bin, "postgres"), ["-D", data, ...args], { ...options, stdio: ["ignore", "ignore", "ignore"] });
      const ended = once(child, "exit").then(() => "ended" as const);
      if ((await Promise.race([answers(url("postgres")), ended])) !== "ended") return child;
      await new Promise((resolve) => setTimeout(resolve, 20)); // processes of the one before are not all gone
    }
    throw new Error(`Postgres does not start in ${data}`);
  };
  let running = await launch();
  endWithUs(() => running.pid);
  const end = async (how: Ending) => {
    const gone = once(running, "exit");
    running.kill(endings[how]);
    await gone;
  };
  return {
    name: `external Postgres ${readFileSync(join(data, "PG_VERSION"), "utf8").trim()}`,
    port,
    url,
    async restart(how) {
      const from = performance.now();
      await end(how);
      running = await launch();
      return performance.now() - from;
    },
    async stop() {
      await end("fast");
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function debianBinaries(): string {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base).map(Number).filter(Number.isInteger) : [];
  if (versions.length === 0) throw new Error(`--database external needs Debian's postgresql (${base}); use --database embedded.`);
  return join(base, String(Math.max(...versions)), "bin");
}

const idOf = (what: "-u" | "-g") => Number(execFileSync("id", [what, "postgres"], { encoding: "utf8" }));

/** Resolves when it takes statements. */
async function answers(url: string): Promise<void> {
  const giveUpAt = performance.now() + START_MAX_MS;
  for (;;) {
    const sql = connect(url, { max: 1 });
    try {
      await sql`select 1`;
      return;
    } catch (error) {
      if (performance.now() > giveUpAt || !(isUnreachable(error) || isConnectionLost(error))) throw error;
    } finally {
      await sql.end({ timeout: 0 });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
