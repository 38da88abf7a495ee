import type { FastifyRequest } from "fastify";
import { Right } from "../../contract/key.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type Caller, callerOf } from "../../runtime/keys.ts";
import type { App, Deps } from "./deps.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Null on routes without a key; handlers of others read it through callerIn. */
    caller: Caller | null;
  }
  interface FastifyContextConfig {
    /** What a key must allow; every route under /api states it. */
    right?: Right;
  }
}

const BEARER = /^Bearer ([\x21-\x7e]{8,512})$/i;

export function assertRight(caller: Caller, right: Right): void {
  if (!caller.rights.includes(right)) throw new Refusal("right_missing", { right, has: caller.rights.join(", ") });
}

/** Who asks. Only for routes under /api, where nobody comes in without a key. */
export function callerIn(request: FastifyRequest): Caller {
  if (!request.caller) throw new Error(`${request.routeOptions.url ?? request.url} has no caller: it lies outside /api`);
  return request.caller;
}

/**
 * Checks the key before a byte of the body is read: 401 without a valid one on everything under /api, known route or not; 403 when it
 * lacks the route's right. What counts is the route that will answer, not how its address is spelled (/%61pi is /api). A route under /api that states no right does not start.
 */
export function requireKeys(app: App, deps: Pick<Deps, "sql" | "own">): void {
  app.decorateRequest("caller", null);
  app.addHook("onRoute", ({ url, config }) => {
    if (isPrivate(url) && config?.right === undefined) throw new Error(`${url} states no right`);
  });
  app.addHook("onRequest", (request, _reply, done) => {
    const { url = decoded(request.url), config } = request.routeOptions;
    if (config.right === undefined && !isPrivate(url)) done();
    else admit(request, deps).then(() => done(), done);
  });
}

async function admit(request: FastifyRequest, { sql, own }: Pick<Deps, "sql" | "own">): Promise<void> {
  const { right } = request.routeOptions.config;
  const [, key] = BEARER.exec(request.headers.authorization ?? "") ?? [];
  request.caller =
    key === undefined ? null : key === own?.key ? { keyId: "own", workspaceId: own.workspaceId, rights: Right.options } : await callerOf(sql, key);
  if (!request.caller) throw new Refusal("unauthorized");
  if (right !== undefined) assertRight(request.caller, right);
}

const isPrivate = (url: string): boolean => /^\/api(\/|\?|$)/.test(url);

function decoded(url: string): string {
  try {
    return decodeURIComponent(url.split("?")[0] ?? "");
  } catch {
    return url;
  }
}
