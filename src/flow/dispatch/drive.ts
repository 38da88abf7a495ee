import { FLUSH_MS, FLUSH_PACED_MS, LEASE_MS, OPENING_MARGIN_MS, RECOVERY_MARGIN_MS, RENEW_MS } from "../../rules/limits.ts";
import type { Outcome } from "../../rules/outcome.ts";
import { Refusal } from "../../rules/refusal.ts";
import { isPassing, type Sql, transaction } from "../../runtime/postgres.ts";
import type { DispatchDeps } from "./deps.ts";
import { type HeldLot, holdLot, moveOn, takeBack } from "./held-lot.ts";
import { lockCap, pauseCampaign, prolongOpenings, readFacts } from "./limits-store.ts";
import { freeLot, type TakenLot, takeLot } from "./lot-store.ts";
import { insertInDoubt } from "./message-store.ts";
import { count, mergeLate, withReceipts } from "./settle.ts";
import { turn } from "./turn.ts";

export interface Wanted {
  /** Campaigns of which this engine holds enough. */
  readonly except: readonly string[];
  /** Only these campaigns; null: any. */
  readonly among: readonly string[] | null;
  /** Also campaigns that no engine drives, only `execute-batch`. */
  readonly anyDriver: boolean;
  /** Holders of one campaign, over all engines; null: as many as ask. */
  readonly holdersMax: number | null;
  readonly inFlightMax?: number;
}

const leasing = { leaseMs: LEASE_MS, marginMs: RECOVERY_MARGIN_MS, aliveMs: 2 * RENEW_MS };

/**
 * Takes one free or forsaken lot; null when there is none. What its former holder may have begun and did not account for becomes
 * uncertain first; what is beyond the mark was certainly never sent.
 */
export async function take(deps: DispatchDeps, wanted: Wanted): Promise<HeldLot | null> {
  const leasedAt = deps.clock.monotonicMs();
  const taken = await transaction(
    deps.sql,
    async (tx) => {
      const [lot] = await takeLot(tx, { holder: deps.engineId, ...leasing, ...wanted });
      if (lot === undefined) return null;
      const doubts = await insertInDoubt(tx, lot.campaignId, lot.first, lot.handed);
      if (doubts.length > 0) await putInDoubt(tx, lot, doubts);
      // Forsaken, and of a campaign that rests, or that only `execute-batch` drives: it is recovered, and not sent.
      if (!lot.drivable) await freeLot(tx, lot, lot.dueAt);
      return { lot, doubts: doubts.length };
    },
    deps,
  );
  if (taken === null) return null;
  const { lot, doubts } = taken;
  if (doubts > 0)
    deps.log.warn({ campaignId: lot.campaignId, first: lot.first, doubts }, "an engine stopped in the middle of a lot; these messages are uncertain");
  const held = lot.drivable ? await holdLot(lot, leasedAt, deps, wanted.inFlightMax).catch((error) => pauseUnreadable(lot, error, deps)) : null;
  return held ?? take(deps, wanted);
}

/** A campaign whose message is understood no longer (an older row, a changed rule) pauses and says why, and keeps no engine busy. */
async function pauseUnreadable(lot: TakenLot, error: unknown, deps: DispatchDeps): Promise<null> {
  if (!(error instanceof Refusal)) throw error;
  await transaction(
    deps.sql,
    async (tx) => {
      await freeLot(tx, lot, lot.dueAt);
      await pauseCampaign(tx, lot.campaignId, error.message);
    },
    deps,
  );
  return null;
}

async function putInDoubt(tx: Sql, lot: TakenLot, doubts: readonly { position: number; address: string | null }[]): Promise<void> {
  const [facts] = await readFacts(tx, lot.campaignId);
  const written = await withReceipts(
    tx,
    lot.campaignId,
    doubts.map(({ position }) => ({ stage: 1, position, state: "uncertain" as const })),
  );
  const addresses = doubts.flatMap(({ address }) => (address === null ? [] : [address]));
  if (facts !== undefined) {
    const [scope] = await lockCap(tx, facts.scopeId);
    if (scope?.cap != null) await prolongOpenings(tx, facts.scopeId, addresses, OPENING_MARGIN_MS);
  }
  await count(tx, lot.campaignId, written);
}

