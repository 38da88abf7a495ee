import { HORIZON_MS } from "./limits.ts";

/**
 * The door through which calls go one by one: a sender's or a campaign's. Instants are milliseconds of the database's clock.
 * `perSecond` null means unlimited. `loweredTo` is the rate to which throttling brought it when the hold ended at `holdUntil`.
 */
export interface Door {
  readonly ownerId: string;
  readonly perSecond: number | null;
  readonly loweredTo: number | null;
  readonly nextAt: number;
  readonly holdUntil: number | null;
  readonly holdReason: string | null;
  readonly probing: boolean;
}

/** A lowered rate climbs back to the whole in so long. */
const RECOVERY_MS = 60_000;
/** What an unlimited sender is slowed to when it is throttled for the first time, per second: a WhatsApp number's default. */
const THROTTLED_UNLIMITED = 80;
/** A throttled sender never gets slower than this part of its pace. */
const SLOWEST_PART = 64;
/** While a sender is probed after a hold, one message goes at a time, so far apart. */
const PROBE_SPACING_MS = 1_000;

/** The rate that holds at `now`, per second; null: unlimited. */
export function rateOf(door: Door, now: number): number | null {
  if (door.loweredTo === null) return door.perSecond;
  const whole = door.perSecond ?? THROTTLED_UNLIMITED;
  const climbed = door.loweredTo + (Math.max(0, now - (door.holdUntil ?? now)) / RECOVERY_MS) * whole;
  return climbed < whole ? climbed : door.perSecond;
}

/** A throttling is over and the whole rate holds again: nothing of it needs to be kept. */
export const isRecovered = (door: Door, now: number): boolean =>
  door.loweredTo !== null && !door.probing && (door.holdUntil ?? 0) <= now && rateOf(door, now) === door.perSecond;

/** The rate after one more throttling: half of what held, and never less than a sixty-fourth of the whole. */
export const slowerRate = (door: Door, now: number): number =>
  Math.max((rateOf(door, now) ?? THROTTLED_UNLIMITED) / 2, (door.perSecond ?? THROTTLED_UNLIMITED) / SLOWEST_PART);

/** One call after the other, or as many as come: whether any of the doors spaces its calls. */
export const isPaced = (doors: readonly Door[], now: number): boolean => doors.some((door) => spacingMs(door, now) > 0);

/** Nothing is set at any of the doors, and nothing is left of a throttling or a hold. */
export const isOpen = (doors: readonly Door[], now: number): boolean =>
  doors.every(({ perSecond, loweredTo, probing, holdUntil }) => perSecond === null && loweredTo === null && !probing && (holdUntil ?? 0) <= now);

export interface Slots {
  /** Instants at which one call each may begin, ascending. */
  readonly at: readonly number[];
  /** Each door's new `nextAt`, in the order of the doors. */
  readonly nextAt: readonly number[];
  /** When fewer than asked: the instant of the next slot. */
  readonly waitUntil: number | null;
  /** Why one must wait until then. */
  readonly waitFor: "pace" | "hold" | null;
}

/** Other campaigns of a sender that want its slots. */
export interface Rivals {
  readonly all: number;
  /** Those of them that had their last slot longer ago. */
  readonly before: number;
}

export const NO_RIVALS: Rivals = { all: 0, before: 0 };

/**
 * How far ahead a campaign may take its sender's slots. Whoever waited longest sees the furthest, and so comes first; a slot that it
 * leaves is the next one's a moment later.
 */
export const horizonOf = ({ all, before }: Rivals): number => HORIZON_MS * (1 - before / (2 * (all + 1)));

interface Wanting {
  /** A call can begin only so long after `now`, when the mark is committed. */
  readonly leadMs?: number | undefined;
  readonly rivals?: Rivals | undefined;
}

/**
 * Takes up to `count` slots that every door allows and that are due within the horizon (GCRA without burst: one theoretical
 * arrival time per door). `leadMs`: a call can begin only so long after `now`, when the mark is committed. All callers hold the doors' rows locked, so slots never exceed the pace, however many engines there are.
 */
export function takeSlots(doors: readonly Door[], count: number, now: number, { leadMs = 0, rivals = NO_RIVALS }: Wanting = {}): Slots {
  const spacing = doors.map((door) => spacingMs(door, now));
  const next = doors.map((door, i) => Math.max(nextOf(door, spacing[i] ?? 0, now), door.holdUntil ?? 0, now));
  const at: number[] = [];
  let slot = Math.max(now + (spacing.every((ms) => ms === 0) ? 0 : leadMs), ...next);
  // With rivals it takes its share of the horizon and no more: whoever came first with all of it would keep twice the share for good.
  const share = rivals.all === 0 ? HORIZON_MS : Math.max(0, HORIZON_MS / (rivals.all + 1) - Math.max(0, ...spacing));
  const until = Math.min(now + horizonOf(rivals), slot + share);
  while (at.length < count && slot <= until) {
    at.push(slot);
    for (let i = 0; i < next.length; i++) next[i] = slot + (spacing[i] ?? 0);
    slot = Math.max(slot, ...next);
  }
  const taken = at.length > 0;
  const held = doors.some((door) => (door.holdUntil ?? 0) > now + HORIZON_MS);
  return {
    at,
    nextAt: taken ? next : doors.map((door) => door.nextAt),
    waitUntil: at.length < count ? slot : null,
    waitFor: at.length < count ? (held ? "hold" : "pace") : null,
  };
}

/**
 * The door's next slot. Slots are taken within the horizon, so even at its slowest it is never farther away than this: then the database's
 * clock was set back, or the pace was raised, and nobody shall wait for an hour that will pass twice.
 */
function nextOf(door: Door, spacing: number, now: number): number {
  const farthest = HORIZON_MS + Math.max(PROBE_SPACING_MS, (SLOWEST_PART * 1_000) / (door.perSecond ?? THROTTLED_UNLIMITED));
  return door.nextAt > now + farthest ? now + Math.min(spacing, HORIZON_MS) : door.nextAt;
}

function spacingMs(door: Door, now: number): number {
  const rate = rateOf(door, now);
  return Math.max(door.probing ? PROBE_SPACING_MS : 0, rate === null ? 0 : 1_000 / rate);
}

/**
 * Messages that may be marked and unsettled at this pace: a quarter of a second's worth, or as many as are on their way at once when
 * the vendor takes longer; at least one. It bounds what a crash leaves in doubt.
 */
export function windowOf(doors: readonly Door[], now: number, by: { latencyMs: number; max: number }): number {
  const rates = doors.map((door) => (door.probing ? 0 : (rateOf(door, now) ?? Number.POSITIVE_INFINITY)));
  const worth = Math.min(Number.POSITIVE_INFINITY, ...rates) * (Math.max(HORIZON_MS, by.latencyMs) / 1_000);
  return Math.max(1, Math.min(by.max, Math.floor(worth)));
}
