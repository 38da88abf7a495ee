import postgres from "postgres";
import { type Clock, systemClock } from "./clock.ts";
import { type Luck, systemLuck } from "./luck.ts";

/** What a store function takes: the pool, or one transaction of it. */
export type Sql = postgres.ISql;
/** A part of a statement. */
export type Fragment = ReturnType<Sql>;
/** The pool itself: can also begin transactions, listen, and end. */
export type Database = postgres.Sql;

const SERVER_VERSION_MIN = 150_000;
const STATEMENT_TIMEOUT_MS = 60_000;
const LOCK_TIMEOUT_MS = 10_000;
/** A process that falls silent inside a transaction keeps its locks for so long: less than others wait for a lock, and than their leases last. */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 8_000;
const CONNECT_TIMEOUT_S = 10;
const IDLE_TIMEOUT_S = 60;
const RETRIES_MAX = 5;
const RETRY_PAUSE_MS = 20;

export interface ConnectOptions {
  /** Connections at most; each is opened when it is first needed. */
  readonly max: number;
  /** Shown in pg_stat_activity. */
  readonly applicationName?: string;
  readonly onnotice?: (notice: postgres.Notice) => void;
  /** Never closes a connection for being idle or old: for a session whose locks must stay. */
  readonly lasting?: boolean;
  /** Of every session, whatever the role or the database is set to meanwhile; by default what they are set to. */
  readonly synchronousCommit?: string;
  /** Called when a connection has ended, whoever ended it. */
  readonly onclose?: () => void;
}

/**
 * A pool of connections to `target`: a `postgres://` address as libpq reads it, over TCP or, with `?host=/directory`, over a unix
 * socket. Connects when first used. Columns become camelCase and parameters of `sql(row)` snake_case; the keys inside jsonb stay as
 * they are. bigint and numeric come as number (a bigint beyond 2^53 throws), timestamptz as Date, date as text.
 */
export function connect(target: string, options: ConnectOptions): Database {
  const { max, applicationName = "campanile", onnotice = () => {}, lasting = false, onclose = () => {} } = options;
  const [address, parts] = partsOf(target);
  return postgres(address, {
    ...parts,
    max,
    onnotice,
    onclose,
    prepare: true,
    fetch_types: false,
    connect_timeout: CONNECT_TIMEOUT_S,
    idle_timeout: lasting ? undefined : IDLE_TIMEOUT_S,
    ...(lasting ? { max_lifetime: null } : {}),
    transform: { column: postgres.camel.column },
    types: {
      bigint: { to: 20, from: [20], serialize: String, parse: safeInteger },
      numeric: { to: 1700, from: [1700], serialize: String, parse: Number },
      date: { to: 1082, from: [1082], serialize: String, parse: String },
      texts: arrayOf(1009, String),
      uuids: arrayOf(2951, String),
      smallints: arrayOf(1005, Number),
      ints: arrayOf(1007, Number),
      bigints: arrayOf(1016, safeInteger),
      floats: arrayOf(1022, Number),
      instants: arrayOf(1185, (text) => new Date(text)),
      documents: arrayOf(3807, (text) => JSON.parse(text)),
    },
    connection: {
      application_name: applicationName,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      lock_timeout: LOCK_TIMEOUT_MS,
      idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
      TimeZone: "UTC",
      DateStyle: "ISO",
      search_path: "campanile",
      ...(options.synchronousCommit === undefined ? {} : { synchronous_commit: options.synchronousCommit }),
    },
  });
}

/** libpq also takes the parts of an address as parameters, a socket directory only so; the driver would send them to the server. */
function partsOf(target: string): [string, postgres.Options<Record<string, never>>] {
  if (!/[?&]host=/.test(target)) return [target, {}];
  const url = new URL(target.replace(/@(?=[/?])/, "@localhost"));
  const take = (name: string) => {
    const value = url.searchParams.get(name) ?? undefined;
    url.searchParams.delete(name);
    return value;
  };
  const port = take("port");
  const parts = { host: take("host"), username: take("user"), password: take("password"), db: take("dbname") };
  return [url.href, { ...parts, port: port === undefined ? undefined : Number(port) }];
}

const elementOf = (element: unknown): string => {
  if (element === null || typeof element === "number") return String(element ?? "NULL");
  const text = element instanceof Date ? element.toISOString() : String(element);
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
};

