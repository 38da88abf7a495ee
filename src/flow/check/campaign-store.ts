import { ATTEMPTS_MAX } from "../../rules/limits.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { found } from "./store.ts";

/** What must be over when a campaign is: its lots when it completed, what waits or is handed over when it is stated. */
export const leftAfterTheEnd = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  select format('%s, with the lot %s–%s', c.state, l.first, l.last) as example
  from campaign c join lot l on l.campaign_id = c.id where c.id = ${campaignId} and c.state = 'completed'
  union all
  select format('%s, with stage %s, position %s %s', c.state, m.stage, m.position, m.state)
  from campaign c join message m on m.campaign_id = c.id
  where c.id = ${campaignId} and (c.statement is not null or c.state = 'completed')
    and (m.state in ('queued', 'handing') or m.state = 'uncertain' and m.attempt < ${ATTEMPTS_MAX} and c.on_uncertain = 'resend' and c.state = 'completed')`,
  );

export const eventGaps = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  select format('%s events, numbered %s to %s; the last should be %s', e.number, e.first, e.last, c.last_seq) as example
  from campaign c
    cross join lateral (select count(*) as number, coalesce(min(seq), 1) as first, coalesce(max(seq), 0) as last from event where campaign_id = c.id) e
  where c.id = ${campaignId} and (e.number <> c.last_seq or e.last <> c.last_seq or e.first <> 1)`,
  );

/**
 * The path that the events tell. The steps from draft to scheduled and preparing have none, so planning may follow anything that
 * came to rest before it; the last event is the state the campaign is in.
 */
export const illegalHistory = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  with told as (
    select seq, name, case name when 'campaign:started' then 'running' when 'campaign:resumed' then body ->> 'state' else split_part(name, ':', 2) end as state
    from event
    where campaign_id = ${campaignId}
      and name in ('campaign:started', 'campaign:paused', 'campaign:resumed', 'campaign:completed', 'campaign:stopped', 'campaign:failed')),
  steps as (select *, lag(state) over (order by seq) as before, lead(seq) over (order by seq) is null as is_last from told)
  select format('event %s: %s after %s', seq, name, coalesce(before, 'nothing')) as example from steps s
  where before in ('completed', 'stopped', 'failed')
    or name = 'campaign:resumed' and before is distinct from 'paused'
    or name = 'campaign:started' and coalesce(before, 'scheduled') <> 'scheduled'
    or before <> 'scheduled' and not exists (select from campaign_transition t where t.from_state = s.before and t.to_state = s.state)
  union all
  select format('the last event says %s, the campaign is %s', s.state, c.state) from steps s join campaign c on c.id = ${campaignId}
  where s.is_last and c.state <> s.state and not (s.state = 'scheduled' and c.state = 'preparing')`,
  );

export const illegalLots = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  with ordered as (
    select l.*, c.total_recipients as total, lead(l.first) over (order by l.first) as next
    from lot l join campaign c on c.id = l.campaign_id where l.campaign_id = ${campaignId})
  select format('the lot %s–%s %s', first, last, fault.text) as example
  from ordered cross join lateral (values
    (case when next <= last then 'overlaps the one from ' || next end),
    (case when first < 1 or last < first or last > total then format('is not within 1–%s', total) end),
    (case when handed < first - 1 or handed > last then 'has its mark at ' || handed end),
    (case when (holder is null) <> (lease_until is null) then 'is held without a lease, or leased by nobody' end)) as fault (text)
  where fault.text is not null order by first`,
  );

/** Leases that ran out longer ago than `ms`, and nobody looked after what they were for. */
export const overdueRecoveries = (sql: Sql, campaignId: string, ms: number) =>
  found(
    sql,
    sql`
  select format('the lot %s–%s, since %s', first, last, lease_until) as example from lot
  where campaign_id = ${campaignId} and lease_until < campanile.clock() - ${ms} * interval '1 ms'
  union all
  select format('stage %s, position %s, since %s', stage, position, lease_until) from message
  where campaign_id = ${campaignId} and state = 'handing' and lease_until < campanile.clock() - ${ms} * interval '1 ms'`,
  );
