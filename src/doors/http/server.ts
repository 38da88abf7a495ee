import Fastify, { type FastifyBaseLogger, type FastifyError, LogController } from "fastify";
import { serializerCompiler, type ZodTypeProvider } from "fastify-type-provider-zod";
import { Refusal } from "../../rules/refusal.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { requireKeys } from "./auth.ts";
import { registerBatch } from "./batch.ts";
import { registerCampaigns } from "./campaigns.ts";
import { registerContacts } from "./contacts.ts";
import type { App, Deps } from "./deps.ts";
import { registerHealth } from "./health.ts";
import { keepAnswers } from "./idempotency.ts";
import { registerImports } from "./imports.ts";
import { registerKeys } from "./keys.ts";
import { registerLists } from "./lists.ts";
import { describeRoutes } from "./openapi.ts";
import { registerPages } from "./pages.ts";
import { answerError, unreadable } from "./problem.ts";
import { registerRecipients } from "./recipients.ts";
import { registerSegments } from "./segments.ts";
import { registerSenders } from "./senders.ts";
import { shapeCompiler } from "./shape.ts";
import { refuseUnstorable } from "./storable.ts";
import { registerSuppressions } from "./suppressions.ts";
import { registerSystem } from "./system.ts";
import { registerTemplates } from "./templates.ts";
import { acceptUploads, UPLOAD_TIMEOUT_MS } from "./upload.ts";
import { registerWebhookEndpoints } from "./webhook-endpoints.ts";
import { WEBHOOK_PATH, whatsappWebhook } from "./whatsapp-webhook.ts";

const JSON_BYTES_MAX = 1024 * 1024;
/** execute-batch answers after 20 s at the latest. */
const ANSWER_TIMEOUT_MS = 30_000;
const HEADERS_TIMEOUT_MS = 20_000;

/** In the order in which /docs shows them. */
const routes = [
  registerBatch,
  registerCampaigns,
  registerRecipients,
  registerContacts,
  registerLists,
  registerSegments,
  registerImports,
  registerSuppressions,
  registerSenders,
  registerTemplates,
  registerKeys,
  registerSystem,
  registerWebhookEndpoints,
];

/** The server, ready to listen or to be injected into. Closing it ends what is in flight first. */
export async function buildServer(deps: Deps): Promise<App> {
  const app: App = Fastify({
    loggerInstance: deps.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: "requestId" }),
    genReqId: () => deps.luck.uuid(),
    bodyLimit: JSON_BYTES_MAX,
    requestTimeout: UPLOAD_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: true },
    frameworkErrors: (error, request, reply) => answerError(deps.metrics, error, request, reply),
  }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(shapeCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.setErrorHandler<FastifyError>((error, request, reply) => answerError(deps.metrics, error, request, reply));
  refuseUnknown(app);
  answerInTime(app);
  guard(app);
  observe(app, deps.metrics);
  readJson(app);
  await acceptUploads(app, deps.config.csvBytesMax);
  requireKeys(app, { ...deps, sql: deps.prompt });
  app.addHook("preValidation", (request, _reply, done) => {
    refuseUnstorable(request);
    done();
  });
  keepAnswers(app, { ...deps, sql: deps.prompt });
  await describeRoutes(app);
  registerHealth(app, deps);
  for (const register of routes) register(app, deps);
  if (deps.whatsapp) await app.register(whatsappWebhook, { ...deps.whatsapp, clock: deps.clock, timeoutMs: ANSWER_TIMEOUT_MS });
  await registerPages(app);
  return app;
}

/** 404 and 405 in the same words as every other refusal. */
function refuseUnknown(app: App): void {
  const known: { method: string; pattern: RegExp }[] = [];
  app.addHook("onRoute", ({ method, url }) => {
    const pattern = new RegExp(`^${url.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/:\w+/g, "[^/]+")}/?$`);
    for (const name of [method].flat()) known.push({ method: name, pattern });
  });
  app.setNotFoundHandler((request, reply) => {
    const [path = "/"] = request.url.split("?");
    const allowed = known.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method);
    if (allowed.length === 0) throw new Refusal("route_not_found", { method: request.method, path });
    reply.header("allow", allowed.join(", "));
    throw new Refusal("method_not_allowed", { method: request.method, path, allowed: allowed.join(", ") });
  });
}

/** Fastify's limit costs each request a timer and an abort, as much as all else that is done for a webhook: that door keeps its own. */
function answerInTime(app: App): void {
  app.addHook("onRoute", (route) => {
    if (route.url !== WEBHOOK_PATH) route.handlerTimeout ??= ANSWER_TIMEOUT_MS;
  });
}

/** Headers for every answer. Pages allow themselves their own script and style; nothing else runs anywhere. */
function guard(app: App): void {
  app.addHook("onRequest", (request, reply, done) => {
    reply.headers({
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY",
      "referrer-policy": "no-referrer",
      "cross-origin-resource-policy": "same-origin",
      "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
      "cache-control": "no-store",
      "x-request-id": request.id,
    });
    done();
  });
  // Whoever asks first whether it may send its body is told after the key and the length were looked at, not before.
  app.server.on("checkContinue", (request, response) => app.server.emit("request", request, response));
  app.addHook("preParsing", (request, reply, payload, done) => {
    const length = Number(request.headers["content-length"] ?? 0);
    const isJson = request.headers["content-type"]?.startsWith("application/json") === true;
    if (request.headers.expect?.toLowerCase() === "100-continue" && !(isJson && length > JSON_BYTES_MAX)) reply.raw.writeContinue();
    done(null, payload);
  });
}

function observe(app: App, metrics: Metrics): void {
  app.addHook("onResponse", (request, reply, done) => {
    const route = request.routeOptions.url ?? "unknown";
    const ms = Math.round(reply.elapsedTime);
    metrics.httpSeconds.observe({ method: request.method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1000);
    request.log.debug({ method: request.method, route, status: reply.statusCode, ms }, "Answered");
    done();
  });
}

/**
 * JSON as Fastify reads it, but an empty body is no body: many clients send the header with every POST. And curl -d calls everything a
 * form; what it says tells whether it is JSON.
 */
function readJson(app: App): void {
  const parse = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, text: string, done) => {
    if (text === "") done(null, undefined);
    else parse(request, text, done);
  });
  app.addContentTypeParser("application/x-www-form-urlencoded", { parseAs: "string" }, (request, text: string, done) => {
    if (/^\s*[[{]/.test(text)) parse(request, text, done);
    else done(unreadable(request));
  });
}
