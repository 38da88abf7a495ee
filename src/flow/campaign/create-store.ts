import type { MessageDefinition, Variables } from "../../rules/message.ts";
import type { Exclude } from "../../rules/segment.ts";
import type { ListedComponent } from "../../rules/whatsapp-template.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { AudienceConfig } from "./store.ts";

export interface SenderRow {
  readonly id: string;
  readonly channel: "whatsapp" | "email";
}

export const readSender = (sql: Sql, workspaceId: string, id: string) => sql<SenderRow[]>`
  select id, channel from sender where workspace_id = ${workspaceId} and id = ${id} and deleted_at is null`;

/** The workspace's default: its first WhatsApp sender. */
export const readDefaultSender = (sql: Sql, workspaceId: string) => sql<SenderRow[]>`
  select id, channel from sender where workspace_id = ${workspaceId} and channel = 'whatsapp' and deleted_at is null order by created_at, id limit 1`;

export interface TemplateRow {
  readonly name: string;
  readonly language: string;
  readonly status: string;
  readonly parameterFormat: "POSITIONAL" | "NAMED";
  readonly components: readonly ListedComponent[];
}

/** The sender's template of this name, in each of its languages. */
export const readTemplates = (sql: Sql, senderId: string, name: string) => sql<TemplateRow[]>`
  select name, language, status, parameter_format, components from template where sender_id = ${senderId} and name = ${name} order by language`;

/** What a sender has, for whoever asked for something else. */
export const listTemplateNames = (sql: Sql, senderId: string, limit: number) => sql<{ name: string }[]>`
  select distinct name from template where sender_id = ${senderId} order by name limit ${limit}`;

/** A named list; a campaign's own list is nobody else's audience. */
export const readList = (sql: Sql, workspaceId: string, id: string) => sql<{ id: string }[]>`
  select id from list where workspace_id = ${workspaceId} and id = ${id} and campaign_id is null`;

export const readClock = (sql: Sql) => sql<{ now: Date }[]>`select campanile.clock() as now`;

/** A campaign's row as it begins. */
export interface CampaignRow {
  readonly workspaceId: string;
  readonly id: string;
  readonly name: string;
  readonly surface: "engine" | "batch";
  readonly engine: boolean;
  readonly state: "draft" | "scheduled";
  readonly senderId: string;
  readonly channel: string;
  readonly message: MessageDefinition;
  readonly audienceType: string;
  readonly audienceConfig: AudienceConfig;
  readonly audienceExclude: Exclude;
  readonly scheduleType: "now" | "scheduled" | "manual";
  readonly scheduledAt: Date | null;
  readonly perMinute: number | null;
  readonly batchSize: number | null;
  readonly delayBetweenBatchesMs: number;
  readonly variables: Variables;
  readonly onUncertain: "hold" | "resend";
  readonly onDailyLimit: "pause" | "wait";
  readonly expiresAt: Date | null;
}

export const insertCampaign = (sql: Sql, row: CampaignRow) => sql`
  insert into campaign (workspace_id, id, name, surface, engine, state, sender_id, channel, message, audience_type, audience_config, audience_exclude,
    schedule_type, scheduled_at, per_minute, batch_size, delay_between_batches_ms, variables, on_uncertain, on_daily_limit, expires_at)
  values (${row.workspaceId}, ${row.id}, ${row.name}, ${row.surface}, ${row.engine}, ${row.state}, ${row.senderId}, ${row.channel},
    ${sql.json(row.message as never)}, ${row.audienceType}, ${sql.json(row.audienceConfig as never)}, ${sql.json(row.audienceExclude as never)}, ${row.scheduleType}, ${row.scheduledAt},
    ${row.perMinute}, ${row.batchSize}, ${row.delayBetweenBatchesMs}, ${sql.json(row.variables)}, ${row.onUncertain}, ${row.onDailyLimit}, ${row.expiresAt})
  returning pg_notify('campanile', id::text)`;

/** The list that belongs to one campaign only. */
export const insertOwnList = (sql: Sql, list: { workspaceId: string; id: string; name: string; campaignId: string }) => sql`
  insert into list (workspace_id, id, name, campaign_id) values (${list.workspaceId}, ${list.id}, ${list.name}, ${list.campaignId})`;

/** The counters of the first stage, all 0. */
export const insertCounters = (sql: Sql, campaignId: string) => sql`insert into dispatch_count (campaign_id, stage) values (${campaignId}, 1)`;

/** The campaign's own door: its calls go one by one, at this pace, beside its sender's. Without a pace it only tells when its last slot was. */
export const insertPace = (sql: Sql, campaignId: string, perMinute: number | null) => sql`
  insert into pace (owner_id, per_second, next_at) values (${campaignId}, ${perMinute}::numeric / 60, campanile.clock())`;
