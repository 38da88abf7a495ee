import { Refusal } from "../../rules/refusal.ts";

/** A page of a list; `nextCursor` null: the last. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

export interface PageQuery {
  /** The nextCursor of the page before; null: the first page. */
  readonly cursor: string | null;
  /** From 1 to 1,000. */
  readonly limit: number;
}

const PAGE_MAX = 1_000;

/** Of one row more than fits: whether there is a further page, and where it begins. */
export function pageOf<T>(rows: readonly T[], limit: number, cursorOf: (last: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

export const limitOf = (limit: number): number => Math.min(PAGE_MAX, Math.max(1, Math.trunc(limit)));

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
export const isId = (text: string): boolean => UUID.test(text);

/** A cursor which is the id of the last item. @throws {Refusal} malformed */
export function afterId(cursor: string | null): string | null {
  if (cursor !== null && !isId(cursor)) throw unknownCursor(cursor);
  return cursor;
}

export const unknownCursor = (cursor: string): Refusal =>
  new Refusal("malformed", { cause: `No page of this list ends with the cursor ${cursor.slice(0, 60)}.` }, [
    { path: "cursor", message: "Send the nextCursor of the page before, as it came." },
  ]);
