import { STATUS_CODES } from "node:http";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import type { Problem } from "../../contract/wire.ts";
import { type FieldFault, Refusal, type RefusalCode } from "../../rules/refusal.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { isConnectionLost, isPassing } from "../../runtime/postgres.ts";

/** The only place that knows which status of HTTP a refusal has. */
export const statusOf: Readonly<Record<RefusalCode, number>> = {
  malformed: 400,
  media_type: 415,
  route_not_found: 404,
  method_not_allowed: 405,
  unauthorized: 401,
  right_missing: 403,
  not_found: 404,
  campaign_not_found: 404,
  already_running: 400,
  transition_refused: 409,
  not_a_draft: 409,
  in_use: 409,
  sender_blocked: 409,
  database_regressed: 409,
  sender_not_connected: 422,
  template_unknown: 422,
  template_not_approved: 422,
  template_parameters: 422,
  liquid_invalid: 422,
  import_unreadable: 422,
  file_empty: 422,
  too_large: 413,
  idempotency_mismatch: 422,
  idempotency_in_progress: 409,
  webhook_signature: 401,
  verify_token: 403,
  provider_refused: 422,
  not_available: 503,
  too_slow: 503,
};

const RETRY_AFTER_S = 5;

/** The body of a refusal's answer. */
export function problemOf(refusal: Refusal, requestId: string): Problem {
  return body({ status: statusOf[refusal.code], code: refusal.code, detail: refusal.message, faults: refusal.faults, requestId });
}

function body({
  status,
  code,
  detail,
  faults,
  requestId,
}: {
  status: number;
  code: string;
  detail: string;
  faults: readonly FieldFault[];
  requestId: string;
}): Problem {
  const errors =
    faults.length > 0 ? { errors: faults.map(({ path, message }) => ({ path: path.replace(/\.(\d+)(?=\.|$)/g, "[$1]"), message })) } : {};
  const title = STATUS_CODES[status] ?? "Error";
  return { success: false, type: `/docs#${code}`, title, status, detail, code, message: detail, ...errors, requestId };
}

/** The body is of a type this route does not read. */
export function unreadable(request: FastifyRequest): Refusal {
  const expected = request.routeOptions.schema?.consumes ?? ["application/json"];
  return new Refusal("media_type", { got: request.headers["content-type"] ?? "A body without Content-Type", expected: expected.join(" or ") });
}

/** What the framework refuses, in our words; undefined when it is no refusal but a failure. */
function refusalOf(error: FastifyError, request: FastifyRequest): Refusal | undefined {
  if (error instanceof Refusal) return error;
  const limit = request.routeOptions.bodyLimit;
  if (error.code === "FST_ERR_CTP_BODY_TOO_LARGE") {
    const size = request.headers["content-length"] === undefined ? "larger" : `${request.headers["content-length"]} bytes`;
    return new Refusal("too_large", { what: "The body", size, max: `${limit} bytes` });
  }
  if (error.code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return unreadable(request);
  }
  if (request.raw.destroyed && !request.raw.complete)
    return new Refusal("malformed", { cause: "The connection ended before the whole body had come." });
  if (error.code === "FST_ERR_HANDLER_TIMEOUT") return new Refusal("too_slow");
  if (isPassing(error)) return databaseAway(error, request);
  if (typeof error.statusCode === "number" && error.statusCode >= 400 && error.statusCode < 500)
    return new Refusal("malformed", { cause: error.message });
  return undefined;
}

/** The database is away, full, or keeps somebody waiting for a lock: nobody's fault, and over in a moment. */
function databaseAway(error: FastifyError, request: FastifyRequest): Refusal {
  request.log.warn({ err: error, route: request.routeOptions.url }, "The database did not take what a request asked");
  const cause = isConnectionLost(error)
    ? "The connection to the database was lost, and what was asked may still have been done. Look at the state before you ask again."
    : "The database does not take this just now; nothing was changed. Ask again in a moment.";
  return new Refusal("not_available", { cause });
}

/** Answers every error of every route. What is not a refusal is our fault: the caller is given the request's id, the log the rest. */
export function answerError(metrics: Metrics, error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  const refusal = refusalOf(error, request);
  reply.type("application/problem+json; charset=utf-8");
  if (refusal) {
    metrics.refusals.inc({ code: refusal.code });
    const status = statusOf[refusal.code];
    if (status === 401) reply.header("www-authenticate", 'Bearer realm="campanile"');
    if (status === 503 && !reply.hasHeader("retry-after")) reply.header("retry-after", RETRY_AFTER_S);
    if (status === 413) reply.header("connection", "close");
    return reply.code(status).serializer(JSON.stringify).send(problemOf(refusal, request.id));
  }
  request.log.error({ err: error, route: request.routeOptions.url }, "A request failed");
  const detail = `Something failed here. The log has the cause under the request id ${request.id}.`;
  return reply
    .code(500)
    .serializer(JSON.stringify)
    .send(body({ status: 500, code: "internal", detail, faults: [], requestId: request.id }));
}
