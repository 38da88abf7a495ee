import type { CampaignState } from "../../rules/campaign-state.ts";
import { LATE_START_MAX_MS } from "../../rules/limits.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { CampaignRef } from "./deps.ts";
import type { Resending } from "./resend-store.ts";

/** Where an audience comes from. */
export interface AudienceConfig {
  /** The list it is; of `csv` and `inline` the campaign's own. */
  readonly listId?: string;
  readonly segmentId?: string;
  readonly resend?: Resending;
}

/** A campaign as its own transitions need it. */
export interface LockedCampaign {
  readonly id: string;
  readonly workspaceId: string;
  readonly state: CampaignState;
  readonly surface: "engine" | "batch";
  readonly engine: boolean;
  readonly audienceType: "segment" | "list" | "csv" | "inline" | "all" | "resend";
  readonly audienceConfig: AudienceConfig;
  readonly channel: string;
  readonly scheduledAt: Date | null;
  /** Its time has come: it waits for the planner only. */
  readonly due: boolean;
  /** Its time came so long ago that nobody may expect it any more. */
  readonly missed: boolean;
  readonly now: Date;
  readonly batchSize: number | null;
  readonly delayBetweenBatchesMs: number;
  readonly totalRecipients: number | null;
  readonly planCursor: PlanCursor | null;
  readonly senderConnected: boolean;
  readonly senderDeleted: boolean;
  readonly blockedReason: string | null;
}

/** The last member of the audience that planning looked at: by its place in a list, or among all contacts. */
interface PlanCursor {
  readonly ordinal?: number;
  readonly createdAt?: string;
  readonly id?: string;
}

/** Locks a campaign until commit; every transition and every step of planning holds this lock. */
export const lockCampaign = (sql: Sql, ref: CampaignRef) => sql<LockedCampaign[]>`
  select c.id, c.workspace_id, c.state, c.surface, c.engine, c.audience_type, c.audience_config, c.channel, c.scheduled_at,
    c.scheduled_at <= campanile.clock() as due, c.scheduled_at < campanile.clock() - ${LATE_START_MAX_MS} * interval '1 ms' as missed,
    campanile.clock() as now, c.batch_size, c.delay_between_batches_ms, c.total_recipients, c.plan_cursor,
    s.connected_at is not null as sender_connected, s.deleted_at is not null as sender_deleted, s.blocked_reason
  from campaign c join sender s on s.workspace_id = c.workspace_id and s.id = c.sender_id
  where c.workspace_id = ${ref.workspaceId} and c.id = ${ref.id} and c.deleted_at is null for no key update of c`;

/** Keeps a draft a draft until commit: a start waits. For whoever adds to a draft's audience. */
export const lockDraft = (sql: Sql, ref: CampaignRef) => sql<{ state: CampaignState }[]>`
  select state from campaign where workspace_id = ${ref.workspaceId} and id = ${ref.id} and deleted_at is null for share`;

/** A draft with a time of its own keeps it while it lies ahead; any other is due now. */
export const schedule = (sql: Sql, id: string) => sql<{ scheduledAt: Date }[]>`
  update campaign set state = 'scheduled', scheduled_at = greatest(scheduled_at, campanile.clock())
  where id = ${id} and state = 'draft' returning scheduled_at, pg_notify('campanile', id::text)`;

/** Each turn sees the state under the same lock. The epoch is for whoever holds a part of the campaign elsewhere: it is void now. */
export const pause = (sql: Sql, id: string, reason: string | null) => sql<{ pausedAt: Date }[]>`
  update campaign set state = 'paused', epoch = epoch + 1, paused_at = campanile.clock(), pause_reason = ${reason}
  where id = ${id} and state in ('scheduled', 'preparing', 'running') returning paused_at`;

