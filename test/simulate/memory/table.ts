import { PgError } from "./error.ts";

/** Rows in memory, with what Postgres keeps of them at READ COMMITTED: committed versions, one uncommitted one, and a lock per row. */
export interface Table<R extends object> {
  readonly name: string;
  readonly keyOf: (row: R) => string;
  /** The constraint that the row breaks, by name; null: none. */
  readonly faultOf: (row: R, before: R | null) => string | null;
  readonly versions: Map<string, Version<R>[]>;
  readonly pending: Map<string, { readonly tx: Tx; readonly row: R | null }>;
  readonly locks: Map<string, Lock>;
}

interface Version<R> {
  /** The number of the commit that made it. */
  readonly commit: number;
  readonly row: R | null;
}

interface Lock {
  holder: Tx;
  readonly queue: Waiter[];
}

interface Waiter {
  readonly tx: Tx;
  readonly wake: (error: Error | null) => void;
}

/** A transaction of the server. */
export interface Tx {
  readonly id: number;
  readonly beganAt: number;
  /** Ends its writes: with the number of the commit they become visible to all, without one they are forgotten. */
  readonly writes: ((commit: number | null) => void)[];
  readonly locked: (() => void)[];
  /** Whose end it waits for. */
  waitsFor: Tx | null;
  ended: boolean;
}

export const createTable = <R extends object>(by: Pick<Table<R>, "name" | "keyOf"> & Partial<Pick<Table<R>, "faultOf">>): Table<R> => ({
  faultOf: () => null,
  ...by,
  versions: new Map(),
  pending: new Map(),
  locks: new Map(),
});

/** The row as a statement with this snapshot sees it: its own transaction's, or what was committed before. */
export function visible<R extends object>(table: Table<R>, key: string, by: { tx: Tx; snapshot: number }): R | null {
  const own = table.pending.get(key);
  if (own?.tx === by.tx) return own.row;
  return versionOf(table.versions.get(key) ?? [], by.snapshot);
}

/** All rows that a statement sees, in the order in which they were first written. */
export function visibleRows<R extends object>(table: Table<R>, by: { tx: Tx; snapshot: number }): R[] {
  const rows: R[] = [];
  for (const [key, versions] of table.versions) {
    const own = table.pending.size > 0 ? table.pending.get(key) : undefined;
    const row = own?.tx === by.tx ? own.row : versionOf(versions, by.snapshot);
    if (row !== null) rows.push(row);
  }
  return rows;
}

function versionOf<R>(versions: readonly Version<R>[], snapshot: number): R | null {
  for (let i = versions.length - 1; i >= 0; i--) {
    const version = versions[i];
    if (version !== undefined && version.commit <= snapshot) return version.row;
  }
  return null;
}

/** The row as it is now for whoever has locked it. */
export const latest = <R extends object>(table: Table<R>, key: string, tx: Tx): R | null =>
  visible(table, key, { tx, snapshot: Number.POSITIVE_INFINITY });

export const isLockedByOther = <R extends object>(table: Table<R>, key: string, tx: Tx): boolean => {
  const lock = table.locks.get(key);
  return lock !== undefined && lock.holder !== tx;
};

/** Called when somebody must wait: may call `giveUp` later, with the reason, and returns what keeps it from doing so. */
export type Patience = (giveUp: (error: PgError) => void) => () => void;

/**
 * Locks a row until the transaction ends; waits in the order of asking. Two who wait for each other: the later one is refused with
 * 40P01.
 */
export async function lockRow<R extends object>(table: Table<R>, key: string, tx: Tx, patience: Patience): Promise<void> {
  if (tx.ended) throw new PgError("57P01", "terminating connection");
  const lock = table.locks.get(key);
  if (lock?.holder === tx) return;
  if (lock === undefined) {
    table.locks.set(key, { holder: tx, queue: [] });
    tx.locked.push(() => release(table, key));
    return;
  }
  const ahead = lock.queue.at(-1)?.tx ?? lock.holder;
  if (isAwaited(tx, [lock.holder, ahead])) throw new PgError("40P01", `deadlock detected on ${table.name} ${key}`);
  await new Promise<void>((resolve, reject) => {
    const stop = patience((error) => {
      lock.queue.splice(lock.queue.indexOf(waiter), 1);
      waiter.wake(error);
    });
    const waiter: Waiter = {
      tx,
      wake(error) {
        stop();
        tx.waitsFor = null;
        if (error !== null) return reject(error);
        tx.locked.push(() => release(table, key));
        resolve();
      },
    };
    tx.waitsFor = ahead;
    lock.queue.push(waiter);
  });
}

function isAwaited(tx: Tx, by: readonly Tx[]): boolean {
  for (const first of by) for (let one: Tx | null = first; one !== null; one = one.waitsFor) if (one === tx) return true;
  return false;
}

function release<R extends object>(table: Table<R>, key: string): void {
  const lock = table.locks.get(key);
  const next = lock?.queue.shift();
  if (lock === undefined || next === undefined) {
    table.locks.delete(key);
    return;
  }
  lock.holder = next.tx;
  for (const [i, waiter] of lock.queue.entries()) waiter.tx.waitsFor = lock.queue[i - 1]?.tx ?? lock.holder;
  next.wake(null);
}

/** A write of a row that the transaction has locked. A broken constraint is refused as Postgres does. */
export function write<R extends object>(table: Table<R>, key: string, { tx, row, told }: { tx: Tx; row: R | null; told: Told }): void {
  if (tx.ended) throw new PgError("57P01", "terminating connection");
  const before = latest(table, key, tx);
  const fault = row === null ? null : table.faultOf(row, before);
  if (fault !== null) throw new PgError("23514", `${table.name} ${key} breaks ${fault}: ${JSON.stringify(row)}`);
  if (table.pending.get(key)?.tx !== tx) tx.writes.push((commit) => settle(table, key, commit, told, tx));
  table.pending.set(key, { tx, row });
  if (!table.versions.has(key)) table.versions.set(key, []);
}

/** A row that has changed for all. */
export interface Change {
  readonly table: string;
  readonly key: string;
  readonly before: object | null;
  readonly after: object | null;
  readonly tx: Tx;
}

export type Told = (change: Change) => void;

function settle<R extends object>(table: Table<R>, key: string, commit: number | null, told: Told, tx: Tx): void {
  const row = table.pending.get(key)?.row ?? null;
  table.pending.delete(key);
  if (commit === null) return;
  const versions = table.versions.get(key) ?? [];
  const before = versions.at(-1)?.row ?? null;
  versions.push({ commit, row });
  told({ table: table.name, key, before, after: row, tx });
}

/** What is committed now, for whoever judges. */
export const committed = <R extends object>(table: Table<R>): R[] =>
  [...table.versions.values()].flatMap((versions) => {
    const row = versions.at(-1)?.row ?? null;
    return row === null ? [] : [row];
  });
