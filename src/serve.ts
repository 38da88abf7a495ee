import type { AddressInfo } from "node:net";
import type { App } from "./doors/http/deps.ts";
import { buildServer } from "./doors/http/server.ts";
import { enlist } from "./flow/audience/enlist.ts";
import { failStaleImports } from "./flow/audience/import/stale.ts";
import { closeDue } from "./flow/campaign/close.ts";
import { planDue } from "./flow/campaign/plan.ts";
import { startEngine } from "./flow/dispatch/engine.ts";
import { executeBatch } from "./flow/dispatch/execute-batch.ts";
import { connectSender, defaultWhatsAppSender, syncTemplates } from "./flow/provider/sender.ts";
import { applyReceipts } from "./flow/receipt/apply.ts";
import { createIntake } from "./flow/receipt/intake.ts";
import type { House } from "./house.ts";
import { Refusal } from "./rules/refusal.ts";
import { type Running, startLoop } from "./runtime/loop.ts";
import { createMetrics } from "./runtime/metrics.ts";

/** What one process can be made of. */
export const allParts = ["api", "engine", "receipts", "scheduler"] as const;
export type Part = (typeof allParts)[number];

export interface Serving {
  /** Where the API listens; null without it. */
  readonly url: string | null;
  /** Stops taking work at once, ends what is in flight, gives lots back. */
  stop(): Promise<void>;
}

export interface ServeOptions {
  readonly only?: readonly Part[];
  readonly port?: number;
}

const CAMPAIGNS_MAX = 5;
const LOTS_PER_CAMPAIGN = 4;
const POLL_MS = 5_000;
const SWEEP_MS = 1_000;
/** An import that was not heard of for a minute is dead. */
const STALE_MS = 60_000;
/** A stop ends within 25 s, whatever hangs. */
const STOP_MAX_MS = 15_000;
/** Steps of the loops: webhooks per transaction, campaigns per look. */
const INBOX_STEP = 200;
const CAMPAIGNS_STEP = 10;
/** The channel on which the database says that a campaign has changed (campaign's `emit`). */
const CHANNEL = "campanile";

/**
 * Runs the parts of the product in this process until it is stopped. The API listens before anything is sent: a port that is taken
 * ends the start, and nothing has happened.
 * @throws {Refusal} `not_available` when it cannot listen
 */
export async function serve(house: House, { only = allParts, port = house.config.port }: ServeOptions = {}): Promise<Serving> {
  const { sql } = house;
  const running: Running[] = [];
  const nudge = () => {
    for (const one of running) one.nudge();
  };
  const app = only.includes("api") ? await openApi(house, { onWebhook: nudge }) : null;
  const url = app === null ? null : await listen(app, house.config.host, port);
  try {
    await openDefaultSender(house);
    startLoops(house, only, running);
    const listening = await sql.listen(CHANNEL, nudge);
    const stop = async () => {
      await Promise.all(running.map((one) => one.stop()));
      await app?.close();
      await listening.unlisten();
    };
    return { url, stop: () => inTime(stop(), house) };
  } catch (error) {
    await Promise.all(running.map((one) => one.stop()));
    await app?.close();
    throw error;
  }
}

async function listen(app: App, host: string, port: number): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    const cause =
      error instanceof Error && "code" in error && error.code === "EADDRINUSE" ? "it is in use. Choose another with PORT or --port" : String(error);
    throw new Refusal("not_available", { cause: `Port ${port} of ${host} cannot be listened on: ${cause}.` });
  }
  const { address, family, port: taken } = app.server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${taken}`;
}

function startLoops(house: House, only: readonly Part[], running: Running[]): void {
  const { sql, log, clock, luck } = house;
  const deps = { sql, clock, luck };
  const loop = (name: string, step: () => Promise<number>, restMs: number) =>
    running.push(startLoop({ name, step, restMs: () => restMs }, { clock, log }));
  if (only.includes("engine")) {
    const limits = { campaignsMax: CAMPAIGNS_MAX, lotsPerCampaign: LOTS_PER_CAMPAIGN, pollMs: POLL_MS, sweepMs: SWEEP_MS };
    running.push(startEngine(house.dispatch, limits));
  }
  if (only.includes("receipts")) loop("receipts", () => applyReceipts(sql, INBOX_STEP), SWEEP_MS);
  if (only.includes("scheduler")) {
    loop("planning", () => planDue(CAMPAIGNS_STEP, deps), SWEEP_MS);
    loop("closing", () => closeDue(CAMPAIGNS_STEP, deps), SWEEP_MS);
    loop("stale imports", () => failStaleImports(deps).then(() => 0), STALE_MS);
  }
}

/** What does not end by itself, because the database is away or a vendor hangs, is ended: what it began is uncertain then. */
async function inTime(stopping: Promise<void>, { clock, kill }: House): Promise<void> {
  const timer = new AbortController();
  const late = clock.sleep(STOP_MAX_MS, timer.signal).then(() => {
    if (!timer.signal.aborted) kill();
  });
  await stopping.finally(() => timer.abort());
  await late;
}

/** The API's routes on this house. `own`: a key for this process's own calls, with all rights in the default workspace. */
export async function openApi(house: House, { onWebhook = () => {}, own }: { onWebhook?: () => void; own?: string }): Promise<App> {
  const { sql, log, clock, luck, config, providers, senders, dispatch } = house;
  const intake = createIntake({ sql, appSecretOf: async () => null, defaultAppSecret: config.appSecret ?? null });
  const takeIn: typeof intake.takeIn = async (body, signature) => {
    const taken = await intake.takeIn(body, signature);
    if (taken === "stored") onWebhook();
    return taken;
  };
  return buildServer({
    sql,
    log,
    clock,
    luck,
    config,
    providers,
    enlist,
    metrics: createMetrics(),
    keys: senders.keys,
    ...(own === undefined ? {} : { own: { key: own, workspaceId: house.workspaceId } }),
    executeBatch: (ref) => executeBatch(ref, dispatch),
    whatsapp: { intake: { takeIn }, verifyToken: config.verifyToken ?? null },
  });
}

/** The sender that the environment names: made or renewed, connected, its templates read. A vendor that is away now is tried again by hand. */
async function openDefaultSender({ config, workspaceId, senders, log }: House): Promise<void> {
  if (config.defaultSender === undefined) return;
  const { apiBase, apiVersion, dailyCap, capCalendarZone } = config;
  const sender = await defaultWhatsAppSender(
    workspaceId,
    { ...config.defaultSender, apiBase, apiVersion, cap: dailyCap, calendarZone: capCalendarZone },
    senders,
  );
  try {
    await connectSender(sender, senders);
    const templates = await syncTemplates(sender, senders);
    log.info({ senderId: sender.id, templates }, "the default WhatsApp sender is connected");
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    log.warn({ senderId: sender.id, cause: error.message }, "the default WhatsApp sender could not be connected");
  }
}
