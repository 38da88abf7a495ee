import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";

/** What this process counts for Prometheus. One registry for each process or test, never the global one. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return {
    registry,
    httpSeconds: new Histogram({
      name: "campanile_http_request_duration_seconds",
      help: "Time from the first byte of a request to the last byte of its answer.",
      labelNames: ["method", "route", "status"] as const,
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers: [registry],
    }),
    refusals: new Counter({
      name: "campanile_refusals_total",
      help: "Requests that were refused, by the code the caller was given.",
      labelNames: ["code"] as const,
      registers: [registry],
    }),
    webhookDeliveries: new Counter({
      name: "campanile_webhook_deliveries_total",
      help: "Tries to deliver an outgoing webhook, by what became of it: delivered, retried (it will be), dead (given up).",
      labelNames: ["result"] as const,
      registers: [registry],
    }),
  };
}

export type Metrics = ReturnType<typeof createMetrics>;
