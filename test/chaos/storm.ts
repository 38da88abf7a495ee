import { seededLuck } from "../../src/runtime/luck.ts";
import type { TcpProxy, Toxics } from "../support/proxy.ts";
import type { Crew } from "./engines.ts";
import { type Ending, endings } from "./postgres.ts";
import type { World } from "./world.ts";

/** How often what happens, in milliseconds of work from one to the next on average; null: never. */
export interface Weather {
  /** An engine is killed, or told to end. */
  readonly hitMs: number;
  /** Of these, told to end. */
  readonly termShare: number;
  readonly freezeMs: number | null;
  readonly restartMs: number | null;
  readonly lostCommitMs: number | null;
  readonly databaseMs: number | null;
  /** A line to the database is half-open for longer than a lease. */
  readonly longSilenceMs: number | null;
  readonly vendorMs: number | null;
  /** All calls on their way to the vendor are cut. */
  readonly vendorStormMs: number | null;
  readonly webhooksMs: number | null;
  readonly serverMs: number | null;
}

export interface Storm {
  /** What happened, and how often. */
  readonly counts: Readonly<Record<string, number>>;
  /** Of Postgres, and how long it was away for. */
  readonly restarts: number;
  readonly awayMs: number;
  /** Nothing more begins; waits for what is under way, and heals every line. */
  end(): Promise<void>;
}

/** Longer than a call may take, and than the vendor waits for a webhook. */
const SILENT_MS = 12_000;
/** Most blows wait for an engine that has begun something; these do not look. */
const BLIND_SHARE = 0.1;
/** Longer than a lease and its margin. */
export const LEASE_OVER_MS = 24_000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Lets it happen: each kind at its own instants, which the seed decides. */
export function breakOut({ postgres, lines, restartServer }: World, { crew, weather, seed }: { crew: Crew; weather: Weather; seed: number }): Storm {
  const counts: Record<string, number> = {};
  const under: Promise<void>[] = [];
  const over = new AbortController();
  let [restarts, awayMs] = [0, 0];
  const rest = async (ms: number) => {
    const until = performance.now() + ms;
    while (performance.now() < until && !over.signal.aborted) await pause(Math.min(100, Math.max(1, until - performance.now())));
  };

  /** Time in which engines work; while they are being born nothing new happens, or on a slow machine none would ever send anything. */
  const calm = async (ms: number) => {
    for (let left = ms; left > 0 && !over.signal.aborted; ) {
      const from = performance.now();
      await pause(Math.min(50, left));
      if (crew.isAtWork) left -= performance.now() - from;
    }
  };

  /** Each kind has luck of its own: how long one takes changes nothing of another. */
  function every(ms: number | null, strike: (luck: Dice) => Promise<string | null> | string | null): void {
    if (ms === null) return;
    const luck = diceOf(seed + under.length);
    const note = (what: string | null) => {
      if (what !== null) counts[what] = (counts[what] ?? 0) + 1;
    };
    const work = async () => {
      for (;;) {
        await calm(luck.between(ms * 0.5, ms * 1.5));
        if (over.signal.aborted) return;
        note(await strike(luck));
      }
    };
    under.push(work());
  }

  async function sick(line: TcpProxy, change: Partial<Toxics>, ms: number): Promise<void> {
    line.toxics(change);
    await rest(ms);
    line.toxics({ latencyMs: 0, jitterMs: 0, bytesPerSecond: null });
  }
  async function silent(line: TcpProxy, share: number, ms: number): Promise<void> {
    line.silence(share);
    await rest(ms);
    line.heal();
  }
  const toDatabase = [...lines.engines, lines.server];

  every(weather.hitMs, async (luck) => {
    const how = luck.next() < weather.termShare ? "TERM" : "KILL";
    const hit = await crew.hit(how, { which: luck.next(), blind: luck.next() < BLIND_SHARE });
    return hit ? `engine ${how}` : null;
  });
  every(weather.freezeMs, async (luck) => ((await crew.hit("STOP", { which: luck.next(), blind: false })) ? "engine STOP" : null));
  every(weather.restartMs, async (luck) => {
    const how = luck.pick(Object.keys(endings) as Ending[]);
    awayMs += await postgres.restart(how);
    restarts++;
    return `Postgres ${how}`;
  });
  every(weather.lostCommitMs, (luck) => {
    luck.pick(toDatabase).loseAnswerTo((statement) => statement === "commit");
    return null; // counted where it happens
  });
  every(weather.databaseMs, async (luck) => {
    const line = luck.pick(toDatabase);
    const what = luck.pick(["cut", "slow", "latency", "half-open"] as const);
    if (what === "cut") line.cut(luck.next());
    if (what === "slow") await sick(line, { bytesPerSecond: 100_000 }, luck.between(1_000, 4_000));
    if (what === "latency") await sick(line, { latencyMs: luck.between(2, 40), jitterMs: 20 }, luck.between(1_000, 5_000));
    if (what === "half-open") await silent(line, luck.next(), luck.between(2_000, 8_000));
    return `database line ${what}`;
  });
  every(weather.longSilenceMs, async (luck) => {
    await silent(luck.pick(lines.engines), 1, LEASE_OVER_MS + luck.between(0, 3_000));
    return "database line half-open past the lease";
  });
  every(weather.vendorMs, async (luck) => {
    const what = luck.pick(["cut", "slow", "latency", "half-open"] as const);
    if (what === "cut") lines.vendor.cut(2);
    if (what === "slow") await sick(lines.vendor, { bytesPerSecond: 20_000 }, luck.between(1_000, 3_000));
    if (what === "latency") await sick(lines.vendor, { latencyMs: luck.between(20, 300), jitterMs: 200 }, luck.between(1_000, 4_000));
    if (what === "half-open") await silent(lines.vendor, 2, SILENT_MS);
    return `vendor line ${what}`;
  });
  every(weather.vendorStormMs, () => {
    lines.vendor.cut(1);
    return "vendor line cut whole";
  });
  every(weather.webhooksMs, async (luck) => {
    const what = luck.pick(["cut", "latency", "half-open"] as const);
    if (what === "cut") lines.webhooks.cut(1);
    if (what === "latency") await sick(lines.webhooks, { latencyMs: luck.between(50, 1_000), jitterMs: 500 }, luck.between(1_000, 4_000));
    if (what === "half-open") await silent(lines.webhooks, 1, SILENT_MS);
    return `webhook line ${what}`;
  });
  every(weather.serverMs, async (luck) => {
    const signal = luck.pick(["SIGTERM", "SIGKILL"] as const);
    await restartServer(signal);
    return `server ${signal.slice(3)}`;
  });

  return {
    counts,
    get restarts() {
      return restarts;
    },
    get awayMs() {
      return awayMs;
    },
    async end() {
      over.abort();
      crew.thaw();
      await Promise.all(under);
      for (const line of [...toDatabase, lines.vendor, lines.webhooks]) line.heal();
    },
  };
}

interface Dice {
  next(): number;
  between(min: number, max: number): number;
  pick<T>(from: readonly T[]): T;
}

function diceOf(seed: number): Dice {
  const { next } = seededLuck(seed * 7_919);
  return {
    next,
    between: (min, max) => min + (max - min) * next(),
    pick<T>(from: readonly T[]): T {
      const picked = from[Math.floor(next() * from.length)];
      if (picked === undefined) throw new Error("there is nothing to pick from");
      return picked;
    },
  };
}
