import { type Door, type Rivals, type Slots, takeSlots } from "./pace.ts";

/** A message that asks to be sent next; `skip` when it is known already that it cannot be. */
export interface Candidate {
  readonly address: string | null;
  readonly skip: Skip | null;
}

export interface Skip {
  readonly reason: "missing_variable" | "invalid" | "suppressed" | "expired" | "stopped" | "campaign_failed";
  readonly detail: string;
}

/** What limits a volley, all of it read under lock. Instants are milliseconds of the database's clock. */
export interface Limits {
  readonly now: number;
  readonly doors: readonly Door[];
  readonly suppressed: ReadonlySet<string>;
  readonly expiresAt: number | null;
  /** Null: the sender has no cap. `open`: candidates' addresses that are open already and cost nothing. */
  readonly cap: { readonly used: number; readonly max: number; readonly open: ReadonlySet<string> } | null;
  /** Messages to mark at most. */
  readonly room: number;
  /** How long it takes from `now` until a mark is committed. */
  readonly leadMs?: number | undefined;
  readonly rivals?: Rivals | undefined;
}

interface Grant<C> {
  readonly candidate: C;
  readonly slotAt: number;
  /** This message opens its address under the cap. */
  readonly opens: boolean;
}

export interface Admission<C> {
  readonly skipped: readonly { readonly candidate: C; readonly skip: Skip }[];
  readonly granted: readonly Grant<C>[];
  /** Candidates that were dealt with, counted from the first: the mark moves by so many. */
  readonly covered: number;
  readonly slots: Slots;
  /** What stopped it before the last candidate. */
  readonly limitedBy: "cap" | "pace" | "hold" | "room" | null;
}

/**
 * Which of the next messages may go, in order, and when. Nobody overtakes: the first that must wait makes all after it wait, so what
 * was dealt with is always a prefix. Nothing is reserved for those who fall out.
 */
export function admit<C extends Candidate>(candidates: readonly C[], limits: Limits): Admission<C> {
  const skipped: { candidate: C; skip: Skip; index: number }[] = [];
  const asking: { candidate: C; opens: boolean; index: number }[] = [];
  const opening = new Set<string>();
  let covered = 0;
  let limitedBy: Admission<C>["limitedBy"] = null;
  for (const candidate of candidates) {
    const skip = skipOf(candidate, limits);
    if (skip === null) {
      const { address } = candidate;
      const opens = limits.cap !== null && address !== null && !limits.cap.open.has(address) && !opening.has(address);
      if (opens && limits.cap !== null && limits.cap.used + opening.size >= limits.cap.max) limitedBy = "cap";
      else if (asking.length >= limits.room) limitedBy = "room";
      if (limitedBy !== null) break;
      if (opens && address !== null) opening.add(address);
      asking.push({ candidate, opens, index: covered });
    } else skipped.push({ candidate, skip, index: covered });
    covered++;
  }
  const slots = takeSlots(limits.doors, asking.length, limits.now, limits);
  const granted = asking.slice(0, slots.at.length).map(({ candidate, opens }, i) => ({ candidate, opens, slotAt: slots.at[i] ?? limits.now }));
  const refused = asking[slots.at.length];
  if (refused === undefined) return { skipped, granted, covered, slots, limitedBy };
  return { skipped: skipped.filter(({ index }) => index < refused.index), granted, covered: refused.index, slots, limitedBy: slots.waitFor };
}

function skipOf(candidate: Candidate, limits: Limits): Skip | null {
  if (candidate.skip !== null) return candidate.skip;
  if (candidate.address === null) return { reason: "invalid", detail: "This contact has no address on the campaign's channel." };
  if (limits.suppressed.has(candidate.address)) return { reason: "suppressed", detail: "This address must not be written to." };
  if (limits.expiresAt !== null && limits.expiresAt <= limits.now)
    return { reason: "expired", detail: "The message's time was over before it could be sent." };
  return null;
}
