import { seededLuck } from "../../src/runtime/luck.ts";
import { openFeeder, type Plan } from "./campaigns.ts";
import { type Crew, openCrew } from "./engines.ts";
import { type Figures, judge } from "./judge.ts";
import type { LogBook } from "./program.ts";
import { breakOut, LEASE_OVER_MS, type Storm, type Weather } from "./storm.ts";
import type { Progress } from "./witness.ts";
import { openWorld, type World } from "./world.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly stormMs: number;
  /** The storm goes on until this is true, up to `stormMaxMs`: a busy machine needs longer. */
  readonly isEnough?: (seen: { readonly kills: number; readonly restarts: number; readonly lostCommits: number }) => boolean;
  readonly stormMaxMs?: number;
  readonly engines: number;
  readonly database: "embedded" | "external";
  readonly plan: Plan;
  readonly weather: Weather;
  /** When the storm is over all engines die, and the database's clock jumps over their leases: nobody waits 22 s for it. */
  readonly jumps?: boolean;
  readonly say?: (line: string) => void;
  /** Aborted: everything is ended, and nothing judged. */
  readonly signal?: AbortSignal;
}

export interface Outcome {
  readonly figures: Figures & {
    readonly stormMs: number;
    readonly seconds: number;
    readonly restarts: number;
    readonly postgresAwayMs: number;
    readonly lostCommits: number;
    readonly stillborn: number;
  };
  readonly counts: Readonly<Record<string, number>>;
  readonly broken: readonly string[];
  readonly log: ReturnType<LogBook["entries"]>;
}

const TICK_MS = 1_000;
const TELL_MS = 5_000;
/** After the storm something happens every so often until all is over: leases run out after 22 s, holds after 30. */
const STILL_MAX_MS = 90_000;
const READ_MAX_MS = 60_000;
const PROBE_MS = 100;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** How the vendor treats people and calls, besides what the lines do. Some calls fail for good, some wait, a few break in each way. */
const mix = {
  successRate: 0.95,
  latencyMs: [20, 120],
  sentAfterMs: [10, 100],
  deliveredAfterMs: [50, 300],
  readAfterMs: [50, 500],
  failedAfterMs: [50, 300],
  optOutRate: 0.001,
  duplicateRate: 0.02,
  reorderRate: 0.02,
  earlyRate: 0.02,
  faults: {
    pairLimit: 0.004,
    unavailable: 0.0003,
    unavailableAccepted: 0.0003,
    timeoutAccepted: 0.0002,
    resetAccepted: 0.0003,
    garbageAccepted: 0.0002,
    missingIdAccepted: 0.0002,
  },
};

/** Storms over a whole town, lets all heal, and judges. */
export async function runChaos(options: ChaosOptions): Promise<Outcome> {
  const { seed, engines, database, say = () => {} } = options;
  const from = performance.now();
  const luck = seededLuck(seed);
  const world = await openWorld({ seed, engines, database, luck: luck.next });
  try {
    await world.vendor.control("PATCH", "/settings", { mix, limits: { throughput: null }, webhook: { retryMaxMs: 2_000, timeoutMs: 5_000 } });
    const feeder = await openFeeder(world, options.plan);
    const crew = openCrew({
      ...world,
      lines: world.lines.engines,
      clockMs: () => performance.now() - from,
      frozenMs: () => LEASE_OVER_MS + luck.next() * 3_000,
    });
    const town = { world, crew, feeder };
    try {
      say(`${engines} engines on ${world.postgres.name}; a storm of ${Math.round(options.stormMs / 1_000)} s`);
      const probing = probe(world);
      const storm = await live(town, options);
      say("the storm is over; everything heals");
      if (options.jumps) await crew.renew(() => jump(world));
      await crew.accounted();
      await untilEnded(town, options);
      await untilRead(world);
      await crew.stop();
      const { figures, broken } = await judge(world, { crew, sent: feeder.sent, vendorSlowestMs: await probing.stop() });
      return {
        figures: {
          ...figures,
          stormMs: options.stormMs,
          seconds: Math.round((performance.now() - from) / 1_000),
          restarts: storm.restarts,
          postgresAwayMs: Math.round(storm.awayMs),
          lostCommits: lostCommits(world),
          stillborn: crew.stillborn,
        },
        counts: storm.counts,
        broken,
        log: world.log.entries(),
      };
    } finally {
      await crew.stop();
    }
  } finally {
    await world.close();
  }
}

interface Town {
  readonly world: World;
  readonly crew: Crew;
  readonly feeder: Awaited<ReturnType<typeof openFeeder>>;
}

