import { createHash } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { Refusal } from "../../rules/refusal.ts";
import type { Luck } from "../../runtime/luck.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { callerIn } from "./auth.ts";
import type { App } from "./deps.ts";
import { claimKey, forgetOldKeys, freeKey, keepAnswer, keptAnswer } from "./store.ts";
import { digestUpload, isUpload, UPLOAD_TIMEOUT_MS } from "./upload.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Set while this request is the one that answers for its Idempotency-Key. */
    claim: Claim | null;
  }
  interface FastifyContextConfig {
    /** A field of `data` that is shown once and so is left out of the kept answer. */
    shownOnce?: string;
  }
}

interface Claim {
  readonly workspaceId: string;
  readonly key: string;
  readonly requestHash: Uint8Array;
  /** The id of what this request makes, the same if it must be made again after a crash. */
  readonly reserved: string;
}

interface Deps {
  readonly sql: Sql;
  readonly luck: Luck;
}

const KEY_CHARACTERS_MAX = 255;
/** Longer than any answer may take (server.ts): after that the process that began it has died. */
const JSON_ABANDONED_S = 60;
const UPLOAD_ABANDONED_S = UPLOAD_TIMEOUT_MS / 1_000;
/** About one request in so many sweeps out the keys older than a day. */
const SWEEP_ONE_IN = 200;

/**
 * Idempotency-Key for every POST under /api, for 24 hours: the same key and body get the first answer, byte for byte, and nothing is
 * done twice; another body is refused; while the first is being answered the others are told so. Only successes are kept: a refused
 * request stored nothing, so its key stays free. Where nobody knows whether it was done (a 5xx, a process that died) the key is free
 * again for the same body after a minute, when what was begun has ended.
 */
export function keepAnswers(app: App, deps: Deps): void {
  app.decorateRequest("claim", null);
  app.addHook("onRoute", (route) => {
    if (route.method !== "POST" || route.config?.right === undefined) return;
    route.preHandler = (request, reply) => claimOrRepeat(deps, request, reply);
    route.onSend = (request, reply, payload) => keepOrFree(deps, { request, reply, payload });
  });
}

function keyOf(request: FastifyRequest): string | undefined {
  const key = request.headers["idempotency-key"];
  if (request.method !== "POST" || key === undefined || request.caller === null) return undefined;
  if (typeof key !== "string" || !/^[\x21-\x7e]+$/.test(key) || key.length > KEY_CHARACTERS_MAX) {
    throw new Refusal("malformed", { cause: `Idempotency-Key must be 1 to ${KEY_CHARACTERS_MAX} visible ASCII characters.` });
  }
  return key;
}

/** What makes two requests the same: where they go and what they say. An upload's bytes are known only once they were read. */
function hashOf(request: FastifyRequest, said: string | Uint8Array): Buffer {
  return createHash("sha256").update(`${request.method} ${request.url}\n`).update(said).digest();
}

async function claimOrRepeat(deps: Deps, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const key = keyOf(request);
  if (key === undefined) return undefined;
  const upload = isUpload(request);
  const requestHash = hashOf(request, upload ? "an upload" : (JSON.stringify(request.body) ?? ""));
  const { workspaceId } = callerIn(request);
  if (deps.luck.next() < 1 / SWEEP_ONE_IN) await forgetOldKeys(deps.sql);
  const abandonedAfterS = upload ? UPLOAD_ABANDONED_S : JSON_ABANDONED_S;
  const reserved = await claimKey(deps.sql, { workspaceId, key, requestHash, reserve: deps.luck.uuid(), abandonedAfterS });
  if (reserved !== undefined) {
    request.claim = { workspaceId, key, requestHash, reserved };
    return undefined;
  }
  const kept = await keptAnswer(deps.sql, workspaceId, key);
  if (kept === undefined) throw new Refusal("idempotency_in_progress");
  if (kept.status === null) throw new Refusal(kept.requestHash.equals(requestHash) ? "idempotency_in_progress" : "idempotency_mismatch");
  if (upload) await digestUpload(request);
  const said = request.uploadHash ? hashOf(request, request.uploadHash.digest()) : requestHash;
  if (!kept.requestHash.equals(said)) throw new Refusal("idempotency_mismatch");
  return reply.code(kept.status).type("application/json; charset=utf-8").header("idempotent-replayed", "true").send(kept.answer);
}

async function keepOrFree(
  deps: Deps,
  { request, reply, payload }: { request: FastifyRequest; reply: FastifyReply; payload: unknown },
): Promise<unknown> {
  const { claim } = request;
  if (!claim) return payload;
  request.claim = null; // an error while it is kept is sent through here again
  if (reply.statusCode >= 400 && reply.statusCode < 500) await freeKey(deps.sql, claim.workspaceId, claim.key);
  if (reply.statusCode < 300 && typeof payload === "string") {
    const requestHash = request.uploadHash ? hashOf(request, request.uploadHash.digest()) : claim.requestHash;
    await keepAnswer(deps.sql, {
      ...claim,
      requestHash,
      status: reply.statusCode,
      answer: repeatable(payload, request.routeOptions.config.shownOnce),
    });
  }
  return payload;
}

function repeatable(answer: string, shownOnce: string | undefined): string {
  if (shownOnce === undefined) return answer;
  const { data, ...rest } = JSON.parse(answer) as { data: Record<string, unknown> };
  return JSON.stringify({ ...rest, data: Object.fromEntries(Object.entries(data).filter(([name]) => name !== shownOnce)) });
}

/**
 * Makes what a request asks for once, also across a crash between the making and the keeping of the answer: `make` is given a luck whose
 * first uuid is the one reserved for the request, and when that id is taken `find` gives back what the first try made.
 */
export async function makeOnce<Made>(
  request: FastifyRequest,
  luck: Luck,
  { make, find }: { make: (luck: Luck) => Promise<Made>; find: (id: string) => Promise<Made> },
): Promise<Made> {
  const reserved = request.claim?.reserved;
  if (reserved === undefined) return make(luck);
  let left: string | undefined = reserved;
  const uuid = () => {
    const next = left ?? luck.uuid();
    left = undefined;
    return next;
  };
  try {
    return await make({ ...luck, uuid });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === UNIQUE_VIOLATION) return find(reserved);
    throw error;
  }
}

const UNIQUE_VIOLATION = "23505";
