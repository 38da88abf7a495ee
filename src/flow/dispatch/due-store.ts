import type { Variables } from "../../rules/message.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { MessageRow, Written } from "./message-store.ts";

/** A message that is due again: a retry, or a resend. */
export interface DueRow {
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly delays: number;
  readonly address: string | null;
  readonly variables: Variables;
}

/** The campaign whose due message has waited longest, of those that may be driven. */
export const nextDueCampaign = (sql: Sql, by: { among: readonly string[] | null; anyDriver: boolean }) => sql<{ campaignId: string }[]>`
  select m.campaign_id from message m join campaign c on c.id = m.campaign_id
  where m.state = 'queued' and m.due_at <= campanile.clock() and c.state = 'running' and (c.engine or ${by.anyDriver})
    and (${by.among === null} or m.campaign_id = any(${(by.among ?? []) as string[]}::uuid[]))
  order by m.due_at limit 1`;

/** Locks due messages of one campaign that nobody else has locked. */
export const lockDue = (sql: Sql, campaignId: string, limit: number) => sql<DueRow[]>`
  with due as materialized (
    select m.campaign_id, m.stage, m.position, m.attempt, m.delays from message m
    where m.campaign_id = ${campaignId} and m.state = 'queued' and m.due_at <= campanile.clock()
    order by m.due_at, m.position limit ${limit} for update of m skip locked)
  select d.stage, d.position, d.attempt, d.delays, r.address, r.variables
  from due d join recipient r on r.campaign_id = d.campaign_id and r.position = d.position order by d.position`;

/** The mark of due messages: they may leave once this is committed. */
export const markHanding = (
  sql: Sql,
  campaignId: string,
  by: { rows: readonly { stage: number; position: number }[]; token: string; leaseMs: number },
) => sql`
  update message m set state = 'handing', token = ${by.token}, lease_until = campanile.clock() + ${by.leaseMs} * interval '1 ms', due_at = null
  from unnest(${by.rows.map((row) => row.stage)}::smallint[], ${by.rows.map((row) => row.position)}::int[]) as o (stage, position)
  where m.campaign_id = ${campaignId} and m.stage = o.stage and m.position = o.position and m.state = 'queued'`;

/** Due messages that cannot go now wait until then. */
export const postpone = (sql: Sql, campaignId: string, rows: readonly { stage: number; position: number }[], dueAt: Date) => sql`
  update message m set due_at = ${dueAt}
  from unnest(${rows.map((row) => row.stage)}::smallint[], ${rows.map((row) => row.position)}::int[]) as o (stage, position)
  where m.campaign_id = ${campaignId} and m.stage = o.stage and m.position = o.position and m.state = 'queued'`;

/** Due messages that will not go at all. */
export const skipQueued = (sql: Sql, campaignId: string, rows: readonly MessageRow[]) => sql<Written[]>`
  update message m set state = 'skipped', code = o.code, cause = o.cause, due_at = null, at = campanile.clock()
  from unnest(${rows.map((row) => row.stage)}::smallint[], ${rows.map((row) => row.position)}::int[], ${rows.map((row) => row.code)}::text[],
    ${rows.map((row) => row.cause)}::text[]) as o (stage, position, code, cause)
  where m.campaign_id = ${campaignId} and m.stage = o.stage and m.position = o.position and m.state = 'queued'
  returning m.stage, m.position, m.state`;

/** Messages marked by a holder whose lease ran out: nobody knows whether they were sent. */
export const doubtHanding = (sql: Sql, by: { marginMs: number; limit: number }) => sql<(Written & { campaignId: string; address: string | null })[]>`
  with forsaken as materialized (
    select campaign_id, stage, position from message where state = 'handing' and lease_until < campanile.clock() - ${by.marginMs} * interval '1 ms'
    order by campaign_id, stage, position limit ${by.limit} for update skip locked),
  written as (
    update message m set state = 'uncertain', code = 'lease_expired', token = null, lease_until = null, at = campanile.clock(),
      cause = 'The engine that was sending this message stopped before it could say what became of it.'
    from forsaken f where m.campaign_id = f.campaign_id and m.stage = f.stage and m.position = f.position
    returning m.campaign_id, m.stage, m.position, m.state)
  select w.*, r.address from written w join recipient r on r.campaign_id = w.campaign_id and r.position = w.position order by 1, 2, 3`;

/**
 * Messages in doubt for so long that, by their campaign's policy, they are sent again as a further attempt. Those a receipt speaks of
 * are left to be settled by it.
 */
export const resendDoubts = (sql: Sql, by: { afterMs: number; limit: number }) => sql<
  { campaignId: string; stage: number; position: number; attempt: number }[]
>`
  with doubted as materialized (
    select m.campaign_id, m.stage, m.position, m.attempt, m.code, m.cause, m.at
    from message m join campaign c on c.id = m.campaign_id
    where m.state = 'uncertain' and c.on_uncertain = 'resend' and c.state = 'running' and m.at <= campanile.clock() - ${by.afterMs} * interval '1 ms'
      and not exists (select 1 from receipt r where r.campaign_id = m.campaign_id and r.stage = m.stage and r.position = m.position)
    order by m.campaign_id, m.stage, m.position limit ${by.limit} for update of m skip locked),
  kept as (
    insert into attempt (campaign_id, stage, position, attempt, outcome, code, cause, at)
    select campaign_id, stage, position, attempt, 'uncertain', code, cause, at from doubted on conflict do nothing)
  update message m set state = 'queued', attempt = m.attempt + 1, due_at = campanile.clock(), delays = 0
  from doubted d where m.campaign_id = d.campaign_id and m.stage = d.stage and m.position = d.position
  returning m.campaign_id, m.stage, m.position, m.attempt`;

/** Campaigns with messages in doubt, or resends not yet begun, of which a receipt speaks. */
export const provedCampaigns = (sql: Sql, limit: number) => sql<{ campaignId: string }[]>`
  select distinct m.campaign_id from message m
  where m.state in ('uncertain', 'queued') and exists (
    select 1 from receipt r where r.campaign_id = m.campaign_id and r.stage = m.stage and r.position = m.position and r.attempt <= m.attempt
      and r.kind <> 'replied' and r.provider_ref is not null)
  limit ${limit}`;
