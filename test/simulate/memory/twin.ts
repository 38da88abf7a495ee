import type { Sql } from "../../../src/runtime/postgres.ts";
import { type Campaign, createTables, messageKey, type Tables } from "./schema.ts";
import type { Operation, Statement } from "./server.ts";

/** A function of a `*-store.ts` with the same arguments and the same rows, over tables in memory. */
export type Twin<F> = F extends (...args: infer A) => PromiseLike<infer R>
  ? (...args: A) => Promise<R extends readonly (infer Row)[] ? readonly Row[] : R>
  : never;

/** The tables of the world that is being simulated; one at a time. */
export let tables: Tables = createTables();

export function forgetTables(): Tables {
  tables = createTables();
  return tables;
}

/** One statement, by name. `sql` is what the driver in memory gave out, or the product's fence around it. */
export const ask = <T>(sql: Sql, name: string, operation: Operation<T>): Promise<T> =>
  (sql as unknown as (name: string, operation: Operation<T>) => Promise<T>)(name, operation);

/** An update says how many rows it changed, as the driver does. */
export const changed = (count: number): never[] => Object.assign([], { count });

/** As the driver gives a timestamptz: without the fraction of a millisecond. */
export const date = (ms: number): Date => new Date(Math.floor(ms));
export const dateOrNull = (ms: number | null): Date | null => (ms === null ? null : date(ms));

/** Adds an event under the campaign's next number; returns the campaign with it. */
export async function emitted(q: Statement, campaign: Campaign, name: string, body: object): Promise<Campaign> {
  const lastSeq = campaign.lastSeq + 1;
  await q.insert(tables.event, { campaignId: campaign.id, seq: lastSeq, name, body });
  return { ...campaign, lastSeq };
}

export interface Key {
  readonly campaignId: string;
  readonly stage: number;
  readonly position: number;
}

/** Receipts that say that an attempt up to this one was sent; a reply may be to anything. The latest attempt first. */
export const proofs = (q: Statement, m: Key & { attempt: number }) =>
  q
    .all(tables.receipt)
    .filter((r) => messageKey(r) === messageKey(m) && r.attempt <= m.attempt && r.kind !== "replied" && r.providerRef !== null)
    .sort((a, b) => b.attempt - a.attempt);

/** An earlier attempt of it is in doubt. */
export const wasInDoubt = (q: Statement, m: Key) => q.all(tables.attempt).some((a) => messageKey(a) === messageKey(m) && a.outcome === "uncertain");

export const byPlace = (a: { stage: number; position: number }, b: { stage: number; position: number }) =>
  a.stage - b.stage || a.position - b.position;

/** Messages of the first stage within these positions. */
export const countBetween = (q: Statement, campaignId: string, first: number, last: number): number => {
  let count = 0;
  for (let position = first; position <= last; position++)
    if (q.get(tables.message, messageKey({ campaignId, stage: 1, position })) !== undefined) count++;
  return count;
};
