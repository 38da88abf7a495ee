import { statementFault } from "../../rules/statement.ts";
import { transaction } from "../../runtime/postgres.ts";
import { completeCampaign, lockForGood, lockOver, overCampaigns, tellProgress } from "./complete-store.ts";
import type { DispatchDeps } from "./deps.ts";

/**
 * Completes a campaign of which nobody is left, with its closing statement; false while somebody is. The statement counts rows, so a
 * recipient without one keeps the campaign open instead of vanishing from the sum.
 */
export const complete = (campaignId: string, deps: Pick<DispatchDeps, "sql" | "log">): Promise<boolean> =>
  transaction(deps.sql, async (tx) => {
    // The lock first: what is read in the statement that waits for it may be older than the lock.
    await lockForGood(tx, campaignId);
    const [over] = await lockOver(tx, campaignId);
    if (over === undefined) return false;
    const fault = statementFault(over.statement);
    if (fault !== null) {
      deps.log.error({ campaignId, fault }, "the closing statement does not add up; the campaign stays open");
      return false;
    }
    await tellProgress(tx, campaignId);
    await completeCampaign(tx, campaignId, over.statement);
    return true;
  });

/** The completion loop's step: completes up to `limit` campaigns and returns how many. */
export async function completeOver(limit: number, deps: Pick<DispatchDeps, "sql" | "log">): Promise<number> {
  let done = 0;
  for (const { id } of await overCampaigns(deps.sql, limit)) if (await complete(id, deps)) done++;
  return done;
}
