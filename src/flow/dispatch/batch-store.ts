import type { CampaignState } from "../../rules/campaign-state.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { Written } from "./message-store.ts";

export const readBatchCampaign = (sql: Sql, workspaceId: string, campaignId: string) => sql<{ state: CampaignState; pauseReason: string | null }[]>`
  select state, pause_reason from campaign where workspace_id = ${workspaceId} and id = ${campaignId} and deleted_at is null`;

/** What became of the positions of one batch's lot, which nobody else held. */
export const tallyBetween = (sql: Sql, campaignId: string, from: number, to: number) => sql<Written[]>`
  select stage, position, state from message where campaign_id = ${campaignId} and stage = 1 and position between ${from} and ${to} order by position`;

export const storeLastBatch = (sql: Sql, campaignId: string, result: Readonly<Record<string, string | number | boolean>>) => sql`
  update campaign set last_batch = ${sql.json(result)} || jsonb_build_object('at', campanile.clock()) where id = ${campaignId}`;
