import type { Sql } from "../../runtime/postgres.ts";

/**
 * Campaigns of which there is something to tell: those that go on, and those that ended not so long ago, for receipts come after the end.
 * What it looks at is not locked; `tellProgress` looks again.
 */
export const changedCampaigns = (sql: Sql, limit: number) => sql<{ id: string }[]>`
  select c.id from campaign c left join campaign_progress p on p.campaign_id = c.id
    cross join lateral (select coalesce(sum(accepted + failed + skipped + uncertain), 0)::int as processed from dispatch_count
      where campaign_id = c.id and stage = 1) d
    cross join lateral (select coalesce(sum(messages), 0)::int as heard from receipt_count where campaign_id = c.id and stage = 1) r
  where c.started_at is not null and c.deleted_at is null
    and (c.state in ('running', 'paused') or c.completed_at > campanile.clock() - interval '3 days')
    and (d.processed, r.heard) is distinct from (coalesce(p.processed, 0), coalesce(p.heard, 0))
    and (p.at is null or p.at <= campanile.clock() - interval '5 seconds'
      or (d.processed / 100 <> p.processed / 100 and p.at <= campanile.clock() - interval '1 second'))
  order by c.id limit ${limit}`;

export const tellProgress = (sql: Sql, campaignId: string) => sql<{ told: boolean }[]>`
  select campanile.tell_progress(${campaignId}, false) as told`;
