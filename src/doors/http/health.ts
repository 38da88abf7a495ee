import { Health } from "../../contract/system.ts";
import { answerOf } from "../../contract/wire.ts";
import { pendingMigrations } from "../../runtime/migrate.ts";
import type { App, Deps } from "./deps.ts";
import { probe } from "./store.ts";

/** A database that needs longer for `select 1` does not serve anybody. */
const DATABASE_TIMEOUT_MS = 3_000;

/** Live: this process answers. Ready: it can work. Neither tells strangers more than that; the log has the cause. */
export function registerHealth(app: App, deps: Deps): void {
  app.get("/health/live", { schema: { tags: ["System"], summary: "Is the process alive?", security: [], response: { 200: Health } } }, async () => ({
    status: "ok" as const,
    checks: {},
  }));
  app.get(
    "/health/ready",
    { schema: { tags: ["System"], summary: "Can it work?", security: [], response: { 200: Health, 503: Health } } },
    async (_request, reply) => {
      const health = await healthOf(deps);
      return reply.code(health.status === "ok" ? 200 : 503).send(health);
    },
  );
  app.get(
    "/api/v1/system/health",
    { schema: { tags: ["System"], summary: "Can it work? With a key", response: { 200: answerOf(Health) } }, config: { right: "read" } },
    async () => ({ success: true as const, data: await sendingHealthOf(deps) }),
  );
  app.get("/metrics", { schema: { tags: ["System"], summary: "Metrics for Prometheus", security: [] } }, async (_request, reply) =>
    reply.type(deps.metrics.registry.contentType).send(await deps.metrics.registry.metrics()),
  );
}

async function healthOf(deps: Deps): Promise<Health> {
  const checks = {
    database: await checked(deps, "Postgres answers.", databaseFault),
    schema: await checked(deps, "The schema is up to date.", schemaFault),
  };
  return { status: Object.values(checks).every((check) => check.ok) ? "ok" : "failing", checks };
}

/** … and whether it may send. A server that may not still takes in what comes: that does not make it unready. */
async function sendingHealthOf(deps: Deps): Promise<Health> {
  const { status, checks } = await healthOf(deps);
  const sending = await checked(deps, "Nothing speaks against sending.", async () => (await deps.whySilent?.()) ?? null);
  return { status: sending.ok ? status : "failing", checks: { ...checks, sending } };
}

async function databaseFault({ sql, clock }: Deps): Promise<string | null> {
  const controller = new AbortController();
  const late = clock.sleep(DATABASE_TIMEOUT_MS, controller.signal).then(() => "Postgres does not answer in time.");
  try {
    return await Promise.race([probe(sql).then(() => null), late]);
  } finally {
    controller.abort();
  }
}

async function schemaFault({ sql }: Deps): Promise<string | null> {
  const pending = await pendingMigrations(sql);
  return pending.length === 0 ? null : `${pending.length} migrations are missing: run campanile migrate.`;
}

async function checked(deps: Deps, fine: string, faultOf: (deps: Deps) => Promise<string | null>) {
  try {
    const fault = await faultOf(deps);
    return { ok: fault === null, detail: fault ?? fine };
  } catch (error) {
    deps.log.warn({ err: error }, "A health check failed");
    return { ok: false, detail: "Not now; the log has the cause." };
  }
}
