import { type Admission, admit } from "../../rules/admission.ts";
import { WINDOW_MAX } from "../../rules/limits.ts";
import { type Door, slowerRate, windowOf } from "../../rules/pace.ts";
import { isKnownNotSent } from "../../rules/settlement.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { CampaignFacts } from "./campaign-facts.ts";
import type { Ended, Marked } from "./flight.ts";
import * as store from "./limits-store.ts";
import type { Asking } from "./settle.ts";

/** All that limits a volley, read under lock. */
export interface LockedLimits {
  readonly campaign: store.CampaignRow;
  readonly suppressed: ReadonlySet<string>;
  readonly cap: store.CapRow;
  readonly open: ReadonlySet<string>;
  readonly doors: readonly Door[];
  /** Postgres time after the locks, and the monotonic milliseconds of this process before it was asked for and after it came. */
  readonly now: Date;
  readonly askedAt: number;
  readonly answeredAt: number;
}

export interface Asked {
  readonly facts: CampaignFacts;
  readonly asking: readonly Asking[];
  readonly ended: readonly Ended[];
  /** Marked and never begun. */
  readonly missed: readonly Marked[];
  readonly clock: Clock;
}

/**
 * Locks campaign, cap scope and doors, in this order everywhere, and reads what limits the messages that ask, in one round trip.
 * Openings of calls that are known not to have been made are taken back first; a sender that was told to slow down is slowed.
 */
export async function lockLimits(tx: Sql, { facts, asking, ended, missed, clock }: Asked): Promise<LockedLimits> {
  const { campaignId, senderId, scopeId } = facts;
  await suppressOptedOut(tx, facts, ended);
  const addresses = asking.flatMap(({ address }) => (address === null ? [] : [address]));
  const unsent = [...missed, ...ended.filter(({ outcome }) => isKnownNotSent(outcome)).map(({ marked }) => marked)];
  const made = unsent.flatMap(({ address, openedUntil }) => (openedUntil === null ? [] : [{ address, lastAt: openedUntil }]));
  const [[campaign], suppressed, [found], released, open, doors] = await Promise.all([
    store.lockCampaign(tx, campaignId),
    addresses.length > 0 ? store.suppressedAmong(tx, facts, addresses) : [],
    store.lockCap(tx, scopeId),
    made.length > 0 ? store.releaseOpenings(tx, scopeId, made) : [],
    addresses.length > 0 ? store.openAmong(tx, scopeId, addresses) : [],
    store.lockDoors(tx, [senderId, campaignId]),
  ]);
  // After the locks, and by itself: how long they were waited for must not blur what time it is.
  const askedAt = clock.monotonicMs();
  const now = await store.readClock(tx);
  const cap = released[0] ?? found;
  if (campaign === undefined || cap === undefined) throw new Error(`campaign ${campaignId} or its cap scope has vanished`);
  const limits = { campaign, cap, doors, now, askedAt, answeredAt: clock.monotonicMs() };
  const sets = { suppressed: new Set(suppressed.map((row) => row.address)), open: new Set(open.map((row) => row.address)) };
  return { ...limits, ...sets, doors: await adjusted(tx, { facts, ended, doors, now }) };
}

/** Whoever the vendor says has opted out is not written to again. */
async function suppressOptedOut(tx: Sql, facts: CampaignFacts, ended: readonly Ended[]): Promise<void> {
  const optedOut = ended.filter(({ outcome }) => outcome.kind === "rejected" && outcome.remedy === "suppress");
  const addresses = optedOut.map(({ marked }) => marked.address);
  if (addresses.length > 0) await store.suppressAddresses(tx, facts, "opt_out", addresses);
}

/** The doors after the latest outcomes: at half the rate after a rest when the vendor said so; open again when a probe was accepted. */
async function adjusted(
  tx: Sql,
  { facts, ended, doors, now }: Pick<Asked, "facts" | "ended"> & { doors: readonly Door[]; now: Date },
): Promise<readonly Door[]> {
  const sender = doors.find((door) => door.ownerId === facts.senderId);
  const outcomes = ended.map(({ outcome }) => outcome);
  const throttled = outcomes.find((one) => one.kind === "throttled" && one.scope === "sender");
  if (sender === undefined) return doors;
  const held = (sender.holdUntil ?? 0) > now.getTime();
  if (throttled?.kind === "throttled") {
    // Calls that were on their way when the vendor first said so say it again: they prolong the rest, and halve nothing once more.
    await store.slowDown(tx, facts.senderId, {
      perSecond: held ? sender.loweredTo : slowerRate(sender, now.getTime()),
      restMs: throttled.retryAfterMs,
      reason: throttled.cause,
    });
  } else if (sender.probing && !held && outcomes.some(({ kind }) => kind === "accepted")) await store.endProbing(tx, facts.senderId);
  else return doors;
  return store.lockDoors(
    tx,
    doors.map((door) => door.ownerId),
  );
}

export interface Admitted<A> extends Admission<A> {
  /** The cap as it was found at last. */
  readonly cap: store.CapRow;
}

export interface Room {
  /** Marked and not settled. */
  readonly unsettled: number;
  readonly latencyMs: number;
  /** From the question what time it is until the mark is committed, on average. */
  readonly leadMs: number;
}

/** Admits the next messages. A full cap is asked once more after the openings whose time is over were forgotten. */
export async function admitNext<A extends Asking>(
  tx: Sql,
  { facts, asking }: { facts: CampaignFacts; asking: readonly A[] },
  limits: LockedLimits,
  room: Room,
): Promise<Admitted<A>> {
  const now = limits.now.getTime();
  const window = windowOf(limits.doors, now, { latencyMs: room.latencyMs, max: WINDOW_MAX });
  const admitWith = (cap: store.CapRow, open: ReadonlySet<string>) => ({
    ...admit(asking, {
      now,
      doors: limits.doors,
      suppressed: limits.suppressed,
      expiresAt: limits.campaign.expiresAt?.getTime() ?? null,
      cap: { used: cap.used, max: cap.cap ?? Number.POSITIVE_INFINITY, open },
      room: Math.max(0, window - room.unsettled),
      leadMs: room.leadMs,
    }),
    cap,
  });
  const admitted = admitWith(limits.cap, limits.open);
  if (admitted.limitedBy !== "cap") return admitted;
  const [cap] = await store.expireOpenings(tx, facts.scopeId);
  const open = await store.openAmong(
    tx,
    facts.scopeId,
    asking.flatMap(({ address }) => (address === null ? [] : [address])),
  );
  return admitWith(cap ?? limits.cap, new Set(open.map((row) => row.address)));
}
