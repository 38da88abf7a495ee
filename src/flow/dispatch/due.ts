import { DUE_BATCH_MAX, HORIZON_MS, LEASE_MS, OPENING_MARGIN_MS } from "../../rules/limits.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { type Admitted, admitNext, type LockedLimits, lockLimits } from "./admission.ts";
import { type CampaignFacts, campaignFacts } from "./campaign-facts.ts";
import type { DispatchDeps } from "./deps.ts";
import { persist } from "./drive.ts";
import { type DueRow, lockDue, markHanding, nextDueCampaign, postpone, skipQueued, unmarkHanding } from "./due-store.ts";
import type { Ended, Flight, Marked, Slot } from "./flight.ts";
import { whyHalt } from "./give-back.ts";
import { openFlight, type Queued, rendered } from "./held-lot.ts";
import { moveDoors, nextFreeAt, openAddresses, pauseCampaign } from "./limits-store.ts";
import { dailyLimitReason, markedOf, NEVER_FREE_REST_MS, slotsOf, soonest } from "./mark.ts";
import { type MessageRow, settleHanding, type Written } from "./message-store.ts";
import { actOnSender } from "./sender.ts";
import { attemptsOf, count, mergeLate, rowOf, skipRow, withReceipts } from "./settle.ts";

export interface DueWanted {
  readonly among: readonly string[] | null;
  readonly anyDriver: boolean;
  readonly max?: number;
  readonly inFlightMax?: number;
  /** Aborted: nothing more is begun. */
  readonly stop?: AbortSignal;
}

/** What one batch of due messages came to. */
export interface DueDone {
  /** Messages that were found due; 0: there was nothing to do. */
  readonly found: number;
  readonly written: readonly Written[];
}

/**
 * Sends one batch of due messages (retries, resends) of one campaign: the same checks, marks and sending loop as a lot's turn, but
 * claimed message by message. Marks them `handing` and commits before any byte leaves; settles what came back by the same token.
 */
export async function sendDue(deps: DispatchDeps, wanted: DueWanted): Promise<DueDone> {
  const [next] = await nextDueCampaign(deps.sql, wanted);
  if (next === undefined) return { found: 0, written: [] };
  const facts = await campaignFacts(deps, next.campaignId);
  const sending = { tripped: false };
  const flight = await openFlight(facts, sending, deps, wanted.inFlightMax);
  const token = deps.luck.uuid();
  const leasedAt = deps.clock.monotonicMs();
  const max = Math.min(DUE_BATCH_MAX, wanted.max ?? DUE_BATCH_MAX);
  const claim = await transaction(deps.sql, (tx) => claimDue(tx, { facts, token, deps, max })).catch(async (error) => {
    // Its COMMIT may have happened all the same. Nothing of it was begun, so it is taken back by its token.
    await persist(() => unmarkHanding(deps.sql, facts.campaignId, token), deps);
    throw error;
  });
  flight.leaseUntil(leasedAt + LEASE_MS);
  flight.add(claim.marked, claim.slots);
  while (flight.inFlight > 0 || (flight.waiting.length > 0 && !sending.tripped && !wanted.stop?.aborted)) {
    const waiting = flight.waiting.length;
    await flight.rest({ moreAt: null, flushMs: LEASE_MS });
    if (flight.inFlight === 0 && flight.waiting.length === waiting) break;
  }
  const unsent = flight.drop();
  await persist(() => actOnSender({ facts, ...sending }, flight.ended, deps), deps);
  const written = await persist(() => settleDue(flight, { facts, token, unsent, deps }), deps);
  return { found: claim.found, written: [...claim.skipped, ...written] };
}

interface Claim {
  readonly found: number;
  readonly marked: readonly Marked[];
  readonly slots: readonly Slot[];
  readonly skipped: readonly Written[];
}

async function claimDue(
  tx: Sql,
  { facts, token, deps, max }: { facts: CampaignFacts; token: string; deps: DispatchDeps; max: number },
): Promise<Claim> {
  const { campaignId } = facts;
  const rows = await lockDue(tx, campaignId, max);
  const asking = rows.map((row) => askingOf(row, facts));
  const limits = await lockLimits(tx, { facts, asking, ended: [], missed: [], clock: deps.clock });
  const halt = whyHalt(limits.campaign, [], false);
  if (halt !== null) {
    if (halt.pause !== null) await pauseCampaign(tx, campaignId, halt.pause);
    return { found: rows.length, marked: [], slots: [], skipped: [] };
  }
  const admitted = await admitNext(tx, { facts, asking }, limits, { unsettled: 0, latencyMs: 0, leadMs: deps.lead.ms });
  return { found: rows.length, ...(await markDue(tx, { facts, asking, limits, admitted, token })) };
}

