import { type Admission, admit } from "../../rules/admission.ts";
import { HORIZON_MS, LEASE_MS, WINDOW_MAX } from "../../rules/limits.ts";
import { statement } from "../../runtime/postgres.ts";
import type { Ended } from "./flight.ts";
import type { Queued } from "./held-lot.ts";
import { type Accepted, turnAtFullSpeed } from "./lot-store.ts";
import { handedAfter, isDone, markedOf } from "./mark.ts";
import type { Turned, Work } from "./work.ts";

/** What a turn in one statement came to. `limited`: the outcomes are stored, but something limits what comes next after all. */
type Hurried = Turned | { readonly kind: "limited" };

/**
 * The same turn in one round trip, for a lot whose last turn met no limit; null when it is not such a one. Postgres looks under the same
 * locks whether that still holds, and marks nothing when it does not. A round trip for each of its parts made a turn twice as dear; those
 * between two lots cost as much again, so at its end the lot is exchanged for the campaign's next.
 */
export async function hurry(work: Work): Promise<Hurried | null> {
  const { lot, deps } = work;
  const { campaignId, first, token, queue } = lot;
  const accepted = plainlyAccepted(work.ended);
  const admitted = accepted === null ? null : admittedUnlimited(work);
  if (accepted === null || admitted === null) return null;
  const [from] = admitted.granted;
  const handed = handedAfter(lot, admitted);
  const asked = {
    next: from === undefined ? null : { from: from.candidate.position, to: handed },
    ends: isDone(work, admitted),
    onward: work.onward ? deps.engineId : null,
    leaseMs: LEASE_MS,
  };
  const askedAt = deps.clock.monotonicMs();
  const found = await statement(deps.sql, async (holds) => {
    const [row] = await turnAtFullSpeed(deps.sql, { campaignId, first, token }, accepted, { ...asked, holds });
    return row?.turned ?? null;
  });
  if (!found.held) return { kind: "lost" };
  if (!found.goneOn) return { kind: "limited" };
  if (asked.ends) return { kind: "left", next: found.next };
  const now = deps.clock.monotonicMs();
  // A pause is answered after this commit at the earliest, and the commit came after the locks.
  const slot = { from: now, until: askedAt + (found.waitedMs ?? 0) + HORIZON_MS };
  const isLast = lot.readAll && admitted.covered === queue.length;
  return {
    kind: "held",
    handed,
    covered: admitted.covered,
    marked: admitted.granted.map(({ candidate }) => markedOf(campaignId, candidate, null)),
    slots: admitted.granted.map(() => slot),
    moreAt: isLast || admitted.limitedBy === "room" ? null : now,
    askedAt: 0,
    found: lot.expect,
  };
}

/** As nearly all end: accepted at the first attempt. Null when one of them did not. */
function plainlyAccepted(ended: readonly Ended[]): Accepted | null {
  const accepted: { positions: number[]; refs: string[] } = { positions: [], refs: [] };
  for (const { marked, outcome } of ended) {
    if (outcome.kind !== "accepted" || marked.stage !== 1 || marked.attempt !== 1) return null;
    accepted.positions.push(marked.position);
    accepted.refs.push(outcome.providerRef);
  }
  return accepted;
}

/** Who goes if nothing limits them; null when something may, or somebody falls out. */
function admittedUnlimited({ lot, ended, missed, stopping }: Work): Admission<Queued> | null {
  const { expect, queue, flight } = lot;
  if (!expect.unlimited || lot.mayHaveRows || stopping || missed.length > 0) return null;
  const unsettled = flight.waiting.length + flight.inFlight + flight.ended.length - ended.length;
  const room = Math.max(0, WINDOW_MAX - unsettled);
  const admitted = admit(queue, { now: 0, doors: [], suppressed: new Set(), expiresAt: null, cap: null, room });
  return admitted.skipped.length > 0 ? null : admitted;
}
