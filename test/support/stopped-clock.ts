import { setImmediate as tick } from "node:timers/promises";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Database } from "../../src/runtime/postgres.ts";

/** A clock that stands still until it is moved, and moves the database's clock with it. */
export interface StoppedClock extends Clock {
  /** Lets `ms` pass: everybody who sleeps wakes at his time, in order, and acts before time goes on. */
  pass(ms: number): Promise<void>;
  /** Lets time pass, sleeper by sleeper, until `work` has ended, `maxMs` at most. */
  until<T>(work: Promise<T>, maxMs?: number): Promise<T>;
  /** Milliseconds since the start. */
  readonly elapsedMs: number;
}

export interface Quiet {
  /** Effects (statements, calls) that were begun and have not ended. */
  readonly pending: number;
}

const START = Date.parse("2026-03-02T09:00:00.000Z");
const QUIET_TICKS = 4;

/** `admin` moves the database's clock; `world` tells when nothing is going on but sleep. */
export async function stoppedClock(admin: Database, world: Quiet): Promise<StoppedClock> {
  await admin`create unlogged table campanile.test_clock (at timestamptz not null)`;
  await admin`insert into campanile.test_clock values (${new Date(START)})`;
  await admin.unsafe(
    "create or replace function campanile.clock() returns timestamptz language sql volatile as $$ select at from campanile.test_clock $$",
  );
  let at = START;
  const sleepers = new Set<{ at: number; wake: () => void }>();

  async function move(to: number): Promise<void> {
    at = to;
    await admin`update campanile.test_clock set at = ${new Date(to)}`;
  }

  async function quiet(): Promise<void> {
    for (let ticks = 0; ticks < QUIET_TICKS; ticks++) {
      await tick();
      if (world.pending > 0) ticks = -1;
    }
  }

  async function wakeNext(limit: number): Promise<boolean> {
    await quiet();
    const next = Math.min(...[...sleepers].map((sleeper) => sleeper.at));
    if (next > limit) return false;
    if (next > at) await move(next);
    for (const sleeper of [...sleepers]) if (sleeper.at <= next) sleeper.wake();
    return true;
  }

  return {
    now: () => new Date(at),
    monotonicMs: () => at - START,
    get elapsedMs() {
      return at - START;
    },
    sleep(ms, signal) {
      if (signal?.aborted) return Promise.resolve();
      return new Promise((resolve) => {
        const wake = () => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const sleeper = { at: at + Math.max(0, ms), wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", wake, { once: true });
      });
    },
    async pass(ms) {
      const limit = at + ms;
      while (await wakeNext(limit)) {}
      await move(limit);
      await quiet();
    },
    async until(work, maxMs = 3_600_000) {
      const limit = at + maxMs;
      let ended = false;
      const end = () => {
        ended = true;
      };
      work.then(end, end);
      await quiet();
      while (!ended) {
        if (!(await wakeNext(limit))) throw new Error(`still at work after ${maxMs} ms with ${sleepers.size} asleep`);
        await quiet();
      }
      return work;
    },
  };
}
