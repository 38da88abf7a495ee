import { setImmediate as tick } from "node:timers/promises";
import Fastify, { type FastifyError } from "fastify";
import { onTestFinished } from "vitest";
import { answerError } from "../../src/doors/http/problem.ts";
import { whatsappWebhook } from "../../src/doors/http/whatsapp-webhook.ts";
import { startEngine } from "../../src/flow/dispatch/engine.ts";
import { openPool } from "../../src/flow/provider/open.ts";
import type { Provider } from "../../src/flow/provider/port.ts";
import { whatsappProvider } from "../../src/flow/provider/whatsapp/send.ts";
import { applyReceipts } from "../../src/flow/receipt/apply.ts";
import { createIntake } from "../../src/flow/receipt/intake.ts";
import { SEND_TIMEOUT_MS } from "../../src/rules/limits.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { openDeadlines } from "../../src/runtime/deadlines.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { startVendor, type Vendor } from "../../vendor/main.ts";
import type { SettingsPatch } from "../../vendor/settings.ts";
import type { Town, TownEngine } from "../support/town.ts";

const APP_SECRET = "app_secret";
/** Time passes in steps of so much; between two of them every call that will be answered has been. */
const STEP_MS = 250;
const ANSWERED_TICKS_MAX = 200_000;

/** An engine of a town in front of real sockets. */
export interface Wired {
  readonly engine: TownEngine;
  pass(ms: number): Promise<void>;
  /** Ends the engine, in order. */
  rest(): Promise<void>;
}

export interface WiredOptions {
  readonly provider: Provider;
  /** Whose calls are never answered: the clock does not wait for them. */
  readonly hangs?: (address: string) => boolean;
  readonly sweepMs?: number;
}

/**
 * Puts an engine to work in the town. The town's clock counts the deadlines of its calls; that the calls are made by real sockets takes
 * real time, for which the clock waits.
 */
export function wire(place: Town, { provider, hangs = () => false, sweepMs = 5_000 }: WiredOptions): Wired {
  const out = new Set<string>();
  // Called so, its calls may sleep on the town's clock.
  const counted: Provider = {
    name: "rehearsal",
    async send(parcel, signal) {
      out.add(parcel.address);
      try {
        return await provider.send(parcel, signal);
      } finally {
        out.delete(parcel.address);
      }
    },
  };
  const engine = place.engine(counted);
  const running = startEngine(engine, { campaignsMax: 5, lotsPerCampaign: 4, pollMs: sweepMs, sweepMs });
  let ended: Promise<void> | undefined;
  const rest = () => {
    ended ??= place.clock.until(running.stop()).then(() => engine.kill());
    return ended;
  };
  onTestFinished(rest);
  async function answered(): Promise<void> {
    for (let ticks = 0; ticks < ANSWERED_TICKS_MAX && [...out].some((address) => !hangs(address)); ticks++) await tick();
  }
  return {
    engine,
    rest,
    async pass(ms) {
      for (let passed = 0; passed < ms; passed += STEP_MS) {
        await place.clock.pass(Math.min(STEP_MS, ms - passed));
        await answered();
      }
    },
  };
}

/** The product's own provider for the WhatsApp at `origin`, its deadlines by the town's clock. */
export function whatsappAt(place: Town, vendor: Vendor, origin = vendor.url): Provider {
  const pool = openPool(origin);
  const deadlines = openDeadlines(place.clock, SEND_TIMEOUT_MS);
  onTestFinished(async () => {
    deadlines.close();
    await pool.destroy();
  });
  return whatsappProvider({ pool, deadlines, path: `/v25.0/${vendor.phoneNumberId}/messages`, accessToken: vendor.token });
}

export interface Vendored {
  readonly vendor: Vendor;
  /** The vendor tells all it has to tell, by webhooks to the real door, and the receipts are applied. */
  hear(): Promise<void>;
}

/** A vendor for the town's sender, whose webhooks come to the town by HTTP. */
export async function vendorOf(
  place: Town,
  settings: SettingsPatch = {},
  /** The n-th webhook is stored, and then the process dies before it has acknowledged it. */
  { diesAt = () => false }: { diesAt?: (webhooks: number) => boolean } = {},
): Promise<Vendored> {
  const vendor = await startVendor({
    fsync: false,
    clock: { now: () => place.clock.now() },
    settings: { ...settings, limits: { throughput: null }, mix: { successRate: 1, replyRate: 0, optOutRate: 0, ...settings.mix } },
  });
  onTestFinished(() => vendor.stop());
  await place.sql`update sender set provider = 'whatsapp_cloud', external_id = ${vendor.phoneNumberId}`;
  const door = Fastify();
  const metrics = createMetrics();
  door.setErrorHandler<FastifyError>((error, request, reply) => answerError(metrics, error, request, reply));
  const intake = createIntake({ sql: place.sql, appSecretOf: async () => null, defaultAppSecret: APP_SECRET });
  let webhooks = 0;
  const takeIn: typeof intake.takeIn = async (body, signature) => {
    const taken = await intake.takeIn(body, signature);
    if (diesAt(++webhooks)) throw new Error("the process died");
    return taken;
  };
  await door.register(whatsappWebhook, { intake: { takeIn }, verifyToken: null, clock: systemClock, timeoutMs: 30_000 });
  const url = await door.listen({ port: 0, host: "127.0.0.1" });
  onTestFinished(() => door.close());
  await vendor.setWebhook({ url: `${url}/webhooks/whatsapp`, appSecret: APP_SECRET });
  return {
    vendor,
    async hear() {
      await vendor.drain();
      while ((await applyReceipts(place.sql, 200)) > 0);
    },
  };
}
