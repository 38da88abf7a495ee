import { setImmediate as tick } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as realClose from "../../src/flow/campaign/close-store.ts";
import * as realCampaign from "../../src/flow/campaign/store.ts";
import * as realBatch from "../../src/flow/dispatch/batch-store.ts";
import * as realComplete from "../../src/flow/dispatch/complete-store.ts";
import * as realDue from "../../src/flow/dispatch/due-store.ts";
import * as realLimits from "../../src/flow/dispatch/limits-store.ts";
import * as realLot from "../../src/flow/dispatch/lot-store.ts";
import * as realMessage from "../../src/flow/dispatch/message-store.ts";
import { seededLuck } from "../../src/runtime/luck.ts";
import { type Sql, transaction } from "../../src/runtime/postgres.ts";
import { type FreshDatabase, freshDatabase } from "../support/database.ts";
import { type Dice, diceOf } from "./dice.ts";
import type { Call, Stores } from "./draws.ts";
import type { Tables } from "./memory/schema.ts";
import { createServer, type Operation, type Server, type Session } from "./memory/server.ts";
import { forgetTables } from "./memory/twin.ts";
import { allMoves, moves, notMoved } from "./moves.ts";
import { type Cast, drawWorld, dump, PEOPLE, plain, plant, type World } from "./rows.ts";
import * as batch from "./store/batch-store.ts";
import * as campaign from "./store/campaign-store.ts";
import * as close from "./store/close-store.ts";
import * as complete from "./store/complete-store.ts";
import * as due from "./store/due-store.ts";
import * as limits from "./store/limits-store.ts";
import * as lot from "./store/lot-store.ts";
import * as message from "./store/message-store.ts";
import { createTime, EPOCH } from "./time.ts";

const twins: Stores = { batch, campaign, close, complete, due, limits, lot, message };
const reals = {
  ...{ batch: realBatch, campaign: realCampaign, close: realClose, complete: realComplete },
  ...{ due: realDue, limits: realLimits, lot: realLot, message: realMessage },
};

let database: FreshDatabase;
beforeAll(async () => {
  database = await freshDatabase({ max: 3 });
  await database.sql.unsafe(
    `create or replace function campanile.clock() returns timestamptz language sql volatile as $$ select timestamptz '${new Date(EPOCH).toISOString()}' $$`,
  );
});
afterAll(() => database.drop());

/** The same rows in Postgres and in memory, at an instant that stays. */
interface Pair {
  readonly dice: Dice;
  readonly cast: Cast;
  readonly world: World;
  readonly tables: Tables;
  readonly server: Server;
}

async function pairOf(seed: number, campaigns: number): Promise<Pair> {
  const dice = diceOf(seededLuck(seed));
  const uuids = (count: number) => Array.from({ length: count }, () => dice.uuid()).sort();
  const [workspaceId = "", scopeId = "", senderId = ""] = uuids(3);
  const addresses = Array.from({ length: PEOPLE - 1 }, (_, i) => `+9198765000${i}`);
  const cast = { workspaceId, scopeId, senderId, campaignIds: uuids(campaigns), tokens: uuids(2), addresses, now: EPOCH };
  const world = drawWorld(dice, cast);
  const tables = forgetTables();
  const server = createServer(
    createTime(dice, () => {}),
    () => {},
  );
  await plant(world, database.sql, server, tables);
  return { dice, cast, world, tables, server };
}

/** What the twins take for `sql`: one session of the server in memory. */
const memorySql = (server: Server, session: Session): Sql =>
  ((asked: unknown, operation: Operation<unknown>) => (typeof asked === "string" ? server.execute(session, operation, 0) : {})) as unknown as Sql;

/** The rows, or the code of the error. */
async function outcomeOf(work: () => PromiseLike<unknown>): Promise<unknown> {
  try {
    return plain(await work());
  } catch (error) {
    if (error instanceof Error && "code" in error) return `refused: ${error.code}`;
    throw error;
  }
}

async function expectSameRows({ tables, world }: Pair, how: string): Promise<void> {
  const { postgres, memory } = await dump(database.sql, tables, world);
  expect(memory, how).toEqual(postgres);
}

