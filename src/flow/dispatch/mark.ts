import { FIRST_FAILURES_MAX, HORIZON_MS, LEASE_MS, OPENING_MARGIN_MS, SLOT_LATE_MAX_MS } from "../../rules/limits.ts";
import { rateOf } from "../../rules/pace.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { Admitted, LockedLimits } from "./admission.ts";
import type { Marked, Slot } from "./flight.ts";
import type { HeldLot, Queued } from "./held-lot.ts";
import { type CapRow, moveDoors, nextFreeAt, openAddresses, pauseCampaign } from "./limits-store.ts";
import { closeLot, freeLot, markLot } from "./lot-store.ts";
import type { Written } from "./message-store.ts";
import { append, count, skipRow } from "./settle.ts";
import type { Turned, Work } from "./work.ts";

interface Granted {
  readonly settled: readonly Written[];
  readonly limits: LockedLimits;
  readonly admitted: Admitted<Queued>;
}

/** Makes durable what was admitted: skips, openings, slots, the mark, and the counters last. Leaves a lot that has nothing left to wait for. */
export async function mark(tx: Sql, work: Work, granted: Granted): Promise<Turned> {
  const { campaignId, facts, first } = work.lot;
  const { limits, admitted, settled } = granted;
  const lastAt = new Date(limits.now.getTime() + HORIZON_MS + OPENING_MARGIN_MS);
  const marked = admitted.granted.map(({ candidate, opens }) => markedOf(campaignId, candidate, opens ? lastAt : null));
  const handed = handedAfter(work, admitted);
  const skipped = await append(
    tx,
    campaignId,
    admitted.skipped.map(({ candidate, skip }) => skipRow(candidate, skip)),
  );
  if (marked.length > 0)
    await openAddresses(
      tx,
      facts.scopeId,
      marked.map(({ address }) => address),
      lastAt,
    );
  if (marked.length > 0)
    await moveDoors(
      tx,
      limits.doors.map(({ ownerId, nextAt }, i) => ({ ownerId, nextAt: admitted.slots.nextAt[i] ?? nextAt })),
    );
  const left = isDone(work, admitted);
  if (left) await leave(tx, work, { limits, admitted, handed });
  else await markLot(tx, { campaignId, first, handed }, LEASE_MS);
  await pauseWhenAllFail(tx, work, await count(tx, campaignId, [...settled, ...skipped]));
  if (left) return { kind: "left" };
  return {
    kind: "held",
    handed,
    covered: admitted.covered,
    marked,
    slots: slotsOf(admitted, limits),
    moreAt: moreAt(work.lot, granted),
    askedAt: limits.askedAt,
    paced: isPaced(limits),
  };
}

export function markedOf(campaignId: string, { stage, position, attempt, delays, address, message }: Queued, openedUntil: Date | null): Marked {
  if (address === null || message === null) throw new Error(`position ${position} of ${campaignId} was admitted without an address or a message`);
  return { campaignId, stage, position, attempt, delays, address, message, openedUntil };
}

/** The mark after this volley: its last position; the lot's last when nobody is left, for those behind have rows. */
function handedAfter({ lot }: Work, { covered }: Admitted<Queued>): number {
  if (covered === lot.queue.length && lot.readAll) return lot.last;
  return lot.queue[covered - 1]?.position ?? lot.handed;
}

/** Nothing was marked, nothing is on its way, and nothing more can be marked now. */
function isDone({ lot, ended }: Work, admitted: Admitted<Queued>): boolean {
  const { flight } = lot;
  const idle = admitted.granted.length === 0 && flight.inFlight === 0 && flight.waiting.length === 0 && flight.ended.length === ended.length;
  return idle && (admitted.limitedBy !== null || (lot.readAll && admitted.covered === lot.queue.length));
}

/** A lot whose messages all have rows is closed; another waits until the limit allows the next message, and no longer than it may be sent. */
async function leave(
  tx: Sql,
  { lot, deps }: Work,
  { limits, admitted, handed }: { limits: LockedLimits; admitted: Admitted<Queued>; handed: number },
): Promise<void> {
  const { campaignId, facts, first } = lot;
  if (admitted.limitedBy === null) {
    await closeLot(tx, { campaignId, first, last: lot.last });
    // Not closed: a position has no row. Whoever takes the lot next finds it in doubt.
    await freeLot(tx, { campaignId, first, handed }, limits.now);
    return;
  }
  let dueAt = new Date(Math.ceil(admitted.slots.waitUntil ?? limits.now.getTime()));
  if (admitted.limitedBy === "cap") {
    const [free] = await nextFreeAt(tx, facts.scopeId);
    if (limits.campaign.onDailyLimit === "wait") dueAt = free?.at ?? new Date(limits.now.getTime() + NEVER_FREE_REST_MS);
    else await pauseCampaign(tx, campaignId, dailyLimitReason(admitted.cap));
    deps.log.info({ campaignId, used: admitted.cap.used, cap: admitted.cap.cap, freeAt: free?.at }, "the sender's daily limit is reached");
  }
  await freeLot(tx, { campaignId, first, handed }, soonest(dueAt, limits.campaign.expiresAt));
}

/** Nobody waits for longer than the message may be sent. */
export const soonest = (dueAt: Date, expiresAt: Date | null): Date => (expiresAt !== null && expiresAt < dueAt ? expiresAt : dueAt);

/** A cap of 0 never frees; it is looked at again when so long has passed, or when the campaign is resumed. */
export const NEVER_FREE_REST_MS = 60_000;

/** A campaign whose very first messages all fail in a way that may be its own fault stops before it has burnt its audience. */
async function pauseWhenAllFail(tx: Sql, { lot, ended }: Work, counts: { accepted: number; failed: number } | null): Promise<void> {
  if (counts === null || counts.accepted > 0 || counts.failed < FIRST_FAILURES_MAX) return;
  const outcome = ended.map((one) => one.outcome).find((one) => one.kind === "rejected" && one.suspect === true);
  if (outcome?.kind === "rejected")
    await pauseCampaign(tx, lot.campaignId, `The first ${counts.failed} messages all failed, none was accepted. The last cause: ${outcome.cause}`);
}

const isPaced = ({ doors, now }: LockedLimits): boolean => doors.some((door) => rateOf(door, now.getTime()) !== null);

/**
 * Slots are Postgres time. A call begins not before its slot, counted from when the answer came, and not too late, counted from when
 * it was asked for; without a pace, within the horizon.
 */
export function slotsOf({ slots }: Admitted<Queued>, limits: LockedLimits): Slot[] {
  const { now, askedAt, answeredAt } = limits;
  const lateMaxMs = isPaced(limits) ? SLOT_LATE_MAX_MS : HORIZON_MS;
  return slots.at.map((at) => ({ from: answeredAt + at - now.getTime(), until: askedAt + at - now.getTime() + lateMaxMs }));
}

export const dailyLimitReason = ({ used, cap }: CapRow): string => `Daily limit reached: ${used}/${cap} conversations`;

function moreAt(lot: HeldLot, { limits, admitted }: Granted): number | null {
  switch (admitted.limitedBy) {
    case "cap":
    case "room":
      return null;
    case "pace":
    case "hold":
      return limits.answeredAt + (admitted.slots.waitUntil ?? 0) - limits.now.getTime() - HORIZON_MS;
    case null:
      return lot.readAll && admitted.covered === lot.queue.length ? null : limits.answeredAt;
  }
}
