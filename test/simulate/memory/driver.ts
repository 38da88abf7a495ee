import type { Database, Sql } from "../../../src/runtime/postgres.ts";
import type { Process, Time } from "../time.ts";
import { PgError } from "./error.ts";
import type { Operation, Server, Session } from "./server.ts";

/** What may go wrong between a process and its database, and how long everything takes. */
export interface Line {
  /** An effect is about to leave a process: it may be killed or frozen just then. */
  readonly strike: (process: Process) => void;
  /** What happens to a statement, asked when it arrives. */
  readonly faultOf: (name: string, process: Process) => Fault | null;
  readonly travelMs: () => number;
  readonly workMs: (name: string) => number;
  /** Between a statement's snapshot and its locks. */
  readonly gapMs: () => number;
  /** Until one end of a lost connection notices. */
  readonly noticeMs: () => number;
  readonly refusesUntil: () => number;
  readonly trace: (process: Process, text: () => string) => void;
}

export type Fault =
  /** The connection is lost before the statement came, or before its answer went. */
  { readonly kind: "lost"; readonly when: "before" | "after" } | { readonly kind: "error"; readonly code: string };

export interface Driver {
  connect(process: Process, max: number): Database;
  /** The process is dead: the server notices some time. */
  died(process: Process): void;
  /** The process does nothing until it thaws: what it has begun is ended by the server in the end. */
  frozen(process: Process): void;
  /** Every connection is cut, from one moment to the next. */
  restart(): void;
}

