import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { startEmbedded } from "../src/runtime/embedded.ts";
import { askRedis } from "./meter.ts";

export interface PostgresServer {
  /** Of a database from which others can be created; over TCP, as between two machines. */
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** The one that DATABASE_URL names, else the product's embedded one with its default settings but a larger cache. Every commit is durable. */
export async function startPostgres(dir: string): Promise<PostgresServer> {
  const external = process.env["DATABASE_URL"];
  if (external !== undefined && external !== "") return { url: external, stop: async () => {} };
  const port = await freePort();
  const settings = { listen_addresses: "127.0.0.1", port: String(port), shared_buffers: "1GB", max_connections: "200" };
  const embedded = await startEmbedded({ dir, settings });
  return { url: `postgres://campanile@127.0.0.1:${port}/postgres`, stop: () => embedded.stop() };
}

export interface RedisServer {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

/** The one that BENCH_REDIS_URL names, else one of our own which keeps nothing on disk (which favours it). Null: there is none here. */
export async function startRedis(dir: string): Promise<RedisServer | null> {
  const external = process.env["BENCH_REDIS_URL"];
  if (external !== undefined && external !== "") return { url: external, stop: async () => {} };
  const port = await freePort();
  const options = { port, bind: "127.0.0.1", dir, save: "", appendonly: "no", logfile: join(dir, "redis.log") };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  // A group of its own: Ctrl-C reaches us, and we end it last.
  const child = spawn("redis-server", args, { stdio: "ignore", detached: true });
  const url = `redis://127.0.0.1:${port}`;
  return (await answers(child, url)) ? { url, stop: () => end(child) } : null;
}

async function answers(child: ChildProcess, url: string): Promise<boolean> {
  let missing = false;
  child.once("error", () => (missing = true));
  for (let tries = 0; tries < 100; tries++) {
    await pause(50);
    if (missing || child.exitCode !== null) return false;
    if (
      await askRedis(url, "PING").then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  await end(child);
  return false;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("no port is free"))));
    });
  });
}
