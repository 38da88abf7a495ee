import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Vendor } from "../../vendor/main.ts";

const API_KEY = "a-key-for-this-test";
const READY_MAX_MS = 60_000;

export interface ServerProcess {
  readonly url: string;
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** Sends the signal and waits for the end; the exit code, null after KILL. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

export interface ServerFolder {
  readonly dir: string;
  remove(): void;
}

export function serverFolder(): ServerFolder {
  const dir = mkdtempSync(join(tmpdir(), "campanile-process-"));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** The real program in a process of its own, with its vendor in this one. */
export async function startServer({ dir, databaseUrl, vendor }: { dir: string; databaseUrl: string; vendor: Vendor }): Promise<ServerProcess> {
  const env = {
    ...process.env,
    PORT: "0",
    LOG_LEVEL: "error",
    DATABASE_URL: databaseUrl,
    CAMPANILE_DATA_DIR: dir,
    CAMPANILE_API_KEY: API_KEY,
    META_ACCESS_TOKEN: vendor.token,
    META_PHONE_NUMBER_ID: vendor.phoneNumberId,
    META_WABA_ID: vendor.wabaId,
    META_APP_SECRET: "secret",
    META_VERIFY_TOKEN: "token",
    META_API_BASE: vendor.url,
    DAILY_CAP: "100000",
  };
  const child = spawn(process.execPath, ["--import", "tsx", "src/main.ts", "serve", "--json"], { env, stdio: ["ignore", "pipe", "pipe"] });
  const said: string[] = [];
  child.stderr.on("data", (chunk) => said.push(String(chunk)));
  const url = await urlOf(child, said);
  return {
    url,
    async call<T>(method: string, path: string, body?: unknown): Promise<T> {
      const json = body === undefined ? {} : { body: JSON.stringify(body) };
      const answer = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${API_KEY}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...json,
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return JSON.parse(text) as T;
    },
    async end(signal) {
      const ended = once(child, "exit") as Promise<[number | null]>;
      child.kill(signal);
      const [code] = await ended;
      return code;
    },
  };
}

async function urlOf(child: ChildProcess, said: readonly string[]): Promise<string> {
  const timer = AbortSignal.timeout(READY_MAX_MS);
  const ended = once(child, "exit", { signal: timer }).then(() => {
    throw new Error(`the server ended before it listened: ${said.join("")}`);
  });
  ended.catch(() => {});
  if (child.stdout === null) throw new Error("the server has no standard output");
  const [line] = await Promise.race([once(child.stdout, "data", { signal: timer }), ended]);
  const { url } = JSON.parse(String(line)) as { url: string };
  return url;
}