/** To `running` when the recipients are known, else back to `scheduled` (planning goes on where it stood), for now if its time has passed. */
export const resume = (sql: Sql, id: string) => sql<{ state: CampaignState }[]>`
  update campaign set state = case when total_recipients is null then 'scheduled' else 'running' end, epoch = epoch + 1,
    paused_at = null, pause_reason = null, scheduled_at = case when total_recipients is null then greatest(scheduled_at, campanile.clock()) else scheduled_at end
  where id = ${id} and state = 'paused' returning state`;

/** Whoever was planned so far is a recipient, and gets an outcome; nobody else is. */
const plannedSoFar = (sql: Sql) => sql`coalesce(total_recipients, (select max(position) from recipient where campaign_id = campaign.id), 0)`;

export const stop = (sql: Sql, id: string) => sql<{ completedAt: Date; totalRecipients: number }[]>`
  update campaign set state = 'stopped', epoch = epoch + 1, completed_at = campanile.clock(), pause_reason = null, plan_cursor = null, total_recipients = ${plannedSoFar(sql)}
  where id = ${id} and state in ('draft', 'scheduled', 'preparing', 'running', 'paused') returning completed_at, total_recipients`;

export const fail = (sql: Sql, id: string, failure: string) => sql<{ totalRecipients: number }[]>`
  update campaign set state = 'failed', epoch = epoch + 1, completed_at = campanile.clock(), failure = ${failure}, plan_cursor = null, total_recipients = ${plannedSoFar(sql)}
  where id = ${id} and state in ('scheduled', 'preparing') returning total_recipients`;

/**
 * How many messages may be on their way: marked and without an outcome, or handed over a further time. An upper bound: a holder may
 * still give back what it has not begun.
 */
export const countInFlight = (sql: Sql, id: string) => sql<{ inFlight: number }[]>`
  select (coalesce((select sum(l.handed - l.first + 1 - (select count(*) from message m where m.campaign_id = l.campaign_id and m.stage = 1 and m.position between l.first and l.handed))
      from lot l where l.campaign_id = ${id} and l.handed >= l.first), 0)
    + (select count(*) from message where campaign_id = ${id} and state = 'handing'))::int as in_flight`;

/** Locks every lot of a campaign in key order. Lots come before the campaign in the order of locks. */
export const lockLots = (sql: Sql, ref: CampaignRef) => sql`
  select l.first from lot l join campaign c on c.id = l.campaign_id
  where c.workspace_id = ${ref.workspaceId} and c.id = ${ref.id} order by l.first for no key update of l`;

/**
 * Free lots that wait for a cap or a hold may be tried again: at once, or after the delay between two batches. Those that wait for
 * the batch before them (`infinity`) go on waiting.
 */
export const wakeLots = (sql: Sql, id: string, delayMs: number) => sql`
  update lot set due_at = campanile.clock() + ${delayMs} * interval '1 ms'
  where campaign_id = ${id} and holder is null and due_at < 'infinity' and due_at > campanile.clock() + ${delayMs} * interval '1 ms'`;

/**
 * For this transaction: rows are found by index, one by one. Of an audience that was imported a moment ago, and of what has just been
 * sent, Postgres has no statistics; taking a table for nearly empty, it would read and sort all that is left of it for every chunk.
 */
export const preferIndexes = (sql: Sql) => sql`
  select set_config(name, 'off', true) from unnest(array['enable_seqscan', 'enable_bitmapscan', 'enable_hashjoin', 'enable_mergejoin', 'jit']) as name`;

/** Tells whoever follows this campaign, and wakes the loops. Last in its transaction: the sequence is taken under the campaign's lock. */
export const emit = (sql: Sql, id: string, name: string, body: Readonly<Record<string, unknown>>) => sql`
  with next as (update campaign set last_seq = last_seq + 1 where id = ${id} returning last_seq)
  insert into event (campaign_id, seq, name, body)
  select ${id}, last_seq, ${name}, ${sql.json({ campaignId: id, ...body } as never)} from next
  returning pg_notify('campanile', ${id}::text)`;
