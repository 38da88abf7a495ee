import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type House, openHouse } from "../../src/house.ts";
import { type Config, readConfig } from "../../src/runtime/config.ts";
import { ensureKey } from "../../src/runtime/keys.ts";
import { createLog } from "../../src/runtime/log.ts";
import { type Serving, serve } from "../../src/serve.ts";
import type { Vendor } from "../../vendor/main.ts";

const API_KEY = "a-key-for-this-test";

/** The whole product in this process, as `campanile serve` runs it, in front of the vendor. */
export interface Home {
  readonly house: House;
  readonly config: Config;
  readonly url: string;
  /** What the log said of this level and above. */
  readonly lines: readonly string[];
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** Ends in order: what is in flight ends, lots are given back. */
  stop(): Promise<void>;
}

export interface HomeOptions {
  readonly dir: string;
  /** Absent: the embedded database of `dir`. */
  readonly databaseUrl?: string;
  readonly vendor: Vendor;
  readonly env?: Readonly<Record<string, string>>;
}

export function homeFolder(): { dir: string; remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), "campanile-home-"));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

export async function openHome({ dir, databaseUrl, vendor, env = {} }: HomeOptions): Promise<Home> {
  const config = readConfig({
    PORT: "0",
    ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
    CAMPANILE_DATA_DIR: dir,
    META_ACCESS_TOKEN: vendor.token,
    META_PHONE_NUMBER_ID: vendor.phoneNumberId,
    META_WABA_ID: vendor.wabaId,
    META_APP_SECRET: "secret",
    META_VERIFY_TOKEN: "token",
    META_API_BASE: vendor.url,
    DAILY_CAP: "100000",
    CAMPANILE_SECRET: "the same on every machine",
    ...env,
  });
  const lines: string[] = [];
  const house = await openHouse(config, createLog("error", { write: (line) => lines.push(line) }));
  await ensureKey(house.sql, house.luck, { workspaceId: house.workspaceId, name: "test", key: API_KEY });
  const serving: Serving = await serve(house);
  return {
    house,
    config,
    url: serving.url ?? "",
    lines,
    async call<T>(method: string, path: string, body?: unknown): Promise<T> {
      const answer = await fetch(`${serving.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${API_KEY}`, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return JSON.parse(text) as T;
    },
    async stop() {
      await serving.stop();
      await house.close();
    },
  };
}
