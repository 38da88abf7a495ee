import { ATTEMPTS_MAX, OPENING_MARGIN_MS, RECOVERY_MARGIN_MS, RESEND_AFTER_MS } from "../../rules/limits.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import type { DispatchDeps } from "./deps.ts";
import { campaignsToResend, doubtHanding, forsakenCampaigns, lockDoubts, provedCampaigns, resendDoubts } from "./due-store.ts";
import { lockCampaign, lockCap, prolongOpenings, readFacts } from "./limits-store.ts";
import { acceptByReceipt, addCounts } from "./message-store.ts";
import { addProved, count, withReceipts } from "./settle.ts";

/** Campaigns per step, and messages of one campaign in one short transaction. */
const STEP_MAX = 200;
const forsaken = { marginMs: RECOVERY_MARGIN_MS, limit: STEP_MAX };
const overdue = { afterMs: RESEND_AFTER_MS, attemptsMax: ATTEMPTS_MAX, limit: STEP_MAX };

/**
 * One step of settling what is in doubt; returns how much it did. Due messages whose holder stopped become uncertain; receipts turn
 * what is uncertain into accepted (whoever wrote it looked for receipts, but a receipt may have come in between); what stays in doubt
 * is sent again where the campaign wants that, as often as any message is tried. Each campaign has a transaction of its own.
 */
export async function settleDoubts({ sql, log }: Pick<DispatchDeps, "sql" | "log">): Promise<number> {
  let done = 0;
  for (const { campaignId } of await forsakenCampaigns(sql, forsaken)) {
    const doubts = await transaction(sql, (tx) => doubtForsaken(tx, campaignId));
    if (doubts > 0) log.warn({ campaignId, doubts }, "an engine stopped while it was sending due messages; they are uncertain");
    done += doubts;
  }
  for (const { campaignId } of await provedCampaigns(sql, STEP_MAX)) done += await transaction(sql, (tx) => prove(tx, campaignId));
  for (const { campaignId } of await campaignsToResend(sql, overdue)) done += await transaction(sql, (tx) => resend(tx, campaignId));
  return done;
}

async function doubtForsaken(tx: Sql, campaignId: string): Promise<number> {
  const doubts = await doubtHanding(tx, campaignId, forsaken);
  const [facts] = await readFacts(tx, campaignId);
  if (doubts.length === 0 || facts === undefined) return 0;
  const written = await withReceipts(tx, campaignId, doubts);
  const [scope] = await lockCap(tx, facts.scopeId);
  const addresses = doubts.flatMap(({ address }) => (address === null ? [] : [address]));
  if (scope?.cap != null) await prolongOpenings(tx, facts.scopeId, addresses, OPENING_MARGIN_MS);
  await count(tx, campaignId, written);
  return doubts.length;
}

async function prove(tx: Sql, campaignId: string): Promise<number> {
  const proved = await acceptByReceipt(tx, campaignId, null);
  await addProved(tx, campaignId, proved);
  return proved.length;
}

/** A campaign that ends meanwhile has counted its doubts: then nothing is sent again. */
async function resend(tx: Sql, campaignId: string): Promise<number> {
  const doubts = await lockDoubts(tx, campaignId, overdue);
  const [campaign] = await lockCampaign(tx, campaignId);
  if (doubts.length === 0 || campaign?.state !== "running") return 0;
  const again = await resendDoubts(tx, campaignId, doubts);
  for (const stage of [...new Set(again.map((row) => row.stage))].sort((a, b) => a - b))
    await addCounts(tx, campaignId, { stage, uncertain: -again.filter((row) => row.stage === stage).length });
  return again.length;
}
