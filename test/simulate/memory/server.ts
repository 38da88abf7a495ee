import type { Time } from "../time.ts";
import { EPOCH } from "../time.ts";
import { PgError } from "./error.ts";
import { isLockedByOther, latest, lockRow, type Patience, type Table, type Told, type Tx, visible, visibleRows, write } from "./table.ts";

/** What a statement may do, in the words of Postgres at READ COMMITTED. */
export interface Statement {
  /** campanile.clock(): Unix milliseconds, with a fraction. */
  now(): number;
  /** Rows as the statement's snapshot has them, in no particular order. */
  all<R extends object>(table: Table<R>): R[];
  get<R extends object>(table: Table<R>, key: string): R | undefined;
  /** `for update`: the row as it is once it is locked, if it (still) satisfies `where`. */
  lock<R extends object>(table: Table<R>, key: string, where?: (row: R) => boolean): Promise<R | undefined>;
  /** The same for all that satisfy `where`, in `order`. */
  lockAll<R extends object>(table: Table<R>, where: (row: R) => boolean, how?: Locking<R>): Promise<R[]>;
  /** Writes a row that is locked. Not seen by the statement itself. */
  put<R extends object>(table: Table<R>, row: NoInfer<R>): void;
  remove<R extends object>(table: Table<R>, row: R): void;
  /** `insert … on conflict do nothing`: whether it was inserted. */
  insert<R extends object>(table: Table<R>, row: NoInfer<R>): Promise<boolean>;
  /** The next statement of a function: sees what was committed meanwhile, and what this one wrote. */
  next(): Statement;
  /** `insert … on conflict do update`; `before` is null when it is new. */
  upsert<R extends object>(table: Table<R>, key: string, change: (before: R | null) => R): Promise<R>;
}

interface Locking<R> {
  readonly order?: (a: R, b: R) => number;
  readonly limit?: number;
  readonly skipLocked?: boolean;
}

export type Operation<T> = (statement: Statement) => Promise<T>;

/** One connection as the server sees it. */
export interface Session {
  tx: Tx | null;
  /** A statement failed: all that follow are refused until the rollback. */
  failed: boolean;
  closed: boolean;
  /** Ends a wait for a lock. */
  giveUp: ((error: PgError) => void) | null;
}

export interface Server {
  open(): Session;
  begin(session: Session): void;
  commit(session: Session): void;
  rollback(session: Session): void;
  /** A statement fails: all that the transaction has is given back at once, though it goes on until its rollback. */
  fail(session: Session): void;
  /** Runs one statement, in a transaction of its own when there is none. `gapMs`: between its snapshot and its locks. */
  execute<T>(session: Session, operation: Operation<T>, gapMs: number): Promise<T>;
  /** Ends a session, its transaction and its wait. */
  kill(session: Session): void;
}

const LOCK_TIMEOUT_MS = 10_000;

/** Postgres as far as the engine knows it: transactions at READ COMMITTED over tables in memory. `told` hears of every committed change. */
export function createServer(time: Time, told: Told): Server {
  let commits = 0;
  let txs = 0;

  const open = (): Session => ({ tx: null, failed: false, closed: false, giveUp: null });
  const newTx = (): Tx => ({ id: ++txs, beganAt: time.now, writes: [], locked: [], waitsFor: null, ended: false });

  function end(tx: Tx, commit: boolean): void {
    if (tx.ended) return;
    tx.ended = true;
    const number = commit && tx.writes.length > 0 ? ++commits : null;
    for (const settle of tx.writes) settle(commit ? number : null);
    for (const release of tx.locked) release();
  }

  function patienceOf(session: Session): Patience {
    return (giveUp) => {
      const stop = time.after(LOCK_TIMEOUT_MS, () => giveUp(new PgError("55P03", "canceling statement due to lock timeout")));
      session.giveUp = giveUp;
      return () => {
        stop();
        session.giveUp = null;
      };
    };
  }

  function number(): number {
    return commits;
  }

  async function execute<T>(session: Session, operation: Operation<T>, gapMs: number): Promise<T> {
    if (session.failed) throw new PgError("25P02", "current transaction is aborted");
    const isAlone = session.tx === null;
    const tx = session.tx ?? newTx();
    const context: Context = { tx, snapshot: commits, commits: number, patience: patienceOf(session), writes: [], time, told };
    try {
      if (gapMs > 0) await time.sleep(gapMs);
      const result = await operation(statementOf(context));
      apply(context);
      if (isAlone) end(tx, true);
      return result;
    } catch (error) {
      end(tx, false);
      if (!isAlone) session.failed = true;
      throw error;
    }
  }

  return {
    open,
    begin(session) {
      session.tx = newTx();
      session.failed = false;
    },
    commit(session) {
      if (session.tx !== null) end(session.tx, !session.failed);
      session.tx = null;
      session.failed = false;
    },
    rollback(session) {
      if (session.tx !== null) end(session.tx, false);
      session.tx = null;
      session.failed = false;
    },
    fail(session) {
      if (session.tx === null) return;
      end(session.tx, false);
      session.failed = true;
    },
    execute,
    kill(session) {
      session.closed = true;
      session.giveUp?.(new PgError("57P01", "terminating connection"));
      if (session.tx !== null) end(session.tx, false);
      session.tx = null;
    },
  };
}

