import type { Admission } from "../../rules/admission.ts";
import { FIRST_FAILURES_MAX, HORIZON_MS, LEASE_MS, OPENING_MARGIN_MS, SLOT_LATE_MAX_MS } from "../../rules/limits.ts";
import { horizonOf, isOpen, isPaced } from "../../rules/pace.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { Admitted, Expected, LockedLimits } from "./admission.ts";
import type { CampaignFacts } from "./campaign-facts.ts";
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
  const handed = handedAfter(work.lot, admitted);
  const skipped = await append(
    tx,
    campaignId,
    admitted.skipped.map(({ candidate, skip }) => skipRow(candidate, skip)),
  );
  const marked = await reserve(tx, facts, { admitted, limits });
  const left = isDone(work, admitted);
  if (left) await leave(tx, work, { limits, admitted, handed });
  const [counts] = await Promise.all([
    count(tx, campaignId, [...settled, ...skipped]),
    left ? null : markLot(tx, { campaignId, first, handed }, LEASE_MS),
  ]);
  await pauseWhenAllFail(tx, work, counts);
  if (left) return { kind: "left" };
  return {
    kind: "held",
    handed,
    covered: admitted.covered,
    marked,
    slots: slotsOf(admitted, limits),
    moreAt: moreAt(work.lot, granted),
    askedAt: limits.askedAt,
    found: expectedOf(limits),
  };
}

function expectedOf({ cap, doors, now }: LockedLimits): Expected {
  const nowMs = now.getTime();
  return { capped: cap.cap !== null, paced: isPaced(doors, nowMs), unlimited: cap.cap === null && isOpen(doors, nowMs) };
}

/** Takes what those who go will use, under the locks that are held: openings if there is a cap, slots if there is a pace. */
export async function reserve(
  tx: Sql,
  facts: CampaignFacts,
  { admitted, limits }: { admitted: Admitted<Queued>; limits: LockedLimits },
): Promise<Marked[]> {
  const lastAt = new Date(limits.now.getTime() + HORIZON_MS + OPENING_MARGIN_MS);
  const marked = admitted.granted.map(({ candidate, opens }) => markedOf(facts.campaignId, candidate, opens ? lastAt : null));
  const addresses = marked.map(({ address }) => address);
  const doors = limits.doors.map(({ ownerId, nextAt }, i) => ({ ownerId, nextAt: admitted.slots.nextAt[i] ?? nextAt }));
  if (marked.length > 0 && limits.cap.cap !== null) await openAddresses(tx, facts.scopeId, addresses, lastAt);
  if (marked.length > 0 && isPaced(limits.doors, limits.now.getTime())) await moveDoors(tx, doors);
  return marked;
}

export function markedOf(campaignId: string, { stage, position, attempt, delays, address, message }: Queued, openedUntil: Date | null): Marked {
  if (address === null || message === null) throw new Error(`position ${position} of ${campaignId} was admitted without an address or a message`);
  return { campaignId, stage, position, attempt, delays, address, message, openedUntil };
}

/** The mark after this volley: its last position; the lot's last when nobody is left, for those behind have rows. */
export function handedAfter(lot: HeldLot, { covered }: Admission<Queued>): number {
  if (covered === lot.queue.length && lot.readAll) return lot.last;
  return lot.queue[covered - 1]?.position ?? lot.handed;
}

/** Nothing was marked, nothing is on its way, and nothing more can be marked now. */
export function isDone({ lot, ended }: Work, admitted: Admission<Queued>): boolean {
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
    const [closed] = await closeLot(tx, { campaignId, first, last: lot.last });
    // Not closed: a position has no row. Whoever takes the lot next finds it in doubt.
    if (closed === undefined) await freeLot(tx, { campaignId, first, handed }, limits.now);
    return;
  }
  let dueAt = askAt(admitted, limits);
  if (admitted.limitedBy === "cap") {
    const [free] = await nextFreeAt(tx, facts.scopeId);
    if (limits.campaign.onDailyLimit === "wait") dueAt = free?.at ?? new Date(limits.now.getTime() + NEVER_FREE_REST_MS);
    else await pauseCampaign(tx, campaignId, dailyLimitReason(admitted.cap));
    deps.log.info({ campaignId, used: admitted.cap.used, cap: admitted.cap.cap, freeAt: free?.at }, "the sender's daily limit is reached");
  }
  await freeLot(tx, { campaignId, first, handed }, soonest(dueAt, limits.campaign.expiresAt));
}

/** Whoever waits asks as early before the next slot as those do who hold a lot: asking when it is due, it would find it taken each time. */
export const askAt = ({ slots }: Admitted<Queued>, { now, rivals }: LockedLimits): Date =>
  new Date(Math.ceil(slots.waitUntil === null ? now.getTime() : slots.waitUntil - horizonOf(rivals)));

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

/**
 * Slots are Postgres time. A call begins not before its slot, counted from when the answer came, and not too late, counted from when
 * it was asked for. Without a pace it begins within the horizon: who pauses the campaign is answered later than this mark's commit.
 */
export function slotsOf({ slots }: Admitted<Queued>, { doors, now, askedAt, answeredAt }: LockedLimits): Slot[] {
  const nowMs = now.getTime();
  const untilMs = isPaced(doors, nowMs) ? askedAt + SLOT_LATE_MAX_MS : answeredAt + HORIZON_MS;
  return slots.at.map((at) => ({ from: answeredAt + at - nowMs, until: untilMs + at - nowMs }));
}

export const dailyLimitReason = ({ used, cap }: CapRow): string => `Daily limit reached: ${used}/${cap} conversations`;

function moreAt(lot: HeldLot, { limits, admitted }: Granted): number | null {
  switch (admitted.limitedBy) {
    case "cap":
    case "room":
      return null;
    case "pace":
    case "hold":
      return limits.answeredAt + (admitted.slots.waitUntil ?? 0) - limits.now.getTime() - horizonOf(limits.rivals);
    case null:
      return lot.readAll && admitted.covered === lot.queue.length ? null : limits.answeredAt;
  }
}