/** A query as the driver gives it: a promise whose rejection can be listened in on (runtime/postgres.ts does). */
interface Query<T> extends Promise<T> {
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

interface Connection {
  readonly process: Process;
  readonly session: Session;
  readonly asked: Set<Query<unknown>>;
  readonly inbox: Request[];
  readonly closed: Promise<never>;
  close: (error: Error) => void;
  lost: Error | null;
  busy: boolean;
  /** The server ends it when it has done what came before. */
  ending: boolean;
  arrivesAt: number;
  answersAt: number;
}

interface Request {
  readonly name: string;
  readonly run: (session: Session) => unknown;
  readonly query: Query<unknown>;
}

/** As runtime/postgres.ts sets it. */
const IDLE_IN_TRANSACTION_MS = 8_000;

/** What stands in for postgres.js: pools, pipelined statements, transactions, lost connections. The product's `transaction` runs on it unchanged. */
export function createDriver(server: Server, time: Time, line: Line): Driver {
  const connections = new Set<Connection>();

  async function open(process: Process): Promise<Connection> {
    await new Promise<void>((resolve) => void time.after(2 * line.travelMs(), resolve, process));
    if (time.now < line.refusesUntil()) throw new PgError("ECONNREFUSED", "connect ECONNREFUSED");
    let close = (_: Error) => {};
    const closed = new Promise<never>((_, reject) => {
      close = reject;
    });
    closed.catch(() => {});
    const state = { lost: null, busy: false, ending: false, arrivesAt: 0, answersAt: 0 };
    const connection: Connection = { process, session: server.open(), asked: new Set(), inbox: [], closed, close, ...state };
    connections.add(connection);
    return connection;
  }

  function ask<T>(connection: Connection, name: string, run: Request["run"]): Query<T> {
    const { process } = connection;
    const query = createQuery<T>();
    line.strike(process);
    if (process.frozenUntil > time.now) time.after(0, () => post(connection, { name, run, query }), process);
    else if (!process.dead) post(connection, { name, run, query });
    return query;
  }

  function post(connection: Connection, request: Request): void {
    if (connection.lost !== null) {
      time.after(0, () => request.query.reject(connection.lost), connection.process);
      return;
    }
    connection.asked.add(request.query);
    connection.arrivesAt = Math.max(time.now + line.travelMs(), connection.arrivesAt) + line.workMs(request.name);
    time.after(connection.arrivesAt - time.now, () => {
      connection.inbox.push(request);
      if (!connection.busy) void serve(connection);
    });
  }

  async function serve(connection: Connection): Promise<void> {
    connection.busy = true;
    for (let request = connection.inbox.shift(); request !== undefined && !connection.session.closed; request = connection.inbox.shift())
      await perform(connection, request);
    connection.busy = false;
    if (connection.ending) endSession(connection);
  }

  async function perform(connection: Connection, { name, run, query }: Request): Promise<void> {
    const { session, process } = connection;
    const fault = line.faultOf(name, process);
    if (fault?.kind === "lost" && fault.when === "before") return cut(connection, name);
    try {
      if (fault?.kind === "error" && !session.failed) {
        if (name === "commit") server.rollback(session);
        else server.fail(session);
        throw new PgError(fault.code, `${name}: an error that the simulation made`);
      }
      const result = await run(session);
      if (session.closed && name !== "commit") return;
      line.trace(process, () => `  ${name}${Array.isArray(result) && result.length > 0 ? ` → ${JSON.stringify(result)}` : ""}`);
      if (fault?.kind === "lost") return cut(connection, name);
      answer(connection, query, () => query.resolve(result));
    } catch (error) {
      if (!(error instanceof PgError)) throw error;
      line.trace(process, () => `  ${name} fails: ${error.code} ${error.message}`);
      answer(connection, query, () => query.reject(error));
    }
  }

  function answer(connection: Connection, query: Query<unknown>, act: () => void): void {
    connection.answersAt = Math.max(time.now + line.travelMs(), connection.answersAt);
    time.after(
      connection.answersAt - time.now,
      () => {
        if (connection.asked.delete(query)) act();
      },
      connection.process,
    );
  }

  /** Both ends find out, each in its own time. */
  function cut(connection: Connection, name: string): void {
    line.trace(connection.process, () => `  connection lost at ${name}`);
    time.after(line.noticeMs(), () => endSession(connection));
    lose(connection, new PgError("CONNECTION_CLOSED", "write CONNECTION_CLOSED"));
  }

  function lose(connection: Connection, error: Error): void {
    const hear = () => {
      if (connection.lost !== null) return;
      connection.lost = error;
      for (const query of connection.asked) query.reject(error);
      connection.asked.clear();
      connection.close(error);
    };
    time.after(line.noticeMs(), hear, connection.process);
  }

  function endSession(connection: Connection): void {
    connections.delete(connection);
    server.kill(connection.session);
  }

  function connect(process: Process, max: number): Database {
    const pool = createPool(() => open(process), max);
    const one = (name: Asked, operation: Operation<unknown>) =>
      isFragment(name) ? {} : pool.use((connection) => ask(connection, name, (session) => server.execute(session, operation, line.gapMs())));
    const begin = (_options: string, work: (sql: Sql) => Promise<unknown>) => pool.use((connection) => inTransaction(connection, work));
    return Object.assign(one, { begin }) as unknown as Database;
  }

  /** As postgres.js does it. */
  async function inTransaction<T>(connection: Connection, work: (sql: Sql) => Promise<T>): Promise<T> {
    await ask(connection, "begin", server.begin);
    return Promise.race([scope(connection, work), connection.closed]);
  }

  async function scope<T>(connection: Connection, work: (sql: Sql) => Promise<T>): Promise<T> {
    const uncaught: unknown[] = [];
    let result: T;
    try {
      result = await work(((name: Asked, operation: Operation<unknown>) => {
        if (isFragment(name)) return {};
        const query = ask<unknown>(connection, name, (session) => server.execute(session, operation, line.gapMs()));
        query.catch((error) => uncaught.push(error));
        return query;
      }) as unknown as Sql);
      if (uncaught.length > 0) throw uncaught[0];
    } catch (error) {
      await ask(connection, "rollback", server.rollback);
      throw error instanceof PgError && error.code === "25P02" ? (uncaught[0] ?? error) : error;
    }
    await ask(connection, "commit", server.commit);
    return result;
  }

  const of = (process: Process) => [...connections].filter((connection) => connection.process === process);

  return {
    connect,
    died(process) {
      for (const connection of of(process))
        time.after(line.noticeMs(), () => {
          connection.ending = true;
          if (!connection.busy) endSession(connection);
        });
    },
    frozen(process) {
      for (const connection of of(process)) {
        const { tx } = connection.session;
        if (tx === null) continue;
        time.after(IDLE_IN_TRANSACTION_MS, () => {
          if (process.frozenUntil <= time.now || connection.session.tx !== tx || connection.busy) return;
          endSession(connection);
          lose(connection, new PgError("CONNECTION_CLOSED", "read CONNECTION_CLOSED"));
        });
      }
    },
    restart() {
      for (const connection of [...connections]) {
        endSession(connection);
        lose(connection, new PgError("57P01", "terminating connection due to administrator command"));
      }
    },
  };
}

/** A part of a statement has no part in a twin. */
type Asked = string | TemplateStringsArray;
const isFragment = (asked: Asked): asked is TemplateStringsArray => typeof asked !== "string";

const nothing = () => {};

function createQuery<T>(): Query<T> {
  let resolve: Query<T>["resolve"] = nothing;
  let reject: Query<T>["reject"] = nothing;
  const promise = new Promise<T>((ok, fail) => {
    resolve = ok as Query<T>["resolve"];
    reject = fail;
  }) as Query<T>;
  promise.resolve = resolve;
  promise.reject = reject;
  return promise;
}

/** At most `max` connections; whoever comes next waits for one. */
function createPool(open: () => Promise<Connection>, max: number) {
  const idle: Connection[] = [];
  const queue: (() => void)[] = [];
  let opened = 0;
  return {
    async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
      if (opened < max) opened++;
      else await new Promise<void>((resolve) => queue.push(resolve));
      try {
        let connection = idle.pop();
        while (connection?.lost != null) connection = idle.pop();
        connection ??= await open();
        try {
          return await work(connection);
        } finally {
          if (connection.lost === null) idle.push(connection);
        }
      } finally {
        const next = queue.shift();
        if (next === undefined) opened--;
        else next();
      }
    },
  };
}