/** What a statement works with. Its writes are made when it ends. */
interface Context {
  readonly tx: Tx;
  readonly snapshot: number;
  readonly commits: () => number;
  readonly patience: Patience;
  readonly writes: { readonly table: Table<object>; readonly key: string; readonly row: object | null }[];
  readonly time: Time;
  readonly told: Told;
}

function apply({ writes, tx, told }: Context): void {
  for (const { table, key, row } of writes.splice(0)) write(table, key, { tx, row, told });
}

function put<R extends object>({ writes }: Context, table: Table<R>, key: string, row: R | null): void {
  writes.push({ table: table as unknown as Table<object>, key, row });
}

async function lock<R extends object>(context: Context, table: Table<R>, key: string, where: (row: R) => boolean): Promise<R | undefined> {
  const { tx, patience } = context;
  const seen = visible(table, key, context);
  if (seen === null || !where(seen)) return undefined;
  await lockRow(table, key, tx, patience);
  const now = latest(table, key, tx);
  return now !== null && where(now) ? now : undefined;
}

/** Whether the row may be inserted. An insert waits for whoever has written the row and not committed yet. */
async function isFree<R extends object>({ tx, patience }: Context, table: Table<R>, key: string): Promise<boolean> {
  const before = latest(table, key, tx);
  const writer = table.pending.get(key);
  if (before !== null && (writer === undefined || writer.tx === tx)) return false;
  const mine = table.locks.get(key)?.holder === tx;
  await lockRow(table, key, tx, patience);
  if (latest(table, key, tx) === null) return true;
  if (!mine) tx.locked.pop()?.();
  return false;
}

const always = () => true;

/** Methods, for one is made per statement: tsx gives each arrow function its name at run time, and that took a tenth of all. */
function statementOf(context: Context): Statement {
  return {
    now() {
      return EPOCH + context.time.now;
    },
    all(table) {
      return visibleRows(table, context);
    },
    get(table, key) {
      return visible(table, key, context) ?? undefined;
    },
    lock(table, key, where = always) {
      return lock(context, table, key, where);
    },
    async lockAll(table, where, { order, limit = Number.POSITIVE_INFINITY, skipLocked = false } = {}) {
      const rows = visibleRows(table, context).filter(where);
      if (order !== undefined) rows.sort(order);
      const locked: typeof rows = [];
      for (const row of rows) {
        if (locked.length >= limit) break;
        const key = table.keyOf(row);
        if (skipLocked && isLockedByOther(table, key, context.tx)) continue;
        const now = await lock(context, table, key, where);
        if (now !== undefined) locked.push(now);
      }
      return locked;
    },
    put(table, row) {
      put(context, table, table.keyOf(row), row);
    },
    remove(table, row) {
      put(context, table, table.keyOf(row), null);
    },
    async insert(table, row) {
      const key = table.keyOf(row);
      if (!(await isFree(context, table, key))) return false;
      put(context, table, key, row);
      return true;
    },
    async upsert(table, key, change) {
      await lockRow(table, key, context.tx, context.patience);
      const row = change(latest(table, key, context.tx));
      put(context, table, key, row);
      return row;
    },
    next() {
      apply(context);
      return statementOf({ ...context, snapshot: context.commits() });
    },
  };
}
