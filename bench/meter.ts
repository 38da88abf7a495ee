import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import type postgres from "postgres";

/** What the servers have done so far. Null: it cannot be known here. */
export interface Reading {
  readonly postgresCpuUs: number | null;
  readonly redisCpuUs: number | null;
  readonly walBytes: number;
}

/** Linux counts a process's time in hundredths of a second, in /proc. */
const TICK_US = 10_000;

export async function read(sql: postgres.Sql, redisUrl: string | null): Promise<Reading> {
  const [row] = await sql<{ pid: number; wal: string }[]>`select pg_backend_pid() as pid, pg_current_wal_insert_lsn() - '0/0'::pg_lsn as wal`;
  if (row === undefined) throw new Error("Postgres did not say where its log is");
  const redisCpuUs = redisUrl === null ? null : await redisCpu(redisUrl);
  return { postgresCpuUs: postgresCpu(row.pid), redisCpuUs, walBytes: Number(row.wal) };
}

/**
 * All processes of the server to which this backend belongs: those that live, and, on the postmaster's account, those that have ended.
 * Null when the server runs elsewhere.
 */
function postgresCpu(backend: number): number | null {
  const postmaster = statOf(String(backend))?.parent;
  if (postmaster === undefined) return null;
  for (let tries = 0; tries < 10; tries++) {
    const before = statOf(String(postmaster));
    const all = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
    const children = all.map(statOf).filter((stat) => stat?.parent === postmaster);
    const own = statOf(String(postmaster));
    if (own === undefined || !own.name.startsWith("postgres")) return null;
    // When one has ended meanwhile it may have been missed, or counted twice.
    if (own.endedTicks === before?.endedTicks)
      return (own.ticks + own.endedTicks + children.reduce((sum, stat) => sum + (stat?.ticks ?? 0), 0)) * TICK_US;
  }
  return null;
}

function statOf(pid: string): { name: string; parent: number; ticks: number; endedTicks: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const end = text.lastIndexOf(")");
    const fields = text.slice(end + 2).split(" ");
    const at = (index: number) => Number(fields[index]);
    // proc(5), after the name: 1 ppid, 11 utime, 12 stime, 13 cutime, 14 cstime
    return { name: text.slice(text.indexOf("(") + 1, end), parent: at(1), ticks: at(11) + at(12), endedTicks: at(13) + at(14) };
  } catch {
    return undefined;
  }
}

async function redisCpu(url: string): Promise<number> {
  const said = await askRedis(url, "INFO cpu");
  const seconds = ["used_cpu_sys", "used_cpu_user"].map((name) => Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(said)?.[1]));
  return seconds.reduce((sum, one) => sum + one, 0) * 1e6;
}

/** One command, in Redis's inline form: the parent needs no client for more. */
export function askRedis(url: string, command: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port || 6_379), timeout: 5_000 });
    let said = "";
    socket.on("error", reject);
    socket.on("timeout", () => socket.destroy(new Error(`Redis at ${hostname}:${port} does not answer`)));
    socket.on("data", (chunk) => (said += chunk.toString()));
    socket.on("end", () => resolve(said));
    socket.write(`${command}\r\nQUIT\r\n`);
  });
}