/** JSON says the same unless something is escaped, and a turn's texts are written with less garbage: 6 % of its time. */
const literalOf = (elements: readonly unknown[], json = JSON.stringify(elements)): string =>
  `{${json.includes("\\") ? elements.map(elementOf).join() : json.slice(1, -1)}}`;

/**
 * A one-dimensional array of the type `oid`. The driver has its own way, but it asks every new connection which arrays there are, in a
 * promise that nobody holds: a line that is cut just then ended the process. It also writes eight times as long.
 */
function arrayOf<T>(oid: number, parse: (element: string) => T): postgres.PostgresType {
  return {
    to: oid,
    from: [oid],
    serialize: (elements: unknown[] | string) => (typeof elements === "string" ? elements : literalOf(elements)),
    parse: (text: string) =>
      Array.from(text.matchAll(/"((?:[^"\\]|\\.)*)"|([^,{}]+)/g), ([, quoted, plain = ""]) =>
        quoted === undefined ? (plain === "NULL" ? null : parse(plain)) : parse(quoted.replace(/\\(.)/g, "$1")),
      ),
  };
}

function safeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a number; read it as text`);
  return value;
}

export interface TransactionOptions {
  readonly clock?: Clock;
  readonly luck?: Luck;
}

/** What must hold in every transaction of a pool. */
export interface Condition {
  /** A part of a statement that says whether it holds. Asked in the transaction itself, along with its first statement; else nothing is committed. */
  readonly holds: (sql: Sql) => Fragment;
  /** Called when it did not hold; the transaction is begun again after that. */
  readonly restore: () => Promise<unknown>;
}

const conditions = new WeakMap<Database, Condition>();

/** The same pool, of which no `transaction` commits in which the condition does not hold. */
export function conditional(sql: Database, condition: Condition): Database {
  const pool = new Proxy(sql, {});
  conditions.set(pool, condition);
  return pool;
}

const holding = (pool: Database, sql: Sql): Fragment => conditions.get(pool)?.holds(sql) ?? sql`true`;

/**
 * A transaction of one statement, which does nothing and gives back null unless `holds`. (It is for the statement to see to that, with
 * `case when`: a `where` may come too late.)
 */
export async function statement<T>(sql: Database, ask: (holds: Fragment) => Promise<T | null>): Promise<T> {
  for (let retries = 0; ; retries++) {
    const answer = await ask(holding(sql, sql));
    if (answer !== null) return answer;
    if (retries === RETRIES_MAX) throw new ConditionBroken(BROKEN);
    await conditions.get(sql)?.restore();
  }
}

const BROKEN = "This is not the database that was known.";
class ConditionBroken extends Error {
  override readonly name = "ConditionBroken";
}

/**
 * Runs `work` in one transaction at READ COMMITTED and gives back its result once it is committed. Begun again, at most five times,
 * when Postgres chose it as the victim of a deadlock or of a serialisation conflict: `work` must have no effect but its statements.
 *
 * When the connection is lost, `work` is abandoned where it stands. The driver would otherwise write its next statement to a closed
 * socket, which ends the process, or to the next session, outside of any transaction.
 */
export async function transaction<T>(
  sql: Database,
  work: (sql: Sql) => Promise<T>,
  { clock = systemClock, luck = systemLuck }: TransactionOptions = {},
): Promise<T> {
  for (let retries = 0; ; retries++) {
    try {
      return await attempt(sql, work);
    } catch (error) {
      if (error instanceof ConditionBroken && retries < RETRIES_MAX) {
        await conditions.get(sql)?.restore();
        continue;
      }
      if (retries === RETRIES_MAX || !isConflict(error)) throw error;
      await clock.sleep(RETRY_PAUSE_MS * 2 ** retries * (0.5 + luck.next()));
    }
  }
}

async function attempt<T>(sql: Database, work: (sql: Sql) => Promise<T>): Promise<T> {
  const loss: { error?: unknown } = {};
  const begun = sql.begin("isolation level read committed", async (inner) => {
    try {
      const fence = fenced(inner, loss);
      // Asked first, for a statement that fails leaves nothing to be asked; and not waited for.
      const [held, worked] = await Promise.allSettled([conditions.has(sql) ? askHolds(sql, fence) : true, work(fence)]);
      if (held.status === "fulfilled" && !held.value) throw new ConditionBroken(BROKEN);
      if (worked.status === "rejected") throw worked.reason;
      if (held.status === "rejected") throw held.reason;
      return { result: worked.value };
    } finally {
      // The lost connection itself refuses begin(). Pending for good, it sends neither commit nor rollback after that.
      if ("error" in loss) await new Promise<never>(() => {});
    }
  });
  try {
    return (await begun).result;
  } catch (error) {
    loss.error = error;
    throw error;
  }
}

async function askHolds(pool: Database, sql: Sql): Promise<boolean> {
  const [row] = await sql<{ holds: boolean }[]>`select ${holding(pool, sql)} as holds`;
  return row?.holds === true;
}

/** `sql`, which takes no more statements once a statement of its own has met the loss of the connection, or begin() has. */
function fenced(sql: Sql, loss: { error?: unknown }): Sql {
  const watched = <Query extends object>(ask: () => Query): Query => {
    if ("error" in loss) throw loss.error;
    const query: Query & Partial<Rejectable> = ask();
    const { reject } = query;
    if (reject !== undefined) {
      query.reject = (error) => {
        if (lostCodes.has(codeOf(error))) loss.error = error;
        reject(error);
      };
    }
    return query;
  };
  return new Proxy(sql, {
    apply: (target, self, args) => watched(() => Reflect.apply(target, self, args)),
    get: (target, name) =>
      name === "unsafe" ? (...args: Parameters<Sql["unsafe"]>) => watched(() => target.unsafe(...args)) : Reflect.get(target, name),
  });
}
/** How the driver tells one of its queries that it failed, before anybody who awaits the query hears of it. Not in its types. */
interface Rejectable {
  reject: (error: unknown) => void;
}

/** serialization_failure, deadlock_detected */
const isConflict = (error: unknown) => ["40001", "40P01"].includes(codeOf(error));

/**
 * The connection ended while an answer was due: whether the statement was executed, a COMMIT above all, is unknown.
 * Codes of the driver, of the system, and of Postgres (class 57P: shut down; 08: connection exception; 25P03: idle too long).
 */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error);
  return lostCodes.has(code) || /^(0800[0367]|57P01|57P02|57P05|25P03)$/.test(code);
}
const lostCodes = new Set(["CONNECTION_CLOSED", "CONNECTION_ENDED", "CONNECTION_DESTROYED", "ECONNRESET", "EPIPE", "ETIMEDOUT"]);

/** No connection could be opened: nothing was executed. 57P03 cannot_connect_now, 53300 too_many_connections. */
export const isUnreachable = (error: unknown): boolean => unreachableCodes.has(codeOf(error));
const unreachableCodes = new Set("ECONNREFUSED ENOENT ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH EACCES CONNECT_TIMEOUT 57P03 53300".split(" "));

/**
 * The same may succeed in a moment: the database is away, full (53…), read-only while it fails over (25006), or a lock was waited for
 * too long (55P03), a statement took too long (57014), or a conflict came back again and again.
 */
export const isPassing = (error: unknown): boolean =>
  isConnectionLost(error) || isUnreachable(error) || isConflict(error) || /^(53...|25006|55P03|57014)$/.test(codeOf(error));

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/**
 * Refuses, in one sentence, a server that does not keep the promises: older than 15, not UTF-8, or answering COMMIT before it is kept.
 * Gives back when it answers COMMIT (`synchronous_commit`).
 */
export async function assertServer(sql: Sql): Promise<string> {
  const [server] = await sql<{ number: number; version: string; encoding: string; commit: string }[]>`
    select current_setting('server_version_num')::int as number, current_setting('server_version') as version,
      current_setting('server_encoding') as encoding, current_setting('synchronous_commit') as commit`;
  if (server === undefined) throw new Error("Postgres did not say which version it is.");
  if (server.number < SERVER_VERSION_MIN) {
    throw new Error(`This server is Postgres ${server.version}; 15 or later is needed.`);
  }
  if (server.encoding !== "UTF8") {
    throw new Error(`This database is encoded in ${server.encoding}; create one with: create database … encoding 'UTF8' template template0.`);
  }
  if (server.commit === "off") {
    throw new Error(
      "synchronous_commit is off here: Postgres would forget messages it said it had recorded, and people would be written to twice. " +
        "Switch it on for this database: alter database … set synchronous_commit = on.",
    );
  }
  return server.commit;
}
