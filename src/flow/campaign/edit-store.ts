import type { Sql } from "../../runtime/postgres.ts";
import type { CampaignRow } from "./create-store.ts";

/** What of a campaign may change before it is planned. */
export type Editable = Pick<
  CampaignRow,
  | "name"
  | "message"
  | "scheduleType"
  | "scheduledAt"
  | "perMinute"
  | "batchSize"
  | "delayBetweenBatchesMs"
  | "variables"
  | "onUncertain"
  | "onDailyLimit"
  | "expiresAt"
>;

export const updateCampaign = (sql: Sql, id: string, row: Editable) => sql`
  update campaign set name = ${row.name}, message = ${sql.json(row.message as never)}, schedule_type = ${row.scheduleType}, scheduled_at = ${row.scheduledAt},
    per_minute = ${row.perMinute}, batch_size = ${row.batchSize}, delay_between_batches_ms = ${row.delayBetweenBatchesMs},
    variables = ${sql.json(row.variables)}, on_uncertain = ${row.onUncertain}, on_daily_limit = ${row.onDailyLimit}, expires_at = ${row.expiresAt}
  where id = ${id} returning pg_notify('campanile', id::text)`;

/** The campaign's own pace; null: its sender's only. */
export const setPace = (sql: Sql, campaignId: string, perMinute: number | null) => sql`
  update pace set per_second = ${perMinute}::numeric / 60 where owner_id = ${campaignId}`;

/** Hides a campaign; its rows stay for the account of what was sent. */
export const markDeleted = (sql: Sql, id: string) => sql`update campaign set deleted_at = campanile.clock() where id = ${id}`;

/** Copies the members of a list, in their order. */
export const copyMembers = (sql: Sql, workspaceId: string, { from, to }: { from: string; to: string }) => sql`
  insert into list_member (workspace_id, list_id, contact_id)
  select workspace_id, ${to}, contact_id from list_member where workspace_id = ${workspaceId} and list_id = ${from} order by ordinal`;

export interface EventRow {
  readonly seq: number;
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly at: Date;
}

/** A campaign's events in order, after one. */
export const listEvents = (sql: Sql, campaignId: string, { after, limit }: { after: number; limit: number }) => sql<EventRow[]>`
  select seq, name, body, at from event where campaign_id = ${campaignId} and seq > ${after} order by seq limit ${limit}`;