const askingOf = (row: DueRow, facts: CampaignFacts): Queued => ({ ...row, ...rendered(row, facts) });

async function skipDue(tx: Sql, campaignId: string, rows: readonly MessageRow[]): Promise<Written[]> {
  if (rows.length === 0) return [];
  const skipped = await skipQueued(tx, campaignId, rows);
  await count(tx, campaignId, skipped);
  return skipped;
}

interface Admitting {
  readonly facts: CampaignFacts;
  readonly asking: readonly Queued[];
  readonly limits: LockedLimits;
  readonly admitted: Admitted<Queued>;
  readonly token: string;
}

async function markDue(tx: Sql, { facts, asking, limits, admitted, token }: Admitting): Promise<Omit<Claim, "found">> {
  const { campaignId, scopeId } = facts;
  const lastAt = new Date(limits.now.getTime() + HORIZON_MS + OPENING_MARGIN_MS);
  const marked = admitted.granted.map(({ candidate, opens }) => markedOf(campaignId, candidate, opens ? lastAt : null));
  if (marked.length > 0) {
    await markHanding(tx, campaignId, { rows: marked, token, leaseMs: LEASE_MS });
    await openAddresses(
      tx,
      scopeId,
      marked.map(({ address }) => address),
      lastAt,
    );
    await moveDoors(
      tx,
      limits.doors.map(({ ownerId, nextAt }, i) => ({ ownerId, nextAt: admitted.slots.nextAt[i] ?? nextAt })),
    );
  }
  const rest = asking.slice(admitted.covered);
  if (rest.length > 0) await postpone(tx, campaignId, rest, await untilWhen(tx, { facts, limits, admitted }));
  const skipped = await skipDue(
    tx,
    campaignId,
    admitted.skipped.map(({ candidate, skip }) => skipRow(candidate, skip)),
  );
  return { marked, slots: slotsOf(admitted, limits), skipped };
}

/** When those who could not go ask again. A full cap pauses the campaign when it was told so. */
async function untilWhen(tx: Sql, { facts, limits, admitted }: Pick<Admitting, "facts" | "limits" | "admitted">): Promise<Date> {
  if (admitted.limitedBy !== "cap") return soonest(new Date(Math.ceil(admitted.slots.waitUntil ?? limits.now.getTime())), limits.campaign.expiresAt);
  const [free] = await nextFreeAt(tx, facts.scopeId);
  if (limits.campaign.onDailyLimit === "pause") await pauseCampaign(tx, facts.campaignId, dailyLimitReason(admitted.cap));
  return limits.campaign.onDailyLimit === "pause"
    ? limits.now
    : soonest(free?.at ?? new Date(limits.now.getTime() + NEVER_FREE_REST_MS), limits.campaign.expiresAt);
}

interface Settling {
  readonly facts: CampaignFacts;
  readonly token: string;
  readonly unsent: readonly Marked[];
  readonly deps: DispatchDeps;
}

/** Stores what came back. Messages that missed their slots are due again at once; one that was put in doubt meanwhile is merged. */
async function settleDue(flight: Flight, { facts, token, unsent, deps }: Settling): Promise<readonly Written[]> {
  const { campaignId } = facts;
  if (flight.ended.length + unsent.length === 0) return [];
  const ended = [...flight.ended];
  const rows = [...ended.map((one) => rowOf(one, deps.luck.next())), ...unsent.map(againRow)];
  const written = await transaction(deps.sql, async (tx) => {
    const settled = await withReceipts(tx, campaignId, await settleHanding(tx, campaignId, token, rows));
    await attemptsOf(tx, campaignId, rows, settled);
    const limits = await lockLimits(tx, { facts, asking: [], ended, missed: unsent, clock: deps.clock });
    const halt = whyHalt(limits.campaign, ended, false);
    if (halt?.pause != null) await pauseCampaign(tx, campaignId, halt.pause);
    await count(tx, campaignId, settled);
    return settled;
  });
  const late = (one: Ended) => !written.some((row) => row.stage === one.marked.stage && row.position === one.marked.position);
  for (const one of ended.filter(late)) await transaction(deps.sql, (tx) => mergeLate(tx, one, deps.luck.next()));
  flight.forget(ended.length);
  return written;
}

const againRow = ({ stage, position, attempt, delays }: Marked): MessageRow => ({
  stage,
  position,
  attempt,
  state: "queued",
  code: null,
  cause: null,
  providerRef: null,
  delayMs: 0,
  delays,
  ended: false,
});
