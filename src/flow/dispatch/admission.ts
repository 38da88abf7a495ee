import { type Admission, admit } from "../../rules/admission.ts";
import { HORIZON_MS, SLOT_LATE_MAX_MS, WINDOW_MAX } from "../../rules/limits.ts";
import { type Door, isPaced, isRecovered, NO_RIVALS, type Rivals, slowerRate, windowOf } from "../../rules/pace.ts";
import { isKnownNotSent } from "../../rules/settlement.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { CampaignFacts } from "./campaign-facts.ts";
import type { DispatchDeps } from "./deps.ts";
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
  readonly rivals: Rivals;
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
  /** Whether those who ask are a lot's, and not due messages. */
  readonly isLot: boolean;
  /** What is known of the limits before they are read; true when in doubt. */
  readonly expect: Expected;
}

export interface Expected {
  /** A cap: then the openings are read with the rest, and not after it. */
  readonly capped: boolean;
  /** A pace: then the time is asked for after the locks, and by itself: how long they were waited for must not blur what time it is. */
  readonly paced: boolean;
  /** Nothing at all: neither cap nor pace nor what is left of a throttling. */
  readonly unlimited: boolean;
}

/**
 * Locks campaign, cap scope and doors, in this order everywhere, and reads what limits the messages that ask, in one round trip.
 * Openings of calls that are known not to have been made are taken back first; a sender that was told to slow down is slowed.
 */
export async function lockLimits(tx: Sql, { facts, asking, ended, missed, clock, isLot, expect }: Asked): Promise<LockedLimits> {
  const { campaignId, senderId, scopeId } = facts;
  const optedOut = ended.filter(({ outcome }) => outcome.kind === "rejected" && outcome.remedy === "suppress");
  if (optedOut.length > 0) await suppressOptedOut(tx, facts, optedOut);
  const addresses = asking.flatMap(({ address }) => (address === null ? [] : [address]));
  const unsent = [...missed, ...ended.filter(({ outcome }) => isKnownNotSent(outcome)).map(({ marked }) => marked)];
  const made = unsent.flatMap(({ address, openedUntil }) => (openedUntil === null ? [] : [{ address, lastAt: openedUntil }]));
  const openAmong = () => (addresses.length > 0 ? store.openAmong(tx, scopeId, addresses) : []);
  const [[campaign], suppressed, [found], released, open, doors, [rivals = NO_RIVALS], at] = await Promise.all([
    store.lockCampaign(tx, campaignId),
    suppressedOf(tx, facts, asking),
    store.lockCap(tx, scopeId),
    made.length > 0 ? store.releaseOpenings(tx, scopeId, made) : [],
    expect.capped ? openAmong() : null,
    store.lockDoors(tx, [senderId, campaignId]),
    expect.paced ? store.rivalsOf(tx, { ...facts, isLot }) : [],
    expect.paced ? null : store.readClock(tx),
  ]);
  const askedAt = clock.monotonicMs();
  const now = at === null || isPaced(doors, at.getTime()) ? await store.readClock(tx) : at;
  const answeredAt = clock.monotonicMs();
  const cap = released[0] ?? found;
  if (campaign === undefined || cap === undefined) throw new Error(`campaign ${campaignId} or its cap scope has vanished`);
  const opened = open ?? (cap.cap === null ? [] : await openAmong());
  const sets = { suppressed: new Set(suppressed.map((row) => row.address)), open: new Set(opened.map((row) => row.address)) };
  return { campaign, cap, rivals, now, askedAt, answeredAt, ...sets, doors: await adjusted(tx, { facts, ended, doors, now }) };
}

/** Positions that ask lie next to each other in a lot, and anywhere among due messages. */
const SPARSE = 4;

function suppressedOf(tx: Sql, facts: CampaignFacts, asking: readonly Asking[]) {
  const [first, last] = [asking[0], asking.at(-1)];
  if (first === undefined || last === undefined) return [];
  if (last.position - first.position < SPARSE * asking.length) return store.suppressedBetween(tx, facts, first.position, last.position);
  return store.suppressedAmong(
    tx,
    facts,
    asking.flatMap(({ address }) => address ?? []),
  );
}

/** Whoever the vendor says has opted out is not written to again. */
async function suppressOptedOut(tx: Sql, facts: CampaignFacts, optedOut: readonly Ended[]): Promise<void> {
  await store.suppressAddresses(
    tx,
    facts,
    "opt_out",
    optedOut.map(({ marked }) => marked.address),
  );
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
  else if (isRecovered(sender, now.getTime())) await store.endSlowing(tx, facts.senderId);
  else return doors;
  return store.lockDoors(
    tx,
    doors.map((door) => door.ownerId),
  );
}

const LEAD_TURNS = 8;
const LEAD_MAX_MS = HORIZON_MS - SLOT_LATE_MAX_MS;

/** Learns, when a mark is committed, how long that took since it was asked what time it is. */
export function noteLead({ lead, clock }: Pick<DispatchDeps, "lead" | "clock">, askedAt: number): void {
  lead.ms = Math.min(LEAD_MAX_MS, lead.ms + (clock.monotonicMs() - askedAt - lead.ms) / LEAD_TURNS);
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
      cap: cap.cap === null ? null : { used: cap.used, max: cap.cap, open },
      room: Math.max(0, window - room.unsettled),
      leadMs: room.leadMs,
      rivals: limits.rivals,
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
