import type { CampaignState } from "../../rules/campaign-state.ts";
import type { MessageDefinition, Variables } from "../../rules/message.ts";
import type { ReceiptKind } from "../../rules/receipt.ts";
import type { Exclude } from "../../rules/segment.ts";
import type { Statement } from "../../rules/statement.ts";
import type { Fragment, Sql } from "../../runtime/postgres.ts";
import type { CampaignRef } from "./deps.ts";
import { inScope, type Resending } from "./resend-store.ts";
import type { AudienceConfig } from "./store.ts";

/** A campaign as it is stored, with its counters of the first stage. */
export interface Campaign {
  readonly workspaceId: string;
  readonly id: string;
  readonly name: string;
  readonly surface: "engine" | "batch";
  readonly engine: boolean;
  readonly state: CampaignState;
  readonly senderId: string;
  readonly channel: "whatsapp" | "email";
  readonly message: MessageDefinition;
  readonly audienceType: "segment" | "list" | "csv" | "inline" | "all" | "resend";
  /** `listId`: the list it writes to; of `csv` and `inline` the campaign's own. */
  readonly audienceConfig: AudienceConfig;
  readonly audienceExclude: Exclude;
  readonly scheduleType: "now" | "scheduled" | "manual";
  readonly scheduledAt: Date | null;
  /** Null: the sender's pace only. */
  readonly perMinute: number | null;
  readonly batchSize: number | null;
  readonly delayBetweenBatchesMs: number;
  readonly variables: Variables;
  readonly onUncertain: "hold" | "resend";
  readonly onDailyLimit: "pause" | "wait";
  readonly expiresAt: Date | null;
  readonly pauseReason: string | null;
  readonly failure: string | null;
  /** Null until planned. */
  readonly totalRecipients: number | null;
  /** Null until it has ended and everybody has an outcome. */
  readonly statement: Statement | null;
  readonly lastBatch: unknown;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly pausedAt: Date | null;
  readonly completedAt: Date | null;
  readonly counts: {
    readonly accepted: number;
    readonly failed: number;
    readonly skipped: number;
    readonly uncertain: number;
  };
}

const campaigns = (sql: Sql) => sql`
  select c.workspace_id, c.id, c.name, c.surface, c.engine, c.state, c.sender_id, c.channel, c.message, c.audience_type, c.audience_config, c.audience_exclude,
    c.schedule_type, c.scheduled_at, c.per_minute, c.batch_size, c.delay_between_batches_ms, c.variables, c.on_uncertain, c.on_daily_limit,
    c.expires_at, c.pause_reason, c.failure, c.total_recipients, c.statement, c.last_batch, c.created_at, c.started_at, c.paused_at, c.completed_at,
    jsonb_build_object('accepted', coalesce(d.accepted, 0), 'failed', coalesce(d.failed, 0), 'skipped', coalesce(d.skipped, 0), 'uncertain', coalesce(d.uncertain, 0)) as counts
  from campaign c left join dispatch_count d on d.campaign_id = c.id and d.stage = 1
  where c.deleted_at is null`;

export const readCampaign = (sql: Sql, ref: CampaignRef) => sql<Campaign[]>`
  ${campaigns(sql)} and c.workspace_id = ${ref.workspaceId} and c.id = ${ref.id}`;

/** The newest first; `after` is the last campaign of the page before. */
export const listCampaigns = (sql: Sql, workspaceId: string, by: { after: string | null; limit: number }) => sql<Campaign[]>`
  ${campaigns(sql)} and c.workspace_id = ${workspaceId}
    ${by.after === null ? sql`` : sql`and (c.created_at, c.id) < (select created_at, id from campaign where workspace_id = ${workspaceId} and id = ${by.after})`}
  order by c.created_at desc, c.id desc limit ${by.limit}`;

/** How many the audience of a campaign `k` holds now, of those who fit the condition over contact `c`. */
const audienceSize = (sql: Sql, condition: Fragment | null) => sql`
  case when k.audience_type in ('all', 'segment') then (select count(*)::int from contact c where c.workspace_id = k.workspace_id and ${condition ?? sql`true`})
    else (select count(*)::int from list_member l ${condition === null ? sql`` : sql`join contact c on c.workspace_id = l.workspace_id and c.id = l.contact_id`}
      where l.workspace_id = k.workspace_id and l.list_id = (k.audience_config->>'listId')::uuid and ${condition ?? sql`true`}) end`;

/** How many the audience holds now: what a campaign that is not planned yet would write to. */
export const countAudience = (sql: Sql, campaign: Campaign, condition: Fragment | null) =>
  campaign.audienceConfig.resend === undefined ? countMembers(sql, campaign, condition) : countScope(sql, campaign.audienceConfig.resend);