/** Campaigns follow each other while the storm goes on; it breaks out when the first engine works. */
async function live(town: Town, options: ChaosOptions): Promise<Storm> {
  const { world, crew, feeder } = town;
  const { stormMs, isEnough = () => true, stormMaxMs = stormMs, weather, seed, signal, say = () => {} } = options;
  while (crew.ready === 0) await pause(50);
  const from = performance.now();
  const storm = breakOut(world, { crew, weather, seed });
  let toldAt = 0;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const elapsedMs = performance.now() - from;
      const seen = { kills: crew.hits.length, restarts: storm.restarts, lostCommits: lostCommits(world) };
      if (elapsedMs >= (isEnough(seen) ? stormMs : stormMaxMs)) break;
      const progress = await world.witness.progress();
      const leftMs = Math.max(0, stormMs - elapsedMs);
      feeder.feed(progress, { elapsedMs, leftMs });
      if (elapsedMs - toldAt >= TELL_MS) {
        toldAt = elapsedMs;
        say(`[${seconds(elapsedMs)} s] ${await soFar(town, progress)}; ${seconds(leftMs)} s left`);
      }
      await pause(TICK_MS);
    }
  } finally {
    await storm.end();
  }
  await feeder.fed();
  return storm;
}

const lostCommits = ({ lines }: World) => [...lines.engines, lines.server].reduce((sum, line) => sum + line.lost, 0);
const seconds = (ms: number) => String(Math.round(ms / 1_000)).padStart(4);

async function soFar({ world, crew, feeder }: Town, progress: readonly Progress[]): Promise<string> {
  const kills = crew.hits.filter(({ how }) => how !== "END");
  const marked = kills.filter(({ had }) => had.marked + had.handing > 0).length;
  const settled = progress.reduce((sum, one) => sum + one.settled, 0);
  const share = Math.round((100 * marked) / Math.max(1, kills.length));
  const doubts = await world.witness.doubtCount();
  return `${settled} of ${feeder.recipients} recipients, ${kills.length} kills (${share} % with marked positions), ${doubts} doubts, ${crew.ready} engines at work`;
}

/** Calls the vendor all the time, as an engine does, and tells how long it took at most: how busy this machine is. */
function probe({ vendor }: World): { stop(): Promise<number> } {
  let [slowestMs, isOver] = [0, false];
  const probing = (async () => {
    while (!isOver) {
      const from = performance.now();
      await vendor.control("GET", "/clock").catch(() => {});
      slowestMs = Math.max(slowestMs, performance.now() - from);
      await pause(PROBE_MS);
    }
  })();
  return {
    async stop() {
      isOver = true;
      await probing;
      return slowestMs;
    },
  };
}

/** Shifts the one clock of every statement past all leases of engines that are dead. */
async function jump({ witness: { sql } }: World): Promise<void> {
  await sql.unsafe(
    `create or replace function campanile.clock() returns timestamptz language sql volatile as $$ select clock_timestamp() + interval '${LEASE_OVER_MS} ms' $$`,
  );
}

/** Until every campaign has ended; those that wait for their sender's cap are stopped. */
async function untilEnded({ world, feeder }: Town, { signal, say = () => {} }: ChaosOptions): Promise<void> {
  let [toldAt, movedAt, before] = [0, performance.now(), ""];
  while (performance.now() - movedAt < STILL_MAX_MS) {
    signal?.throwIfAborted();
    const open = (await world.witness.progress()).filter(({ isStated }) => !isStated);
    if (open.length === 0) return;
    const now = JSON.stringify(open);
    if (now !== before) [movedAt, before] = [performance.now(), now];
    const kindOf = (id: string) => feeder.sent.find((one) => one.id === id)?.kind;
    const waiting = open.filter(({ state }) => state === "running" || state === "paused");
    if (waiting.length > 0 && open.every(({ campaignId }) => kindOf(campaignId) === "cap")) {
      // What the cap lets through is through when nothing more is held.
      const held = await world.witness.sql`select 1 from lot where holder is not null`;
      if (held.count === 0) for (const { campaignId } of waiting) await world.api.post(`/api/v1/campaigns/${campaignId}/stop`);
    }
    if (performance.now() - toldAt > TELL_MS) {
      toldAt = performance.now();
      say(`${open.length} campaigns go on, ${open.reduce((sum, one) => sum + one.recipients - one.settled, 0)} recipients are left`);
    }
    await pause(500);
  }
}

/** Until every webhook was told and read. */
async function untilRead({ vendor, witness }: World): Promise<void> {
  const giveUpAt = performance.now() + READ_MAX_MS;
  while (performance.now() < giveUpAt) {
    const { pending } = await vendor.control<{ pending: number }>("POST", "/webhook/drain");
    if (pending === 0 && (await witness.unread()) === 0) return;
    await pause(500);
  }
}