export interface Driving {
  /** Aborted: nothing more is marked, and the lot is given back. */
  readonly stop: AbortSignal;
  /** After this lot comes the campaign's next, in the same hands. */
  readonly onward?: boolean;
  /** Called when the lot turns out to be bound by a pace, or not. */
  readonly onPaceKnown?: () => void;
}

/**
 * Turns while the lot has work, and rests between two turns while calls are on their way. Ends when the lot is left; after a stop,
 * when what was begun is settled.
 */
export async function drive(lot: HeldLot, deps: DispatchDeps, { stop, onward = false, onPaceKnown }: Driving): Promise<void> {
  for (;;) {
    const askedAt = deps.clock.monotonicMs();
    const turned = await persist(() => turn(lot, deps, { stopping: stop.aborted, onward }), deps).catch(async (error) => {
      await giveUp(lot, deps);
      throw error;
    });
    if (turned.kind === "left") {
      if (turned.next == null) return;
      await moveOn(lot, turned.next, askedAt, deps);
      continue;
    }
    if (turned.kind === "lost") return abandon(lot, deps);
    if (lot.paced !== turned.found.paced) {
      lot.paced = turned.found.paced;
      onPaceKnown?.();
    }
    await lot.flight.rest({ moreAt: turned.moreAt, flushMs: turned.found.paced ? FLUSH_PACED_MS : FLUSH_MS });
  }
}

/** A turn failed in a way that would come again. What is known is stored and the lot given back, as far as that works. */
async function giveUp(lot: HeldLot, deps: DispatchDeps): Promise<void> {
  const dropped = lot.flight.drop();
  takeBack(lot, dropped);
  lot.dropped = [...lot.dropped, ...dropped];
  try {
    for (;;) {
      const turned = await turn(lot, deps, { stopping: true, onward: false });
      if (turned.kind === "left") return;
      if (turned.kind === "lost") break;
      await lot.flight.rest({ moreAt: null, flushMs: FLUSH_MS });
    }
  } catch (error) {
    deps.log.warn({ err: error, campaignId: lot.campaignId, first: lot.first }, "the lot could not be given back");
  }
  await abandon(lot, deps);
}

/** The lot is ours no longer, or not to be turned. Nothing more is begun; each answer that still comes is merged by its reference. */
async function abandon(lot: HeldLot, deps: DispatchDeps): Promise<void> {
  const { flight } = lot;
  const neverBegun = [...lot.missed, ...lot.dropped, ...flight.drop()].map((marked) => ({ marked, outcome: NOT_BEGUN }));
  deps.log.warn(
    { campaignId: lot.campaignId, first: lot.first },
    "this engine holds the lot no longer; answers that still come are merged one by one",
  );
  while (flight.inFlight > 0 || flight.ended.length > 0) {
    for (const ended of [...flight.ended]) {
      await persist(() => transaction(deps.sql, (tx) => mergeLate(tx, ended, deps.luck.next()), deps), deps);
      flight.forget(1);
    }
    await flight.rest({ moreAt: null, flushMs: 0 });
  }
  for (const ended of neverBegun) await persist(() => transaction(deps.sql, (tx) => mergeLate(tx, ended, deps.luck.next()), deps), deps);
}

/** Nobody else can know it: what was marked here and never begun was certainly not sent, whatever recovery has written meanwhile. */
const NOT_BEGUN: Outcome = { kind: "throttled", code: "aborted", cause: "This message was not begun.", scope: "recipient", retryAfterMs: 0 };

/** While the database is away outcomes stay in memory; the step is repeated until it answers, or until the process must end. */
export async function persist<T>(step: () => Promise<T>, { clock, luck, log, signal }: DispatchDeps): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await step();
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
      if (tries === 0) log.warn({ err: error }, "the database does not answer as it should; trying again");
      await clock.sleep(Math.min(5_000, 50 * 2 ** tries) * (0.5 + luck.next()), signal);
    }
  }
}