const countScope = (sql: Sql, { campaignId, scope }: Resending) => sql<{ size: number }[]>`
  select count(*)::int as size from recipient r where r.campaign_id = ${campaignId} and ${inScope(sql, scope)}`;

const countMembers = (sql: Sql, campaign: Campaign, condition: Fragment | null) => sql<{ size: number }[]>`
  select ${audienceSize(sql, condition)} as size from campaign k where k.workspace_id = ${campaign.workspaceId} and k.id = ${campaign.id}`;

interface Figures extends Campaign {
  /** How many the audience holds now; 0 once the campaign is planned. */
  readonly audience: number;
  readonly skipped: readonly { readonly reason: string; readonly count: number }[];
  readonly reached: readonly { readonly kind: ReceiptKind; readonly messages: number }[];
  readonly failures: readonly FailureCount[];
}

/** A campaign with all its figures, in one statement: taken one after the other they would contradict each other while it sends. */
export const readFigures = (sql: Sql, ref: CampaignRef, condition: Fragment | null) => sql<Figures[]>`
  select k.*, case when k.total_recipients is not null then 0 else ${audienceSize(sql, condition)} end as audience,
    coalesce((select jsonb_agg(s) from (${countSkipped(sql, ref.id)}) s), '[]') as skipped,
    coalesce((select jsonb_agg(r) from (${countReached(sql, ref.id)}) r), '[]') as reached,
    coalesce((select jsonb_agg(f) from (${countFailures(sql, ref.id)}) f), '[]') as failures
  from (${readCampaign(sql, ref)}) k`;

/** Skipped messages of the first stage by reason. */
const countSkipped = (sql: Sql, id: string) => sql`
  select code as reason, count(*)::int as count from message
  where campaign_id = ${id} and stage = 1 and state = 'skipped' group by code order by count desc, code`;

/** Messages that have each kind of receipt, each message counted once per kind. */
const countReached = (sql: Sql, id: string) => sql`
  select kind, messages from receipt_count where campaign_id = ${id} and stage = 1`;

interface FailureCount {
  readonly code: string;
  readonly count: number;
  /** One of the causes that came with this code. */
  readonly cause: string | null;
  /** Of `count`, how many were accepted first and reported as failed later. */
  readonly undelivered: number;
}

/** Why messages of the first stage failed, at once or later; the sum is what the failure rate counts. */
const countFailures = (sql: Sql, id: string) => sql`
  select code, count(*)::int as count, min(cause) as cause, (count(*) filter (where later))::int as undelivered from (
    select coalesce(m.code, 'unknown') as code, m.cause, false as later from message m where m.campaign_id = ${id} and m.stage = 1 and m.state = 'failed'
    union all
    select code, cause, true from (
      select distinct on (r.position) coalesce(r.code, 'unknown') as code, r.cause from receipt r
      join message m on m.campaign_id = r.campaign_id and m.stage = r.stage and m.position = r.position and m.state = 'accepted'
      where r.campaign_id = ${id} and r.stage = 1 and r.kind = 'failed' order by r.position, r.attempt desc) undelivered) failures
  group by code order by count desc, code`;

export interface CapUse {
  readonly used: number;
  /** Null: no cap. */
  readonly cap: number | null;
  /** When the next recipient may be opened; null: at once. */
  readonly nextFreeAt: Date | null;
}

/** The cap of the campaign's sender as it is at this moment. `cap_scope.used` is brought up to date by turns only, so openings are counted. */
export const readCap = (sql: Sql, campaign: Campaign) => sql<CapUse[]>`
  with scope as (
    select s.id, s.cap, s.calendar_zone, case when s.calendar_zone is null then campanile.clock() - interval '24 hours'
      else date_trunc('day', campanile.clock() at time zone s.calendar_zone) at time zone s.calendar_zone end as since
    from cap_scope s join sender on sender.workspace_id = s.workspace_id and sender.cap_scope_id = s.id
    where sender.workspace_id = ${campaign.workspaceId} and sender.id = ${campaign.senderId}),
  open as (select count(*)::int as used, min(o.last_at) as oldest from scope join opening o on o.scope_id = scope.id and o.last_at > scope.since)
  select open.used, scope.cap, case when open.used < scope.cap or scope.cap is null then null
    when scope.calendar_zone is null then open.oldest + interval '24 hours'
    else (date_trunc('day', campanile.clock() at time zone scope.calendar_zone) + interval '1 day') at time zone scope.calendar_zone end as next_free_at
  from scope, open`;
