import type { AddressInfo } from "node:net";
import type { App } from "./doors/http/deps.ts";
import { chosenBy } from "./flow/audience/chosen-store.ts";
import { failStaleImports } from "./flow/audience/import/stale.ts";
import { closeDue } from "./flow/campaign/close.ts";
import { planDue } from "./flow/campaign/plan.ts";
import { believeReceipts } from "./flow/dispatch/beyond-mark.ts";
import { startEngine } from "./flow/dispatch/engine.ts";
import { executeBatch } from "./flow/dispatch/execute-batch.ts";
import { tellProgressOf } from "./flow/live/progress.ts";
import { connectSender, defaultWhatsAppSender, syncTemplates } from "./flow/provider/sender.ts";
import { applyReceipts } from "./flow/receipt/apply.ts";
import { createIntake } from "./flow/receipt/intake.ts";
import { startDeliveries } from "./flow/webhook/deliver.ts";
import { openPoster } from "./flow/webhook/post.ts";
import type { House } from "./house.ts";
import { Refusal } from "./rules/refusal.ts";
import { keepHeapSmall } from "./runtime/heap.ts";
import { runUnlessHeld } from "./runtime/hold.ts";
import { type Running, startLoop } from "./runtime/loop.ts";
import { createMetrics, type Metrics } from "./runtime/metrics.ts";
import { WHAT_TO_DO } from "./runtime/watermark.ts";
import { openRegressions } from "./runtime/watermark-store.ts";

