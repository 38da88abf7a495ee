import { BATCH_RECIPIENTS_MAX, BATCH_TIME_MAX_MS, SEND_TIMEOUT_MS } from "../../rules/limits.ts";
import { Refusal } from "../../rules/refusal.ts";
import { transaction } from "../../runtime/postgres.ts";
import { readBatchCampaign, storeLastBatch, tallyBetween } from "./batch-store.ts";
import { complete } from "./complete.ts";
import type { DispatchDeps } from "./deps.ts";
import { settleDoubts } from "./doubt.ts";
import { drive, take } from "./drive.ts";
import { nextDue, sendDue } from "./due.ts";
import type { HeldLot } from "./held-lot.ts";
import { cutLot } from "./lot-store.ts";
import type { Written } from "./message-store.ts";

/** What one call of `execute-batch` did (document 004). `processed` is the sum of the five that follow it. */
export interface BatchResult {
  readonly processed: number;
  readonly sent: number;
  readonly failed: number;
  readonly skipped: number;
  readonly uncertain: number;
  /** Told by the vendor to wait; due again later. */
  readonly deferred: number;
  readonly paused: boolean;
  readonly completed: boolean;
  readonly pauseReason?: string;
}

/** A call that begins later might end after the answer is due. */
const BATCH_BEGIN_MAX_MS = BATCH_TIME_MAX_MS - SEND_TIMEOUT_MS - 500;

const NOBODY_LEFT = "No pending recipients remaining";

/**
 * Sends to at most 25 recipients of a running campaign, one after the other, and returns what was done, after 20 s at the latest. The
 * same turn as everywhere; any number of callers may call at once. Nobody left: the campaign completes.
 * @throws {Refusal} campaign_not_found
 */
export async function executeBatch(ref: { workspaceId: string; campaignId: string }, deps: DispatchDeps): Promise<BatchResult> {
  const { campaignId } = ref;
  const before = await campaignOf(ref, deps);
  if (before.state === "completed") return { ...tally([]), completed: true, pauseReason: NOBODY_LEFT };
  if (before.state !== "running") return { ...tally([]), paused: before.state === "paused", ...reasonOf(before.pauseReason) };
  await settleDoubts(deps);
  const written = await sendSome(campaignId, deps);
  const sum = tally(written);
  const completed = sum.processed === 0 && (await complete(campaignId, deps));
  const after = await campaignOf(ref, deps);
  const paused = after.state === "paused";
  const result = { ...sum, paused, completed, ...reasonOf(completed ? NOBODY_LEFT : paused ? after.pauseReason : null) };
  await storeLastBatch(deps.sql, campaignId, { ...result });
  return result;
}

async function campaignOf({ workspaceId, campaignId }: { workspaceId: string; campaignId: string }, deps: DispatchDeps) {
  const [campaign] = await readBatchCampaign(deps.sql, workspaceId, campaignId);
  if (campaign === undefined) throw new Refusal("campaign_not_found", { id: campaignId });
  return campaign;
}

const reasonOf = (reason: string | null) => (reason === null ? {} : { pauseReason: reason });

/** Due messages first, then those who were never written to, until 25 are dealt with, the time is over, or there is nothing to do. */
async function sendSome(campaignId: string, deps: DispatchDeps): Promise<Written[]> {
  const among = [campaignId];
  const written: Written[] = [];
  const stop = new AbortController();
  const timer = new AbortController();
  let held: HeldLot | null = null;
  void deps.clock.sleep(BATCH_BEGIN_MAX_MS, timer.signal).then(() => {
    stop.abort();
    held?.flight.nudge();
  });
  const room = () => (stop.signal.aborted ? 0 : BATCH_RECIPIENTS_MAX - written.length);
  try {
    while (room() > 0) {
      const next = await nextDue(deps, { among, anyDriver: true });
      if (next === null || next.inMs > 0) break;
      const due = await sendDue(campaignId, deps, { max: room(), inFlightMax: 1, stop: stop.signal });
      written.push(...due.written);
      if (due.written.length === 0) break;
    }
    while (room() > 0) {
      const lot = await take(deps, { except: [], among, anyDriver: true, holdersMax: null, inFlightMax: 1 });
      if (lot === null) break;
      held = lot;
      const last = Math.min(lot.last, lot.handed + room());
      if (last < lot.last && (await transaction(deps.sql, (tx) => cutLot(tx, lot, last), deps)).count > 0) lot.last = last;
      const from = lot.handed + 1;
      await drive(lot, deps, { stop: stop.signal });
      const done = await tallyBetween(deps.sql, campaignId, from, lot.last);
      written.push(...done);
      if (done.length === 0) break;
    }
  } finally {
    timer.abort();
  }
  return written;
}

function tally(written: readonly Written[]): Omit<BatchResult, "pauseReason"> {
  const of = (state: Written["state"]) => written.filter((one) => one.state === state).length;
  return {
    processed: written.length,
    sent: of("accepted"),
    failed: of("failed"),
    skipped: of("skipped"),
    uncertain: of("uncertain"),
    deferred: of("queued"),
    paused: false,
    completed: false,
  };
}
