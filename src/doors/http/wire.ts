import type { FastifyRequest } from "fastify";
import { z } from "zod";
import { Refusal } from "../../rules/refusal.ts";
import { callerIn } from "./auth.ts";

/** Instants as answers write them. */
export const instant = (at: Date): string => at.toISOString();
export const instantOrNull = (at: Date | null): string | null => at?.toISOString() ?? null;

export const IdParams = z.object({ id: z.string().max(100) });

/** The campaign a path names, within the caller's workspace. */
export const refIn = (request: FastifyRequest<{ Params: { id: string } }> | { params: { id: string } }) => ({
  workspaceId: callerIn(request as FastifyRequest).workspaceId,
  id: (request.params as { id: string }).id,
});

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** An id from a path. What is no id names nothing, so it is not found rather than malformed. */
export function idIn(text: string, what: string): string {
  if (!UUID.test(text)) throw new Refusal("not_found", { what, id: text.slice(0, 100) });
  return text.toLowerCase();
}

/** A list's own cursor, opaque to callers. */
const cursorOut = (cursor: string | null): string | null => (cursor === null ? null : Buffer.from(cursor).toString("base64url"));

/** What cursorOut was given; other nonsense is left to the list to refuse. @throws {Refusal} malformed, for what no text can be */
export function cursorIn(cursor: string | undefined): string | null {
  if (cursor === undefined) return null;
  const text = Buffer.from(cursor, "base64url").toString();
  if (text === "" || text.includes("\0")) {
    throw new Refusal("malformed", { cause: "cursor: this is not a nextCursor." }, [{ path: "cursor", message: "Not a nextCursor" }]);
  }
  return text;
}

export interface PageRead<Row> {
  readonly items: readonly Row[];
  readonly nextCursor: string | null;
}

/** Of one row more than fits: the page, and where the next begins. */
export function pageOf<Row>(rows: readonly Row[], limit: number, cursorOf: (last: Row) => string): PageRead<Row> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

/** The answer of a list. */
export const pageOut = <Row, View>({ items, nextCursor }: PageRead<Row>, view: (row: Row) => View) => ({
  success: true as const,
  data: items.map(view),
  nextCursor: cursorOut(nextCursor),
});

export const ok = <Data>(data: Data) => ({ success: true as const, data });
