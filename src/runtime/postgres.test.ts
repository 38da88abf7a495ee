import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type CutLine, cutLine } from "../../test/support/cut-line.ts";
import { addressOf, asAdmin, type FreshDatabase, freshDatabase } from "../../test/support/database.ts";
import type { Clock } from "./clock.ts";
import { seededLuck } from "./luck.ts";
import { assertServer, conditional, connect, type Database, isConnectionLost, isUnreachable, type Sql, statement, transaction } from "./postgres.ts";

let database: FreshDatabase;
let sql: Database;
beforeAll(async () => {
  database = await freshDatabase({ empty: true });
  sql = database.sql;
  await sql`create schema campanile`;
  await sql`create table town (name text primary key, visited_at timestamptz)`;
});
afterAll(() => database.drop());

describe("values", () => {
  test("columns are camelCase, the keys inside jsonb stay, and no number comes as text", async () => {
    const [row] = await sql`
      select 1::bigint as big_one, 1.5::numeric as price, '{1,2}'::bigint[] as many, '{"first_name": {"a_b": 1}}'::jsonb as said,
        '2026-03-01 12:00:00.5+02'::timestamptz as sent_at, '2026-03-01'::date as day, '\\x00ff'::bytea as bytes`;
    expect(row).toEqual({
      bigOne: 1,
      price: 1.5,
      many: [1, 2],
      said: { first_name: { a_b: 1 } },
      sentAt: new Date("2026-03-01T10:00:00.500Z"),
      day: "2026-03-01",
      bytes: Buffer.from([0, 255]),
    });
  });

  test("a bigint which no number can hold throws", async () => {
    await expect(sql`select 9007199254740993::bigint`).rejects.toThrow("bigint 9007199254740993 does not fit a number");
  });

  test("rows and arrays go in as they come out", async () => {
    const at = new Date("2026-01-02T03:04:05.678Z");
    await sql`insert into town ${sql([
      { name: "Graz", visitedAt: at },
      { name: "Linz", visitedAt: null },
    ])}`;
    expect(await sql`select visited_at from town where name = any(${["Graz", "Wels"]})`).toEqual([{ visitedAt: at }]);
    expect(await sql`select n from unnest(${[3, 2 ** 40]}::bigint[]) n`).toEqual([{ n: 3 }, { n: 2 ** 40 }]);
  });

  test("an undefined value is a mistake, not a null", async () => {
    const missing: { name?: string } = {};
    await expect(sql`select ${missing.name as string}`).rejects.toThrow("UNDEFINED_VALUE");
  });
});

test("every session has its limits, its schema and UTC", async () => {
  const [row] = await sql`
    select current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock,
      current_setting('idle_in_transaction_session_timeout') as idle, current_setting('timezone') as zone,
      current_setting('search_path') as path, current_setting('application_name') as name`;
  expect(row).toEqual({ statement: "1min", lock: "10s", idle: "8s", zone: "UTC", path: "campanile", name: "campanile" });
});

test("an address may name the socket's folder, the user and the port as libpq allows", async () => {
  const [server] = await sql<{ folders: string; port: string; user: string }[]>`
    select current_setting('unix_socket_directories') as folders, current_setting('port') as port, current_user as user`;
  const host = server?.folders.split(",")[0]?.replaceAll('"', "").trim();
  for (const start of ["postgres:///", `postgres://${server?.user}@/`]) {
    const other = connect(`${start}${database.name}?host=${host}&port=${server?.port}&user=${server?.user}`, { max: 1, applicationName: "other" });
    onTestFinished(() => other.end());
    expect(await other`select current_database() as name, current_setting('application_name') as application`).toEqual([
      { name: database.name, application: "other" },
    ]);
  }
});

describe("transaction", () => {
  /** Raises like Postgres does, and counts. */
  const failing = (code: string, times: number) => {
    let begun = 0;
    const work = async (inner: Sql) => {
      begun++;
      await inner`insert into town (name) values (${`${code} ${times} ${begun}`})`;
      if (begun <= times) await inner.unsafe(`do $$ begin raise exception 'victim' using errcode = '${code}'; end $$`);
      return begun;
    };
    return work;
  };
  const pauses: number[] = [];
  const clock: Clock = { now: () => new Date(0), monotonicMs: () => 0, sleep: async (ms) => void pauses.push(ms) };
  const options = { clock, luck: seededLuck(1) };

  test.each(["40001", "40P01"])("begins again after %s, with growing pauses, and keeps only the last attempt", async (code) => {
    pauses.length = 0;
    expect(await transaction(sql, failing(code, 3), options)).toBe(4);
    expect(await sql`select name from town where starts_with(name, ${code})`).toEqual([{ name: `${code} 3 4` }]);
    expect(pauses.length).toBe(3);
    for (const [at, pause] of pauses.entries()) expect(pause).toSatisfy((ms: number) => ms >= 10 * 2 ** at && ms < 30 * 2 ** at);
  });

  test("gives up after five retries", async () => {
    pauses.length = 0;
    await expect(transaction(sql, failing("40001", 6), options)).rejects.toThrow("victim");
    expect(pauses.length).toBe(5);
  });

  test("does not begin again after anything else, and leaves nothing", async () => {
    await expect(transaction(sql, failing("23514", 1), options)).rejects.toThrow("victim");
    expect(await sql`select name from town where starts_with(name, '23514')`).toEqual([]);
  });

  test("is at read committed whatever the default is", async () => {
    const level = await transaction(sql, async (inner) => {
      const [row] = await inner`select current_setting('transaction_isolation') as level`;
      return row?.["level"];
    });
    expect(level).toBe("read committed");
  });
});