/** What one process can be made of. */
export const allParts = ["api", "engine", "receipts", "scheduler", "webhooks"] as const;
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
/** A revoked key stops hearing after so long. */
const RECHECK_MS = 10_000;
/** An import that was not heard of for a minute is dead. */
const STALE_MS = 60_000;
/** What is sent in so long may go unnoticed when an older database takes over, unless its server is another. */
const WATERMARK_MS = 1_000;
/** Every lot that is not closed is looked at: 10 ms for a million recipients. */
const OUTRUN_MS = 5_000;
/** A stop ends within 25 s, whatever hangs. */
const STOP_MAX_MS = 15_000;
/** After that, what was killed has so long to say so. */
const KILL_MAX_MS = 2_000;
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
  keepHeapSmall();
  const running: Running[] = [];
  const nudge = () => {
    for (const one of running) one.nudge();
  };
  /** The loop that a webhook wakes. Thousands come in a second: all loops woken by each would never rest. */
  let receipts: Running | undefined;
  const metrics = createMetrics();
  const app = only.includes("api") ? await openApi(house, { onWebhook: () => receipts?.nudge(), metrics }) : null;
  const url = app === null ? null : await listen(app, house.config.host, port);
  try {
    if (app !== null) running.push(...(await startLive(app, house)));
    await openDefaultSender(house);
    receipts = startLoops(house, only, running);
    if (only.includes("webhooks")) running.push(startWebhooks(house, metrics));
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

/** Tells listeners what happens. Its loop is stopped before the API closes, and takes the listeners with it. */
async function startLive(app: App, house: House): Promise<Running[]> {
  const { clock, log } = house;
  const { openLive } = await import("./doors/http/live.ts");
  const live = await openLive(app, house);
  const tail = startLoop({ name: "live events", step: live.step, restMs: () => SWEEP_MS }, { clock, log });
  const keys = startLoop({ name: "listeners' keys", step: () => live.recheck().then(() => 0), restMs: () => RECHECK_MS }, { clock, log });
  const stop = async () => {
    await Promise.all([tail.stop(), keys.stop()]);
    await live.close();
  };
  return [{ nudge: tail.nudge, stop }];
}

/** Returns the one of the receipts. */
function startLoops(house: House, only: readonly Part[], running: Running[]): Running | undefined {
  const { sql, log, clock, luck, watermark, disk } = house;
  const deps = { sql, clock, luck, chosenBy };
  const loop = (name: string, step: () => Promise<number>, restMs: number) => {
    const started = startLoop({ name, step, restMs: () => restMs }, { clock, log });
    running.push(started);
    return started;
  };
  if (only.includes("engine")) {
    const limits = { campaignsMax: CAMPAIGNS_MAX, lotsPerCampaign: LOTS_PER_CAMPAIGN, pollMs: POLL_MS, sweepMs: SWEEP_MS };
    loop("receipts beyond the mark", () => believeReceipts(watermark.note, house.dispatch).then(() => 0), OUTRUN_MS);
    running.push(runUnlessHeld({ name: "the engine", start: () => startEngine(house.dispatch, limits), why: disk.fault }, { clock, log }));
  }
  loop("watermark", () => watermark.beat().then(() => 0), WATERMARK_MS);
  const receipts = only.includes("receipts") ? loop("receipts", () => applyReceipts(sql, INBOX_STEP), SWEEP_MS) : undefined;
  if (only.includes("scheduler")) {
    loop("progress", () => tellProgressOf(CAMPAIGNS_STEP, sql), SWEEP_MS);
    loop("planning", async () => ((await disk.fault()) === null ? planDue(CAMPAIGNS_STEP, deps) : 0), SWEEP_MS);
    loop("closing", () => closeDue(CAMPAIGNS_STEP, deps), SWEEP_MS);
    loop("stale imports", () => failStaleImports(deps).then(() => 0), STALE_MS);
  }
  return receipts;
}

function startWebhooks({ sql, clock, luck, log, senders, config }: House, { webhookDeliveries }: Metrics): Running {
  const allowPrivate = config.webhooksAllowPrivate;
  const deps = { sql, clock, luck, log, keys: senders.keys, allowPrivate, post: openPoster({ clock, allowPrivate }) };
  return startDeliveries(deps, { pollMs: SWEEP_MS, report: (result) => webhookDeliveries.inc({ result }) });
}

/**
 * What does not end by itself, because the database is away or a vendor hangs, is ended: what it began is uncertain then. Nor does the
 * stop wait for a statement to which no answer will come: on a line that has silently died it would for a quarter of an hour.
 */
async function inTime(stopping: Promise<void>, { clock, kill }: House): Promise<void> {
  const timer = new AbortController();
  const late = clock.sleep(STOP_MAX_MS, timer.signal).then(async () => {
    if (timer.signal.aborted) return;
    kill();
    await clock.sleep(KILL_MAX_MS, timer.signal);
  });
  await Promise.race([stopping.finally(() => timer.abort()), late]);
}

/**
 * The API's routes on this house. `own`: a key for this process's own calls, with all rights in the default workspace. Read when it is
 * needed: an engine by itself is 30 MB smaller without it.
 */
export async function openApi(house: House, options: { onWebhook?: () => void; own?: string; metrics?: Metrics }): Promise<App> {
  const { onWebhook = () => {}, own, metrics = createMetrics() } = options;
  const { sql, prompt, log, clock, luck, config, providers, senders, dispatch, disk } = house;
  const intake = createIntake({ sql: prompt, appSecretOf: async () => null, defaultAppSecret: config.appSecret ?? null });
  const takeIn: typeof intake.takeIn = async (body, signature) => {
    const taken = await intake.takeIn(body, signature);
    if (taken === "stored") onWebhook();
    return taken;
  };
  const [{ buildServer }, { enlist }] = await Promise.all([import("./doors/http/server.ts"), import("./flow/audience/enlist.ts")]);
  return buildServer({
    sql,
    prompt,
    log,
    clock,
    luck,
    config,
    providers,
    enlist,
    chosenBy,
    metrics,
    keys: senders.keys,
    ...(own === undefined ? {} : { own: { key: own, workspaceId: house.workspaceId } }),
    executeBatch: async (ref) => {
      const cause = await disk.fault();
      if (cause !== null) throw new Refusal("not_available", { cause });
      return executeBatch(ref, dispatch);
    },
    whySilent: () => whySilent(house),
    whatsapp: { intake: { takeIn }, verifyToken: config.verifyToken ?? null },
  });
}

/** Why nobody is written to, whatever the campaigns; null: nothing speaks against it. */
async function whySilent({ sql, disk }: House): Promise<string | null> {
  const [regression] = await openRegressions(sql);
  return regression === undefined ? disk.fault() : `${regression.what} ${WHAT_TO_DO}`;
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
