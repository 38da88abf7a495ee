import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import type postgres from "postgres";
import { askRedis } from "./meter.ts";

/** Where and with what a bench ran, one line each. */
export async function factsOf(admin: postgres.Sql, redisUrl: string | null): Promise<string[]> {
  const [server] = await admin<{ version: string; buffers: string; commit: string; fsync: string }[]>`
    select current_setting('server_version') as version, current_setting('shared_buffers') as buffers,
      current_setting('synchronous_commit') as commit, current_setting('fsync') as fsync`;
  const redis = redisUrl === null ? null : /redis_version:(\S+)/.exec(await askRedis(redisUrl, "INFO server"))?.[1];
  const all = cpus();
  const load = loadavg()[0] ?? 0;
  const busy = load > all.length / 2 ? " (others were using the machine: CPU and WAL say more than messages per second)" : "";
  return [
    `${new Date().toISOString().slice(0, 10)}, commit ${commit()}`,
    `${all.length} cores (${all[0]?.model.trim() ?? "unknown"}), ${Math.round(totalmem() / 2 ** 30)} GB, ${type()} ${release()}; load before it began: ${load.toFixed(1)}${busy}`,
    `Node ${process.versions.node} runs all of them, built as they are published`,
    `Postgres ${server?.version}, shared_buffers ${server?.buffers}, synchronous_commit ${server?.commit}, fsync ${server?.fsync}; otherwise its defaults`,
    redis == null ? "No Redis: BullMQ was left out" : `Redis ${redis}, keeping nothing on disk`,
    Object.entries(peers())
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
  ];
}

/** The commit, and whether something was changed since. */
function commit(): string {
  const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  try {
    return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain", "--", "src", "db", "vendor") === "" ? "" : " and what was not committed"}`;
  } catch {
    return "unknown";
  }
}

const peers = () =>
  (JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8")) as { dependencies: Record<string, string> }).dependencies;
