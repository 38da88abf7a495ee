import type { Variables } from "../../rules/message.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { endsAs, type MessageRow, type Written } from "./message-store.ts";

/** A message that is due again: a retry, or a resend. */
export interface DueRow {
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly delays: number;
  readonly address: string | null;
  readonly variables: Variables;
}

/**
 * A receipt that proves that an attempt of `m` was sent; null: there is none. A reply may be to anything. (One probe for each message: as
 * `exists` Postgres compares all with all while its statistics know nothing of the campaign.)
 */
const proof = (sql: Sql) => sql`
  (select true from receipt r where r.campaign_id = m.campaign_id and r.stage = m.stage and r.position = m.position and r.attempt <= m.attempt
    and r.kind <> 'replied' and r.provider_ref is not null limit 1)`;

export interface NextDue {
  readonly campaignId: string;
  readonly senderId: string;
  /** Until its first message is due; 0 when it is. */
  readonly inMs: number;
}

/** The campaign whose message is due first, of those that may be driven; not of the senders in `except`. */
export const nextDueCampaign = (sql: Sql, by: { among: readonly string[] | null; anyDriver: boolean; except: readonly string[] }) => sql<NextDue[]>`
  select c.id as campaign_id, c.sender_id, greatest(0, ceil(extract(epoch from m.due_at - campanile.clock()) * 1000))::float8 as in_ms
  from campaign c cross join lateral (
    select due_at from message where campaign_id = c.id and state = 'queued' and due_at is not null order by due_at limit 1) m
  where c.state = 'running' and (c.engine or ${by.anyDriver})
    and c.sender_id <> all(${by.except as string[]}::uuid[]) and (${by.among === null} or c.id = any(${(by.among ?? []) as string[]}::uuid[]))
  order by m.due_at limit 1`;

