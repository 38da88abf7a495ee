import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { request } from "undici";
import { onTestFinished } from "vitest";
import { type House, openHouse } from "../../src/house.ts";
import { readConfig } from "../../src/runtime/config.ts";
import { ensureKey } from "../../src/runtime/keys.ts";
import { createLog } from "../../src/runtime/log.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { type Serving, serve } from "../../src/serve.ts";
import { startVendor, type Vendor } from "../../vendor/main.ts";
import type { SettingsPatch } from "../../vendor/settings.ts";
import { type FreshDatabase, freshDatabase } from "../support/database.ts";

const API_KEY = "a-key-for-this-test";
export const APP_SECRET = "secret";

interface Answer {
  readonly status: number;
  readonly tookMs: number;
  readonly retryAfter: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever came, and says so in its expectation
  readonly body: any;
}

/** Everything that `campanile serve` runs, in this process, with its vendor, on the real clock: for what only real connections can show. */
interface Product {
  readonly house: House;
  readonly url: string;
  readonly vendor: Vendor;
  readonly database: FreshDatabase;
  /** What was logged as an error. */
  readonly errors: string[];
  call(method: "GET" | "POST" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<Answer>;
  /** Makes a campaign and starts it. */
  launch(campaign: { recipients: number; perMinute?: number | null; name?: string }): Promise<string>;
  /** Waits until it holds; the real clock is all there is. */
  until(what: () => Promise<boolean>, maxMs?: number): Promise<void>;
}

/** The same address, with a setting of Postgres for all its sessions: `lock_timeout=300`. */
export const withSetting = (url: string, setting: string): string => `${url}${url.includes("?") ? "&" : "?"}${setting}`;

interface ProductOptions {
  /** See `withSetting`. */
  readonly sessions?: string;
  readonly vendor?: SettingsPatch;
}

export async function openProduct({ sessions, vendor: settings = {} }: ProductOptions = {}): Promise<Product> {
  const vendor = await startVendor({ fsync: false, settings: { ...settings, limits: { throughput: null } } });
  onTestFinished(() => vendor.stop());
  const database = await freshDatabase({ max: 30 });
  onTestFinished(() => database.drop());
  const dir = mkdtempSync(join(tmpdir(), "campanile-faults-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const errors: string[] = [];
  const house = await openHouse(
    readConfig({
      DATABASE_URL: sessions === undefined ? database.url : withSetting(database.url, sessions),
      CAMPANILE_DATA_DIR: dir,
      META_ACCESS_TOKEN: vendor.token,
      META_PHONE_NUMBER_ID: vendor.phoneNumberId,
      META_WABA_ID: vendor.wabaId,
      META_APP_SECRET: APP_SECRET,
      META_VERIFY_TOKEN: "token",
      META_API_BASE: vendor.url,
      DAILY_CAP: "100000",
    }),
    createLog("error", { write: (line) => errors.push(line) }),
  );
  onTestFinished(() => house.close());
  await ensureKey(house.sql, systemLuck, { workspaceId: house.workspaceId, name: "test", key: API_KEY });
  const serving = await serve(house, { port: 0 });
  onTestFinished(() => serving.stop());
  return productOf({ house, serving, vendor, database, errors });
}

function productOf({
  house,
  serving,
  vendor,
  database,
  errors,
}: Pick<Product, "house" | "vendor" | "database" | "errors"> & { serving: Serving }): Product {
  const url = serving.url ?? "";
  const call: Product["call"] = async (method, path, body) => {
    const startedAt = performance.now();
    const json = body === undefined ? {} : { "content-type": "application/json" };
    const answer = await request(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${API_KEY}`, ...json },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await answer.body.text();
    const retryAfter = answer.headers["retry-after"];
    const parsed: unknown = text.startsWith("{") ? JSON.parse(text) : text;
    return { status: answer.statusCode, tookMs: performance.now() - startedAt, retryAfter: retryAfter?.toString(), body: parsed };
  };
  return {
    house,
    url,
    vendor,
    database,
    errors,
    call,
    async launch({ recipients, perMinute = null, name = "a campaign" }) {
      const { body: senders } = await call("GET", "/api/v1/senders");
      const { status, body } = await call("POST", "/api/v1/campaigns", {
        accountId: senders.data[0].id,
        name,
        messageType: "text",
        messageContent: "Hi {{firstName}}",
        audienceType: "inline",
        audienceConfig: { recipients: Array.from({ length: recipients }, (_, i) => ({ phone: `+9198${10_000_000 + i}`, firstName: `N${i}` })) },
        scheduleType: "now",
        throttleConfig: { messagesPerMinute: perMinute },
      });
      if (status !== 201) throw new Error(`the campaign was not made: ${status} ${JSON.stringify(body)}`);
      return body.data.id;
    },
    async until(what, maxMs = 30_000) {
      const giveUpAt = performance.now() + maxMs;
      while (!(await what())) {
        if (performance.now() > giveUpAt) throw new Error(`not within ${maxMs} ms`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}