describe("a condition", () => {
  /** A pool whose condition is broken until it is restored, `times` times in a row. */
  function conditioned(times: number) {
    const told = { restored: 0 };
    const pool = conditional(sql, {
      holds: (inner) => (told.restored < times ? inner`false` : inner`true`),
      restore: async () => void told.restored++,
    });
    return { pool, told };
  }
  const add = (pool: Database, name: string) =>
    transaction(pool, async (inner) => {
      await inner`insert into town (name) values (${name})`;
      return name;
    });
  const count = async (name: string) => (await sql`select 1 from town where name = ${name}`).length;

  test("that is broken: nothing is committed until it is restored", async () => {
    const { pool, told } = conditioned(2);
    expect(await add(pool, "Enns")).toBe("Enns");
    expect([told.restored, await count("Enns")]).toEqual([2, 1]);
  });

  test("that stays broken: nothing is committed, and the caller is told", async () => {
    const { pool, told } = conditioned(100);
    await expect(add(pool, "Steyr")).rejects.toThrow("not the database that was known");
    expect([told.restored, await count("Steyr")]).toEqual([5, 0]);
  });

  test("is asked by a single statement too, which does nothing while it is broken", async () => {
    const { pool, told } = conditioned(1);
    await sql.unsafe(
      "create function campanile.found(name text) returns text language sql as $$ insert into town (name) values (name) returning name $$",
    );
    const found = await statement(pool, async (holds) => {
      const [row] = await pool<{ name: string | null }[]>`select case when ${holds} then (select campanile.found('Traun')) end as name`;
      return row?.name ?? null;
    });
    expect([found, told.restored, await count("Traun")]).toEqual(["Traun", 1, 1]);
  });

  test("that is broken explains what failed: it is no error then", async () => {
    const { pool, told } = conditioned(1);
    const work = (inner: Sql) => (told.restored === 0 ? inner`select 1 / 0` : inner`select 1 as one`);
    expect(await transaction(pool, async (inner) => work(inner))).toEqual([{ one: 1 }]);
  });

  test("that there is none of, holds", async () => {
    expect(await statement(sql, async (holds) => (await sql<{ it: boolean }[]>`select ${holds} as it`)[0] ?? null)).toEqual({ it: true });
  });

  test("passes on what failed in a transaction in which it held", async () => {
    const { pool } = conditioned(0);
    await expect(transaction(pool, async (inner) => inner`select 1 / 0`)).rejects.toThrow("division by zero");
  });
});

interface Accident {
  /** Ends once the server has closed the connection and our side knows. */
  cut(): Promise<void>;
  /** Somebody else gets the same place in the pool, with a new connection. */
  reopen(): Promise<unknown>;
}
const later = (inner: Sql) => inner`insert into town (name) values ('written later')`;
const swallow = () => {};

/** What may be going on while the connection is taken away; left to itself the driver ends the process, or writes outside of any transaction. */
const habits: Record<string, (inner: Sql, accident: Accident) => Promise<unknown>> = {
  "asks on": async (inner, { cut }) => {
    await cut();
    return later(inner);
  },
  "asks on in raw SQL": async (inner, { cut }) => {
    await cut();
    await inner.unsafe("insert into town (name) values ('written later')");
  },
  "asks on when others use the pool again": async (inner, { cut, reopen }) => {
    await cut();
    await reopen().catch(swallow);
    await reopen();
    return later(inner);
  },
  returns: (_, { cut }) => cut(),
  "throws something else": async (_, { cut }) => {
    await cut();
    throw new Error("something else");
  },
  "waits for an answer": async (inner, { cut }) => {
    void cut();
    await inner`select pg_sleep(10)`;
  },
  "waits for the answer to raw SQL": async (inner, { cut }) => {
    void cut();
    await inner.unsafe("select pg_sleep(10)");
  },
  "swallows the error and asks on": async (inner, { cut }) => {
    void cut();
    await inner`select pg_sleep(10)`.catch(swallow);
    return later(inner);
  },
  "swallows the error and returns": async (inner, { cut }) => {
    void cut();
    await inner`select pg_sleep(10)`.catch(swallow);
  },
};

