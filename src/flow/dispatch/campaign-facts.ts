import { type CompiledMessage, compileMessage } from "../../rules/message-render.ts";
import type { DispatchDeps } from "./deps.ts";
import { type FactsRow, readFacts } from "./limits-store.ts";

/** What does not change while a campaign runs, its message ready to be rendered. */
export interface CampaignFacts extends Omit<FactsRow, "message"> {
  readonly message: CompiledMessage;
  /** The campaign has variables of its own. */
  readonly hasVariables: boolean;
}

export async function campaignFacts(deps: DispatchDeps, campaignId: string): Promise<CampaignFacts> {
  const [row] = await readFacts(deps.sql, campaignId);
  if (row === undefined) throw new Error(`campaign ${campaignId} has a lot or a message, but no row`);
  return { ...row, message: compileMessage(row.message), hasVariables: Object.keys(row.variables).length > 0 };
}
