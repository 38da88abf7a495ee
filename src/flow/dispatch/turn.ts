import { HORIZON_MS, LEASE_MS, SLOT_LATE_MAX_MS } from "../../rules/limits.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { admitNext, lockLimits } from "./admission.ts";
import type { DispatchDeps } from "./deps.ts";
import { giveBack, whyHalt } from "./give-back.ts";
import { type HeldLot, refill, takeBack } from "./held-lot.ts";
import { lockLot } from "./lot-store.ts";
import { mark } from "./mark.ts";
import { actOnSender } from "./sender.ts";
import { append, rowOf } from "./settle.ts";
import type { Turned, Work } from "./work.ts";

/**
 * One turn: stores the outcomes that came back, asks whether the campaign still runs, and marks the next volley, all in one
 * transaction; no byte of a message leaves before its mark is committed. Memory follows only after that. A turn whose COMMIT was not
 * confirmed is simply repeated: it stores nothing twice, and what it marked beyond our memory was never begun.
 */
export async function turn(lot: HeldLot, deps: DispatchDeps, stopping = false): Promise<Turned> {
  const missed = lot.flight.takeMissed();
  takeBack(lot, missed);
  if (lot.unsure || (lot.queue.length === 0 && !lot.readAll)) await refill(lot, deps);
  const ended = [...lot.flight.ended];
  await actOnSender(lot, ended, deps);
  const leasedAt = deps.clock.monotonicMs();
  lot.unsure = true;
  const turned = await transaction(deps.sql, (tx) => volley(tx, { lot, ended, missed, stopping, deps }));
  lot.unsure = false;
  if (turned.kind === "lost") return turned;
  lot.flight.forget(ended.length);
  lot.dropped = [];
  if (turned.kind === "left") return turned;
  if (turned.marked.length > 0) noteLead(deps, turned.askedAt);
  lot.flight.leaseUntil(leasedAt + LEASE_MS);
  lot.handed = turned.handed;
  lot.queue = lot.queue.slice(turned.covered);
  lot.flight.add(turned.marked, turned.slots);
  return turned;
}

const LEAD_TURNS = 8;
const LEAD_MAX_MS = HORIZON_MS - SLOT_LATE_MAX_MS;

function noteLead({ lead, clock }: DispatchDeps, askedAt: number): void {
  lead.ms = Math.min(LEAD_MAX_MS, lead.ms + (clock.monotonicMs() - askedAt - lead.ms) / LEAD_TURNS);
}

async function volley(tx: Sql, work: Work): Promise<Turned> {
  const { lot, ended, missed, deps } = work;
  const { facts, flight, queue } = lot;
  const [held] = await lockLot(tx, lot);
  if (held === undefined) return { kind: "lost" };
  const settled = await append(
    tx,
    lot.campaignId,
    ended.map((one) => rowOf(one, deps.luck.next())),
  );
  const limits = await lockLimits(tx, { facts, asking: queue, ended, missed, clock: deps.clock });
  const halt = whyHalt(limits.campaign, ended, work.stopping);
  if (halt !== null) return giveBack(tx, work, { settled, halt, now: limits.now });
  const unsettled = flight.waiting.length + flight.inFlight + flight.ended.length - ended.length;
  const admitted = await admitNext(tx, { facts, asking: queue }, limits, { unsettled, latencyMs: flight.latencyMs, leadMs: deps.lead.ms });
  return mark(tx, work, { settled, limits, admitted });
}