describe("a connection that is lost inside a transaction, whose work", () => {
  test.each(Object.entries(habits))("%s", async (_, habit) => {
    const pool = connect(database.url, { max: 1 });
    onTestFinished(() => pool.end({ timeout: 0 }));
    const going: Promise<unknown>[] = [];
    const cause = await transaction(pool, async (inner) => {
      await inner`insert into town (name) values ('written before')`;
      const [{ pid } = { pid: 0 }] = await inner<{ pid: number }[]>`select pg_backend_pid() as pid`;
      const cut = async () => {
        const done = sql`select pg_terminate_backend(${pid}, 5000)`.then(() => sql`select pg_sleep(0.05)`);
        going.push(done);
        await done;
      };
      const ended = habit(inner, { cut, reopen: () => pool`select 1` });
      going.push(ended);
      await ended;
    }).catch((error: unknown) => error);
    expect(isConnectionLost(cause)).toBe(true);
    await Promise.allSettled(going);
    await pool`select 1`.catch(swallow); // the driver may blame the next statement, which it has not sent, for the old loss
    expect(await pool`select name from town where starts_with(name, 'written')`).toEqual([]);
  });
});

test("a COMMIT whose answer is lost is told apart, and was made", async () => {
  const line: CutLine = await cutLine(database.url);
  onTestFinished(line.close);
  const pool = connect(line.url, { max: 1 });
  onTestFinished(() => pool.end({ timeout: 0 }));
  const cause = await transaction(pool, async (inner) => {
    await inner`insert into town (name) values ('Steyr')`;
    line.cutAfter("commit");
  }).catch((error: unknown) => error);
  expect(isConnectionLost(cause)).toBe(true);
  expect(await sql`select name from town where name = 'Steyr'`).toEqual([{ name: "Steyr" }]);
});

test("a server that cannot be reached has executed nothing: unreachable, not lost", async () => {
  for (const target of ["postgres://nobody@127.0.0.1:1/x", "postgres:///x?host=/nowhere"]) {
    const pool = connect(target, { max: 1 });
    const cause = await pool`select 1`.catch((error: unknown) => error);
    expect(isUnreachable(cause), String(cause)).toBe(true);
    expect(isConnectionLost(cause)).toBe(false);
    await pool.end({ timeout: 0 });
  }
});

describe("assertServer", () => {
  test("accepts this server", () => assertServer(sql));

  test("refuses a server older than 15", async () => {
    const old = (async () => [{ number: 140_012, version: "14.12", encoding: "UTF8", commit: "on" }]) as unknown as Sql;
    await expect(assertServer(old)).rejects.toThrow("This server is Postgres 14.12; 15 or later is needed.");
  });

  test("refuses synchronous_commit = off, and takes what is safer than on", async () => {
    for (const setting of ["remote_apply", "local", "on"]) await assertOnNewSession(setting);
    await expect(assertOnNewSession("off")).rejects.toThrow("synchronous_commit is off here");
  });

  async function assertOnNewSession(setting: string) {
    await sql.unsafe(`alter database ${database.name} set synchronous_commit = ${setting}`);
    await asAdmin(database.url, assertServer);
  }

  test("what it judged holds for every later session, whatever the database or the role is set to meanwhile", async () => {
    const [{ role } = { role: "" }] = await sql<{ role: string }[]>`select current_user as role`;
    await sql.unsafe(`alter database ${database.name} set synchronous_commit = remote_apply`);
    const synchronousCommit = await asAdmin(database.url, assertServer);
    await sql.unsafe(`alter database ${database.name} set synchronous_commit = off`);
    await sql.unsafe(`alter role ${role} in database ${database.name} set synchronous_commit = off`);
    onTestFinished(async () => {
      await sql.unsafe(`alter database ${database.name} reset synchronous_commit`);
      await sql.unsafe(`alter role ${role} in database ${database.name} reset synchronous_commit`);
    });
    const later = connect(database.url, { max: 1, synchronousCommit });
    onTestFinished(() => later.end());
    expect(await later`select current_setting('synchronous_commit') as setting`).toEqual([{ setting: "remote_apply" }]);
    await expect(asAdmin(database.url, assertServer)).rejects.toThrow("synchronous_commit is off here");
  });

  test("refuses a database that is not UTF-8", async () => {
    const name = `${database.name}_latin1`;
    await sql`create database ${sql(name)} template template0 encoding 'LATIN1' locale 'C'`;
    onTestFinished(async () => void (await sql`drop database ${sql(name)}`));
    await expect(asAdmin(addressOf(database.url, name), assertServer)).rejects.toThrow("encoded in LATIN1");
  });
});
