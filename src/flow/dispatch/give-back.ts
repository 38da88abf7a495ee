import { LEASE_MS } from "../../rules/limits.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { Ended } from "./flight.ts";
import { takeBack } from "./held-lot.ts";
import { type CampaignRow, pauseCampaign, releaseOpenings } from "./limits-store.ts";
import { freeLot, markLot } from "./lot-store.ts";
import type { Written } from "./message-store.ts";
import { count } from "./settle.ts";
import type { Turned, Work } from "./work.ts";

/** Why nothing more may be marked. `pause`: the reason with which this turn itself pauses the campaign. */
export interface Halt {
  readonly state: CampaignRow["state"];
  readonly pause: string | null;
}

/** Null while the campaign may go on. A refused sender, or a refusal that concerns every message, pauses it: nobody fails. */
export function whyHalt(campaign: CampaignRow, ended: readonly Ended[], stopping: boolean): Halt | null {
  const { state } = campaign;
  if (state !== "running" || stopping) return { state, pause: null };
  if (campaign.blockedReason !== null) return { state, pause: campaign.blockedReason };
  const refusal = ended.map(({ outcome }) => outcome).find((outcome) => outcome.kind === "rejected" && outcome.remedy === "pause_campaign");
  return refusal?.kind === "rejected" ? { state, pause: refusal.cause } : null;
}

/**
 * Marks nothing more. What was not begun is dropped from memory for good before the mark goes back to what was: should this COMMIT
 * fail, it stays marked and recovery calls it uncertain, but it is never begun. The lot is left once its last call has ended.
 */
export async function giveBack(
  tx: Sql,
  { lot, ended }: Work,
  { settled, halt, now }: { settled: readonly Written[]; halt: Halt; now: Date },
): Promise<Turned> {
  const { campaignId, facts, flight, first } = lot;
  const dropped = flight.drop();
  takeBack(lot, dropped);
  // Remembered until the commit: a transaction that is begun again finds nothing left to drop.
  lot.dropped = [...lot.dropped, ...dropped];
  const made = lot.dropped.flatMap(({ address, openedUntil }) => (openedUntil === null ? [] : [{ address, lastAt: openedUntil }]));
  if (halt.pause !== null) await pauseCampaign(tx, campaignId, halt.pause);
  if (made.length > 0) await releaseOpenings(tx, facts.scopeId, made);
  const left = flight.inFlight === 0 && flight.ended.length === ended.length;
  const mark = { campaignId, first, handed: lot.handed };
  if (left) await freeLot(tx, mark, now);
  else await markLot(tx, mark, LEASE_MS);
  await count(tx, campaignId, settled);
  if (left) return { kind: "left" };
  return { kind: "held", handed: lot.handed, covered: 0, marked: [], slots: [], moreAt: null, askedAt: 0, found: lot.expect };
}
