import type { CampaignState } from "../../rules/campaign-state.ts";
import type { Sql } from "../../runtime/postgres.ts";

/** How one campaign stands that has not ended; whole numbers of messages of its first stage. */
export interface QueueRow {
  readonly id: string;
  readonly name: string;
  readonly state: CampaignState;
  /** Nobody has begun with them. */
  readonly waiting: number;
  /** Marked or on their way, and not settled. */
  readonly active: number;
  readonly failed: number;
  /** As it was last told; 0 when nothing moved for a while. */
  readonly perMinute: number;
}

/** Campaigns that are under way or paused, of a workspace or of all. Of the lots only those that are held are looked into. */
export const readQueue = (sql: Sql, workspaceId: string | null) => sql<QueueRow[]>`
  select c.id, c.name, c.state, greatest(0, coalesce(c.total_recipients, 0) - d.processed - a.active)::int as waiting, a.active, d.failed,
    (case when p.at > campanile.clock() - interval '15 seconds' then p.per_minute else 0 end)::float8 as per_minute
  from campaign c left join campaign_progress p on p.campaign_id = c.id
    cross join lateral (select coalesce(sum(accepted + failed + skipped + uncertain), 0)::int as processed, coalesce(sum(failed), 0)::int as failed
      from dispatch_count where campaign_id = c.id and stage = 1) d
    cross join lateral (select (
      coalesce((select sum(l.handed - l.first + 1 - (
        select count(*) from message m where m.campaign_id = l.campaign_id and m.stage = 1 and m.position between l.first and l.handed))
        from lot l where l.campaign_id = c.id and l.holder is not null), 0)
      + (select count(*) from message m where m.campaign_id = c.id and m.state = 'handing'))::int as active) a
  where c.state in ('scheduled', 'preparing', 'running', 'paused') and c.deleted_at is null
    ${workspaceId === null ? sql`` : sql`and c.workspace_id = ${workspaceId}`}
  order by c.created_at, c.id limit 1000`;

export interface InboxRow {
  /** Webhooks that were stored and not yet looked at. */
  readonly waiting: number;
  readonly oldestSeconds: number;
}

/** What has come in and waits. */
export const readInbox = (sql: Sql) => sql<InboxRow[]>`
  select count(*)::int as waiting, coalesce(extract(epoch from campanile.clock() - min(received_at)), 0)::float8 as oldest_seconds
  from inbox where state = 'new'`;