describe("the store in memory does what Postgres does", () => {
  test("it has every function, and every one is tried", () => {
    for (const [name, real] of Object.entries(reals)) {
      const twin: object = twins[name as keyof Stores];
      const functions = Object.entries(real).flatMap(([key, value]) => (typeof value === "function" ? [key] : []));
      const wanted = name === "campaign" || name === "close" ? Object.keys(twin) : functions;
      for (const key of wanted) {
        if (notMoved.has(key) || notMoved.has(`${key}@${name}`)) continue;
        expect(Object.keys(twin), `a twin of ${name}.${key}`).toContain(key);
        expect(Object.keys(moves[name as keyof Stores]), `a call of ${name}.${key}`).toContain(key);
      }
    }
  });

  test("call by call", { timeout: 60_000 }, async () => {
    const tried = new Set<string>();
    for (let seed = 1; seed <= Number(process.env["CALLS"] ?? 50); seed++) {
      const pair = await pairOf(seed, 2);
      const { dice, cast, server } = pair;
      const session = server.open();
      const done: string[] = [];
      for (let i = 0; i < 12; i++) {
        const move = dice.pick(allMoves);
        const call = move.draw(dice, cast);
        const postgres = await outcomeOf(() => call(reals as unknown as Stores, database.sql));
        const memory = await outcomeOf(() => call(twins, memorySql(server, session)));
        tried.add(move.name);
        done.push(move.name);
        expect(memory, `seed ${seed}: ${done.join(", ")}`).toEqual(postgres);
      }
      await expectSameRows(pair, `seed ${seed}: ${done.join(", ")}`);
    }
    expect([...tried].sort()).toEqual(allMoves.map(({ name }) => name).sort());
  });

  test("when two transactions meet", { timeout: 60_000 }, async () => {
    const met = { waited: 0, passed: 0 };
    for (let seed = 1_001; seed <= Number(process.env["MEETS"] ?? 1_100); seed++) await meet(seed, met);
    expect(met.waited).toBeGreaterThan(10);
    expect(met.passed).toBeGreaterThan(10);
  });
});

/** A transaction of both, fed call by call. */
interface Both {
  ask(call: Call): { postgres: Promise<unknown>; memory: Promise<unknown> };
  end(commit: boolean): Promise<void>;
  readonly pid: number;
}

/** One transaction writes and stays open; another one comes, waits where it must, and goes on when the first has ended. */
async function meet(seed: number, met: { waited: number; passed: number }): Promise<void> {
  const pair = await pairOf(seed, 1);
  const { dice, cast } = pair;
  const [first, second] = [await beginBoth(pair), await beginBoth(pair)];
  const done: string[] = [];
  const names: string[] = [];
  const draw = (who: string) => {
    // Who does the same as the one before meets him more often.
    const move = (dice.chance(0.4) ? allMoves.find(({ name }) => name === names.at(-1)) : undefined) ?? dice.pick(allMoves);
    names.push(move.name);
    done.push(`${who}: ${move.name}`);
    return move.draw(dice, cast);
  };
  for (let i = dice.whole(1, 3); i > 0; i--) {
    const { postgres, memory } = first.ask(draw("first"));
    expect(await memory, `seed ${seed}: ${done.join(", ")}`).toEqual(await postgres);
  }
  const late = second.ask(draw("second"));
  const waits = await isWaiting(second.pid, late.postgres);
  met[waits ? "waited" : "passed"]++;
  expect(await isPending(late.memory), `seed ${seed}: ${done.join(", ")}: it waits`).toBe(waits);
  const commit = dice.chance(0.7);
  done.push(commit ? "first: commit" : "first: rollback");
  await first.end(commit);
  expect(await late.memory, `seed ${seed}: ${done.join(", ")}`).toEqual(await late.postgres);
  await second.end(true);
  await expectSameRows(pair, `seed ${seed}: ${done.join(", ")}`);
}

async function beginBoth({ server }: Pair): Promise<Both> {
  const session = server.open();
  server.begin(session);
  const sql = memorySql(server, session);
  let open: (tx: Sql) => void = () => {};
  const opened = new Promise<Sql>((resolve) => {
    open = resolve;
  });
  let finish: (commit: boolean) => void = () => {};
  const finished = new Promise<boolean>((resolve) => {
    finish = resolve;
  });
  const ended = transaction(database.sql, async (tx) => {
    open(tx);
    if (!(await finished)) throw new Error("rolled back");
  }).catch(() => {});
  const tx = await opened;
  const [row] = await tx<{ pid: number }[]>`select pg_backend_pid() as pid`;
  return {
    pid: row?.pid ?? 0,
    ask: (call) => ({ postgres: outcomeOf(() => call(reals as unknown as Stores, tx)), memory: outcomeOf(() => call(twins, sql)) }),
    async end(commit) {
      finish(commit);
      await ended;
      if (commit) server.commit(session);
      else server.rollback(session);
    },
  };
}

async function isPending(work: Promise<unknown>): Promise<boolean> {
  let pending = true;
  void work.then(() => {
    pending = false;
  });
  await tick();
  return pending;
}

/** Asks Postgres until the statement has ended or waits for somebody. */
async function isWaiting(pid: number, work: Promise<unknown>): Promise<boolean> {
  for (;;) {
    if (!(await isPending(work))) return false;
    const [row] = await database.sql<{ waits: boolean }[]>`select cardinality(pg_blocking_pids(${pid})) > 0 as waits`;
    if (row?.waits === true) return true;
  }
}
