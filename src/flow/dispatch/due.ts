import { DUE_BATCH_MAX, LEASE_MS } from "../../rules/limits.ts";
import { isPaced } from "../../rules/pace.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { type Admitted, admitNext, type LockedLimits, lockLimits, noteLead } from "./admission.ts";
import { type CampaignFacts, campaignFacts } from "./campaign-facts.ts";
import type { DispatchDeps } from "./deps.ts";
import { persist } from "./drive.ts";
import { type DueRow, lockDue, markHanding, type NextDue, nextDueCampaign, postpone, skipQueued, unmarkHanding } from "./due-store.ts";
import type { Ended, Flight, Marked, Slot } from "./flight.ts";
import { whyHalt } from "./give-back.ts";
import { openFlight, type Queued, rendered } from "./held-lot.ts";
import { nextFreeAt, pauseCampaign } from "./limits-store.ts";
import { askAt, dailyLimitReason, NEVER_FREE_REST_MS, reserve, slotsOf, soonest } from "./mark.ts";
import { type MessageRow, settleHanding, type Written } from "./message-store.ts";
import { actOnSender } from "./sender.ts";
import { attemptsOf, count, mergeLate, rowOf, skipRow, withReceipts } from "./settle.ts";

/** Which due messages may be sent. */
export interface DueWanted {
  readonly among: readonly string[] | null;
  readonly anyDriver: boolean;
  /** Senders whose due messages are being sent already; a slow one keeps no other waiting. */
  readonly except?: readonly string[];
}

export interface DueOptions {
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

/** The campaign whose message is due first, and how soon; null: none has any. */
export async function nextDue({ sql }: DispatchDeps, { except = [], ...wanted }: DueWanted): Promise<NextDue | null> {
  const [next] = await nextDueCampaign(sql, { ...wanted, except });
  return next ?? null;
}

/**
 * Sends one batch of due messages (retries, resends) of one campaign: the same checks, marks and sending loop as a lot's turn, but
 * claimed message by message. Marks them `handing` and commits before any byte leaves; settles what came back by the same token.
 */
export async function sendDue(campaignId: string, deps: DispatchDeps, options: DueOptions = {}): Promise<DueDone> {
  try {
    return await sendBatch(campaignId, deps, options);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    // Its message is understood no longer: it says so, and keeps nobody else's messages waiting.
    await pauseCampaign(deps.sql, campaignId, error.message);
    return { found: 1, written: [] };
  }
}

async function sendBatch(campaignId: string, deps: DispatchDeps, options: DueOptions): Promise<DueDone> {
  const facts = await campaignFacts(deps, campaignId);
  const sending = { tripped: false };
  const flight = await openFlight(facts, sending, deps, options.inFlightMax);
  const token = deps.luck.uuid();
  const leasedAt = deps.clock.monotonicMs();
  const max = Math.min(DUE_BATCH_MAX, options.max ?? DUE_BATCH_MAX);
  const claim = await transaction(deps.sql, (tx) => claimDue(tx, { facts, token, deps, max }), deps).catch(async (error) => {
    // Its COMMIT may have happened all the same. Nothing of it was begun, so it is taken back by its token.
    await persist(() => unmarkHanding(deps.sql, facts.campaignId, token), deps);
    throw error;
  });
  if (claim.askedAt !== null && claim.marked.length > 0) noteLead(deps, claim.askedAt);
  flight.leaseUntil(leasedAt + LEASE_MS);
  flight.add(claim.marked, claim.slots);
  while (flight.inFlight > 0 || (flight.waiting.length > 0 && !sending.tripped && !options.stop?.aborted)) {
    const waiting = flight.waiting.length;
    // Nothing is stored before all have ended. (A time here, long past when the process was frozen, would leave no rest at all.)
    await flight.rest({ moreAt: null, flushMs: Number.POSITIVE_INFINITY });
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
  /** When it was asked what time it is, if a pace binds; monotonic milliseconds. */
  readonly askedAt: number | null;
}

async function claimDue(
  tx: Sql,
  { facts, token, deps, max }: { facts: CampaignFacts; token: string; deps: DispatchDeps; max: number },
): Promise<Claim> {
  const { campaignId } = facts;
  const rows = await lockDue(tx, campaignId, max);
  const asking = rows.map((row) => askingOf(row, facts));
  const limits = await lockLimits(tx, {
    facts,
    asking,
    ended: [],
    missed: [],
    clock: deps.clock,
    isLot: false,
    expect: { capped: true, paced: true, unlimited: false },
  });
  const halt = whyHalt(limits.campaign, [], false);
  if (halt !== null) {
    if (halt.pause !== null) await pauseCampaign(tx, campaignId, halt.pause);
    return { found: rows.length, marked: [], slots: [], skipped: [], askedAt: null };
  }
  const admitted = await admitNext(tx, { facts, asking }, limits, { unsettled: 0, latencyMs: 0, leadMs: deps.lead.ms });
  const askedAt = isPaced(limits.doors, limits.now.getTime()) ? limits.askedAt : null;
  return { found: rows.length, askedAt, ...(await markDue(tx, { facts, asking, limits, admitted, token })) };
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

async function markDue(tx: Sql, { facts, asking, limits, admitted, token }: Admitting): Promise<Omit<Claim, "found" | "askedAt">> {
  const { campaignId } = facts;
  const marked = await reserve(tx, facts, { admitted, limits });
  if (marked.length > 0) await markHanding(tx, campaignId, { rows: marked, token, leaseMs: LEASE_MS });
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
  if (admitted.limitedBy !== "cap") return soonest(askAt(admitted, limits), limits.campaign.expiresAt);
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
  const written = await transaction(
    deps.sql,
    async (tx) => {
      const settled = await withReceipts(tx, campaignId, await settleHanding(tx, campaignId, token, rows));
      await attemptsOf(tx, campaignId, rows, settled);
      const limits = await lockLimits(tx, {
        facts,
        asking: [],
        ended,
        missed: unsent,
        clock: deps.clock,
        isLot: false,
        expect: { capped: false, paced: false, unlimited: false },
      });
      const halt = whyHalt(limits.campaign, ended, false);
      if (halt?.pause != null) await pauseCampaign(tx, campaignId, halt.pause);
      await count(tx, campaignId, settled);
      return settled;
    },
    deps,
  );
  const late = (one: Ended) => !written.some((row) => row.stage === one.marked.stage && row.position === one.marked.position);
  for (const one of ended.filter(late)) await transaction(deps.sql, (tx) => mergeLate(tx, one, deps.luck.next()), deps);
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
