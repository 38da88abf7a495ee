import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge } from "prom-client";
import { SystemStats } from "../../contract/system.ts";
import { answerOf } from "../../contract/wire.ts";
import { type QueueRow, readInbox, readQueue } from "../../flow/live/queue-store.ts";
import { ownVersion } from "../../runtime/version.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { ok } from "./wire.ts";

const MB = 1024 * 1024;
const sumOf = (rows: readonly QueueRow[], field: "waiting" | "active" | "failed" | "perMinute") => rows.reduce((sum, row) => sum + row[field], 0);
const queued = ({ waiting, active, failed, perMinute }: Omit<QueueRow, "id" | "name" | "state">) => ({
  waiting,
  active,
  failed,
  messagesPerMinute: perMinute,
});

/** How the work stands, for people and for Prometheus. */
export function registerSystem(app: App, deps: Deps): void {
  const { sql } = deps;
  const lag = monitorEventLoopDelay({ resolution: 20 });
  lag.enable();
  app.addHook("onClose", async () => void lag.disable());
  app.get(
    "/api/v1/system/stats",
    {
      schema: { tags: ["System"], summary: "Queue, receipts, process", response: { 200: answerOf(SystemStats) } },
      config: { right: "read" },
    },
    async (request) => {
      const [rows, [inbox]] = await Promise.all([readQueue(sql, callerIn(request).workspaceId), readInbox(sql)]);
      const { user, system } = process.cpuUsage();
      const loopLagMs = Math.round(lag.percentile(99) / 10_000) / 100;
      lag.reset();
      return ok({
        queue: {
          waiting: sumOf(rows, "waiting"),
          active: sumOf(rows, "active"),
          failed: sumOf(rows, "failed"),
          messagesPerMinute: sumOf(rows, "perMinute"),
          campaigns: rows.map((row) => ({ id: row.id, name: row.name, status: row.state, ...queued(row) })),
        },
        receipts: inbox ?? { waiting: 0, oldestSeconds: 0 },
        process: {
          version: ownVersion(),
          uptimeSeconds: Math.round(process.uptime()),
          memoryMb: Math.round(process.memoryUsage.rss() / MB),
          cpuPercent: Math.round((user + system) / process.uptime() / 1_000) / 10,
          loopLagMs,
        },
      });
    },
  );
  observeQueue(deps);
}

/** Read when Prometheus asks, once for all of them, and never in between. A campaign that ended is no longer named. */
function observeQueue({ sql, metrics: { registry }, log }: Deps): void {
  const gauges = new Map<keyof QueueRow, Gauge<"campaign">>();
  const receipts = new Gauge({ name: "campanile_receipts_waiting", help: "Webhooks stored and not yet looked at.", registers: [registry], collect });
  let reading: Promise<void> | null = null;
  function collect(): Promise<void> {
    reading ??= read().finally(() => {
      reading = null;
    });
    return reading;
  }
  async function read(): Promise<void> {
    for (const gauge of gauges.values()) gauge.reset();
    try {
      const [rows, [inbox]] = await Promise.all([readQueue(sql, null), readInbox(sql)]);
      receipts.set(inbox?.waiting ?? 0);
      for (const row of rows) for (const [field, gauge] of gauges) gauge.set({ campaign: row.id }, Number(row[field]));
    } catch (error) {
      // The other figures are told all the same.
      log.warn({ err: error }, "the queue could not be read for the metrics");
    }
  }
  for (const [field, name, help] of [
    ["waiting", "waiting", "Messages with which nobody has begun, by campaign."],
    ["active", "active", "Messages on their way and not settled, by campaign."],
    ["failed", "failed", "Messages that failed, by campaign that has not ended."],
    ["perMinute", "messages_per_minute", "Messages a minute as last told, by campaign."],
  ] as const)
    gauges.set(field, new Gauge({ name: `campanile_queue_${name}`, help, labelNames: ["campaign"], registers: [registry], collect }));
}
