import { Readable } from "node:stream";
import type { FastifyRequest } from "fastify";
import { Refusal } from "../../rules/refusal.ts";

const DEPTH_MAX = 50;

/**
 * Refuses what Postgres cannot keep as text: a NUL, half a surrogate pair; and a body nested so deep (a megabyte holds 500,000
 * brackets) that whoever walks it by recursion would fall over. So this walks without.
 */
export function refuseUnstorable(request: FastifyRequest): void {
  const rest: { path: readonly string[]; value: unknown }[] = [
    { path: [], value: request.query },
    { path: [], value: request.body },
  ];
  for (let entry = rest.pop(); entry; entry = rest.pop()) {
    const { path, value } = entry;
    if (typeof value === "string") assertText(value, path);
    if (typeof value !== "object" || value === null || value instanceof Readable || value instanceof Uint8Array) continue;
    if (path.length >= DEPTH_MAX) throw new Refusal("malformed", { cause: `The body nests deeper than ${DEPTH_MAX} levels.` });
    for (const [name, inner] of Object.entries(value)) {
      assertText(name, path);
      rest.push({ path: [...path, Array.isArray(value) ? `[${name}]` : name], value: inner });
    }
  }
}

function assertText(text: string, names: readonly string[]): void {
  if (!/[\0\p{Surrogate}]/u.test(text)) return;
  const path = names.join(".").replaceAll(".[", "[");
  const message = "Holds a NUL character or half of a surrogate pair, which no text does";
  throw new Refusal("malformed", { cause: path === "" ? `${message}.` : `${path}: ${message}.` }, [{ path, message }]);
}
