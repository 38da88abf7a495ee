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

/** The rate after one more throttling: half of what held, and never less than a sixty-fourth of the whole. */
export const slowerRate = (door: Door, now: number): number =>
  Math.max((rateOf(door, now) ?? THROTTLED_UNLIMITED) / 2, (door.perSecond ?? THROTTLED_UNLIMITED) / SLOWEST_PART);

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

/**
 * Takes up to `count` slots that every door allows and that are due within the horizon (GCRA without burst: one theoretical
 * arrival time per door). `leadMs`: a call can begin only so long after `now`, when the mark is committed. All callers hold the doors' rows locked, so slots never exceed the pace, however many engines there are.
 */
export function takeSlots(doors: readonly Door[], count: number, now: number, leadMs = 0): Slots {
  const spacing = doors.map((door) => spacingMs(door, now));
  const next = doors.map((door) => Math.max(door.nextAt, door.holdUntil ?? 0, now));
  const at: number[] = [];
  let slot = Math.max(now + (spacing.every((ms) => ms === 0) ? 0 : leadMs), ...next);
  while (at.length < count && slot <= now + HORIZON_MS) {
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

function spacingMs(door: Door, now: number): number {
  if (door.probing) return PROBE_SPACING_MS;
  const rate = rateOf(door, now);
  return rate === null ? 0 : 1_000 / rate;
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