/** Locks due messages of one campaign that nobody else has locked, and of which no receipt says that they were sent already. */
export const lockDue = (sql: Sql, campaignId: string, limit: number) => sql<DueRow[]>`
  with due as materialized (
    select m.campaign_id, m.stage, m.position, m.attempt, m.delays from message m
    where m.campaign_id = ${campaignId} and m.state = 'queued' and m.due_at <= campanile.clock() and ${proof(sql)} is null
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

/** What was marked in a transaction whose COMMIT was not confirmed, and never begun, is due again. */
export const unmarkHanding = (sql: Sql, campaignId: string, token: string) => sql`
  update message set state = 'queued', token = null, lease_until = null, due_at = campanile.clock()
  where campaign_id = ${campaignId} and state = 'handing' and token = ${token}`;

/** Due messages that cannot go now wait until then. */
export const postpone = (sql: Sql, campaignId: string, rows: readonly { stage: number; position: number }[], dueAt: Date) => sql`
  update message m set due_at = ${dueAt}
  from unnest(${rows.map((row) => row.stage)}::smallint[], ${rows.map((row) => row.position)}::int[]) as o (stage, position)
  where m.campaign_id = ${campaignId} and m.stage = o.stage and m.position = o.position and m.state = 'queued'`;

/** Due messages that will not go at all. One of which an earlier attempt is in doubt stays in doubt, for good. */
export const skipQueued = (sql: Sql, campaignId: string, rows: readonly MessageRow[]) => sql<Written[]>`
  update message m set code = o.code, cause = o.cause, due_at = null, at = campanile.clock(), ${endsAs(sql, sql`'skipped'`)}
  from unnest(${rows.map((row) => row.stage)}::smallint[], ${rows.map((row) => row.position)}::int[], ${rows.map((row) => row.code)}::text[],
    ${rows.map((row) => row.cause)}::text[]) as o (stage, position, code, cause)
  where m.campaign_id = ${campaignId} and m.stage = o.stage and m.position = o.position and m.state = 'queued'
  returning m.stage, m.position, m.state`;

/** Messages marked by a holder whose lease ran out: nobody knows whether they were sent. */
export const doubtHanding = (sql: Sql, campaignId: string, by: { marginMs: number; limit: number }) => sql<(Written & { address: string | null })[]>`
  with forsaken as materialized (
    select campaign_id, stage, position from message
    where campaign_id = ${campaignId} and state = 'handing' and lease_until < campanile.clock() - ${by.marginMs} * interval '1 ms'
    order by stage, position limit ${by.limit} for update skip locked),
  written as (
    update message m set state = 'uncertain', code = 'lease_expired', token = null, lease_until = null, at = campanile.clock(),
      cause = 'The engine that was sending this message stopped before it could say what became of it.'
    from forsaken f where m.campaign_id = f.campaign_id and m.stage = f.stage and m.position = f.position
    returning m.stage, m.position, m.state)
  select w.*, r.address from written w join recipient r on r.campaign_id = ${campaignId} and r.position = w.position order by 1, 2`;

/** Campaigns with messages whose holder's lease ran out. */
export const forsakenCampaigns = (sql: Sql, by: { marginMs: number; limit: number }) => sql<{ campaignId: string }[]>`
  select distinct campaign_id from message where state = 'handing' and lease_until < campanile.clock() - ${by.marginMs} * interval '1 ms'
  order by campaign_id limit ${by.limit}`;

/** Campaigns with messages in doubt for so long that, by their policy, they are sent again. */
export const campaignsToResend = (sql: Sql, by: { afterMs: number; attemptsMax: number; limit: number }) => sql<{ campaignId: string }[]>`
  select distinct m.campaign_id from message m join campaign c on c.id = m.campaign_id
  where m.state = 'uncertain' and m.attempt < ${by.attemptsMax} and c.on_uncertain = 'resend' and c.state = 'running'
    and m.at <= campanile.clock() - ${by.afterMs} * interval '1 ms' and ${proof(sql)} is null
  order by m.campaign_id limit ${by.limit}`;

/** Locks them. The campaign is locked after them and looked at again before anything is written. */
export const lockDoubts = (sql: Sql, campaignId: string, by: { afterMs: number; attemptsMax: number; limit: number }) => sql<
  { stage: number; position: number }[]
>`
  select m.stage, m.position from message m
  where m.campaign_id = ${campaignId} and m.state = 'uncertain' and m.attempt < ${by.attemptsMax}
    and m.at <= campanile.clock() - ${by.afterMs} * interval '1 ms' and ${proof(sql)} is null
  order by m.stage, m.position limit ${by.limit} for update of m skip locked`;

/** Sends messages in doubt again, as a further attempt; the one before is kept. */
export const resendDoubts = (sql: Sql, campaignId: string, rows: readonly { stage: number; position: number }[]) => sql<{ stage: number }[]>`
  with doubted as (
    select m.* from message m join unnest(${rows.map((row) => row.stage)}::smallint[], ${rows.map((row) => row.position)}::int[]) as o (stage, position)
      on m.stage = o.stage and m.position = o.position
    where m.campaign_id = ${campaignId} and m.state = 'uncertain'),
  kept as (
    insert into attempt (campaign_id, stage, position, attempt, outcome, code, cause, at)
    select campaign_id, stage, position, attempt, 'uncertain', code, cause, at from doubted on conflict do nothing)
  update message m set state = 'queued', attempt = m.attempt + 1, due_at = campanile.clock(), delays = 0
  from doubted d where m.campaign_id = d.campaign_id and m.stage = d.stage and m.position = d.position
  returning m.stage`;

/** Campaigns with messages in doubt, or resends not yet begun, of which a receipt speaks. */
export const provedCampaigns = (sql: Sql, limit: number) => sql<{ campaignId: string }[]>`
  select distinct m.campaign_id from message m where m.state in ('uncertain', 'queued') and ${proof(sql)} is not null order by m.campaign_id limit ${limit}`;
