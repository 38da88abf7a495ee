import { OPENING_MARGIN_MS, RECOVERY_MARGIN_MS, RESEND_AFTER_MS } from "../../rules/limits.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import type { DispatchDeps } from "./deps.ts";
import { doubtHanding, provedCampaigns, resendDoubts } from "./due-store.ts";
import { lockCap, prolongOpenings, readFacts } from "./limits-store.ts";
import { acceptByReceipt, addCounts } from "./message-store.ts";
import { addProved, count, withReceipts } from "./settle.ts";

/** Messages and campaigns per step: each is one short transaction. */
const STEP_MAX = 200;

/**
 * One step of settling what is in doubt; returns how much it did. Due messages whose holder stopped become uncertain; receipts turn
 * what is uncertain into accepted (whoever wrote it looked for receipts, but a receipt may have come in between); what stays in doubt
 * is sent again where the campaign wants that.
 */
export async function settleDoubts(deps: Pick<DispatchDeps, "sql" | "log">): Promise<number> {
  const forsaken = await transaction(deps.sql, doubtForsaken);
  if (forsaken > 0) deps.log.warn({ doubts: forsaken }, "an engine stopped while it was sending due messages; they are uncertain");
  const proved = await proveByReceipts(deps);
  const resent = await transaction(deps.sql, resend);
  return forsaken + proved + resent;
}

async function doubtForsaken(tx: Sql): Promise<number> {
  const rows = await doubtHanding(tx, { marginMs: RECOVERY_MARGIN_MS, limit: STEP_MAX });
  for (const [campaignId, doubts] of byCampaign(rows)) {
    const written = await withReceipts(tx, campaignId, doubts);
    const [facts] = await readFacts(tx, campaignId);
    const addresses = doubts.flatMap(({ address }) => (address === null ? [] : [address]));
    if (facts?.capped) {
      await lockCap(tx, facts.scopeId);
      await prolongOpenings(tx, facts.scopeId, addresses, OPENING_MARGIN_MS);
    }
    await count(tx, campaignId, written);
  }
  return rows.length;
}

async function proveByReceipts({ sql }: Pick<DispatchDeps, "sql">): Promise<number> {
  let done = 0;
  for (const { campaignId } of await provedCampaigns(sql, STEP_MAX)) {
    done += await transaction(sql, async (tx) => {
      const proved = await acceptByReceipt(tx, campaignId, null);
      await addProved(tx, campaignId, proved);
      return proved.length;
    });
  }
  return done;
}

async function resend(tx: Sql): Promise<number> {
  const rows = await resendDoubts(tx, { afterMs: RESEND_AFTER_MS, limit: STEP_MAX });
  for (const [campaignId, again] of byCampaign(rows)) {
    for (const stage of [...new Set(again.map((row) => row.stage))].sort((a, b) => a - b))
      await addCounts(tx, campaignId, { stage, uncertain: -again.filter((row) => row.stage === stage).length });
  }
  return rows.length;
}

/** Rows in the order of their campaigns' ids, so that two who work on the same campaigns lock them in one order. */
function byCampaign<R extends { readonly campaignId: string }>(rows: readonly R[]): [string, R[]][] {
  const groups = new Map<string, R[]>();
  for (const row of rows) groups.set(row.campaignId, [...(groups.get(row.campaignId) ?? []), row]);
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1));
}
