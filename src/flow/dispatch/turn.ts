import { LEASE_MS } from "../../rules/limits.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { admitNext, lockLimits, noteLead } from "./admission.ts";
import type { DispatchDeps } from "./deps.ts";
import { hurry } from "./full-speed.ts";
import { giveBack, whyHalt } from "./give-back.ts";
import { type HeldLot, refill, takeBack } from "./held-lot.ts";
import { lockLot } from "./lot-store.ts";
import { mark } from "./mark.ts";
import { actOnSender } from "./sender.ts";
import { append, rowOf } from "./settle.ts";
import type { Turned, Work } from "./work.ts";

type Going = Pick<Work, "stopping" | "onward">;

/**
 * One turn: stores the outcomes that came back, asks whether the campaign still runs, and marks the next volley, all in one
 * transaction; no byte of a message leaves before its mark is committed. Memory follows only after that. A turn whose COMMIT was not
 * confirmed is simply repeated: it stores nothing twice, and what it marked beyond our memory was never begun.
 */
export async function turn(lot: HeldLot, deps: DispatchDeps, going: Going): Promise<Turned> {
  lot.mayHaveRows ||= lot.unsure;
  const late = lot.flight.takeMissed();
  takeBack(lot, late);
  const missed = [...lot.missed, ...late];
  lot.missed = missed;
  if (lot.unsure || (lot.queue.length === 0 && !lot.readAll)) await refill(lot, deps);
  const ended = [...lot.flight.ended];
  await actOnSender(lot, ended, deps);
  const leasedAt = deps.clock.monotonicMs();
  lot.unsure = true;
  const work = { lot, ended, missed, ...going, deps };
  const turned = (await hurry(work)) ?? (await transaction(deps.sql, (tx) => volley(tx, work), deps).catch(lostOrThrow));
  lot.unsure = false;
  if (turned.kind === "lost") return turned;
  lot.flight.forget(ended.length);
  if (turned.kind === "limited") {
    lot.expect = { ...lot.expect, unlimited: false };
    return turn(lot, deps, going);
  }
  lot.dropped = [];
  lot.missed = [];
  if (turned.kind === "left") return turned;
  if (turned.found.paced && turned.marked.length > 0) noteLead(deps, turned.askedAt);
  lot.expect = turned.found;
  lot.flight.leaseUntil(leasedAt + LEASE_MS);
  lot.handed = turned.handed;
  lot.queue = lot.queue.slice(turned.covered);
  lot.flight.add(turned.marked, turned.slots);
  return turned;
}

/** Somebody else holds the lot: what the transaction wrote before it heard so is rolled back. */
class LotLost extends Error {}

function lostOrThrow(error: unknown): Turned {
  if (error instanceof LotLost) return { kind: "lost" };
  throw error;
}

async function volley(tx: Sql, work: Work): Promise<Turned> {
  const { lot, ended, missed, deps } = work;
  const { facts, flight, queue } = lot;
  const rows = ended.map((one) => rowOf(one, deps.luck.next()));
  // Asked in this order and not waited for one by one: a round trip for each would cost a third of the speed.
  const locked = lockLot(tx, lot).then(([row]) => row);
  const stored = append(tx, lot.campaignId, rows, !lot.mayHaveRows);
  const limited = lockLimits(tx, { facts, asking: queue, ended, missed, clock: deps.clock, isLot: true, expect: lot.expect });
  await Promise.allSettled([locked, stored, limited]);
  // First of all: what a new holder has stored meanwhile makes the other statements fail.
  if ((await locked) === undefined) throw new LotLost();
  const [settled, limits] = [await stored, await limited];
  const halt = whyHalt(limits.campaign, ended, work.stopping);
  if (halt !== null) return giveBack(tx, work, { settled, halt, now: limits.now });
  const unsettled = flight.waiting.length + flight.inFlight + flight.ended.length - ended.length;
  const admitted = await admitNext(tx, { facts, asking: queue }, limits, { unsettled, latencyMs: flight.latencyMs, leadMs: deps.lead.ms });
  return mark(tx, work, { settled, limits, admitted });
}
