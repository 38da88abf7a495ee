import { expect, onTestFinished, vi } from "vitest";
import type { Provider } from "../../src/flow/provider/port.ts";
import type { Statement } from "../../src/rules/statement.ts";
import type { Database } from "../../src/runtime/postgres.ts";
import { type Crew, type CrewOptions, crew } from "../support/crew.ts";
import type { Watcher } from "../support/effects.ts";
import { type Town, type TownEngine, type TownOptions, town } from "../support/town.ts";
import { workday } from "../support/workday.ts";

/** A story takes a second or three; a machine with more work than cores may need ten times that. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

/** A town that ends with its test. Whatever an engine logs as an error is a bug; in the end every invariant is checked, unless there are too many people for that. */
export async function openTown(options: TownOptions = {}, { checked = true }: { checked?: boolean } = {}): Promise<Town> {
  const place = await town(options);
  onTestFinished(async () => {
    const errors = [...place.errors];
    await place.close(checked);
    expect(errors).toEqual([]);
  });
  return place;
}

/** Engines that stop, in order, when their test ends. */
export function work(place: Town, options: CrewOptions = {}): Crew {
  const hands = crew(place, options);
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= hands.stop();
    return stopped;
  };
  onTestFinished(stop);
  return { ...hands, stop };
}

export async function statesOf(place: Town, id: string): Promise<Record<string, number>> {
  const rows = await place.sql<{ state: string; n: number }[]>`select state, count(*)::int as n from message where campaign_id = ${id} group by 1`;
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

export async function campaignOf(place: Town, id: string) {
  const [row] = await place.sql<{ state: string; pauseReason: string | null; statement: Statement | null }[]>`
    select state, pause_reason, statement from campaign where id = ${id}`;
  if (row === undefined) throw new Error(`there is no campaign ${id}`);
  return row;
}

/** Everybody who was written to, each as often as it happened, in order. */
export const positionsOf = (...crews: readonly Pick<Crew, "sent">[]): number[] =>
  crews.flatMap(({ sent }) => sent.map(({ position }) => position)).sort((a, b) => a - b);

export const everybody = (recipients: number): number[] => Array.from({ length: recipients }, (_, i) => i + 1);

/** Who was written to more than once. */
export const writtenTwice = (positions: readonly number[]): number[] => positions.filter((position, i) => positions[i - 1] === position);

export interface Ice extends Watcher {
  /** From now on the process stands still, as when its event loop is blocked or the machine sleeps: it wakes up and hears answers only after the thaw. */
  freeze(): void;
  thaw(): void;
}

/**
 * A process that can be made to stand still between two statements. Only sleeps and calls hang: begin the frost when the clock has come to
 * rest, for then nothing else is under way.
 */
export function ice(): Ice {
  let frost: Promise<void> | undefined;
  let melt = () => {};
  return {
    before() {},
    after: (name) => (name === "sleep" || name.startsWith("send ") ? frost : undefined),
    freeze() {
      frost = new Promise((resolve) => {
        melt = resolve;
      });
    },
    thaw() {
      frost = undefined;
      melt();
    },
  };
}

export interface Mortal {
  readonly provider: Provider;
  /** The effect at which an engine dies: it does not happen, or it did and nobody heard of it. */
  readonly fatal: { readonly effect: (name: string) => boolean; readonly side: "before" | "after" };
  /** So many engines may die; the next one cannot. */
  readonly livesMax: number;
}

/**
 * Engine after engine works until the campaign has ended, each after the one before has died as by a power cut: nothing of it goes on,
 * and nothing is undone. Returns how many died.
 */
export async function generations(place: Town, id: string, { provider, fatal, livesMax }: Mortal): Promise<number> {
  for (let deaths = 0; ; deaths++) {
    let dead = false;
    let die = () => {};
    const died = new Promise<"died">((resolve) => {
      die = () => resolve("died");
    });
    const passes = (name: string, side: "before" | "after") => {
      if (!dead && deaths < livesMax && side === fatal.side && fatal.effect(name)) {
        dead = true;
        engine.forget();
        die();
      }
      return dead ? new Promise<never>(() => {}) : undefined;
    };
    const engine: TownEngine = place.engine(provider, { before: (name) => passes(name, "before"), after: (name) => passes(name, "after") });
    const how = await place.clock.until(Promise.race([workday(engine, () => isOver(engine, id)).then(() => "lived" as const), died]), DAY_MS);
    await engine.kill();
    if (how === "lived") return deaths;
  }
}

const DAY_MS = 86_400_000;

/** Asked by the engine itself: the clock waits for its statements. */
async function isOver({ sql }: TownEngine, id: string): Promise<boolean> {
  const [row] = await sql<{ state: string }[]>`select state from campaign where id = ${id}`;
  return row?.state === "completed";
}

/** Waits, in real time, until a session of this database waits for a lock. */
export async function somebodyWaits(sql: Database): Promise<void> {
  for (let tries = 0; tries < 5_000; tries++) {
    const [row] = await sql<{ n: number }[]>`
      select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    if ((row?.n ?? 0) > 0) return;
  }
  throw new Error("nobody waits for a lock");
}
