import { ATTEMPTS_MAX } from "../../rules/limits.ts";
import type { Fragment, Sql } from "../../runtime/postgres.ts";

/** One message's outcome, ready to be stored. `ended`: the attempt that failed before the one that `queued` waits for. */
export interface MessageRow {
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly state: "accepted" | "failed" | "skipped" | "uncertain" | "queued";
  readonly code: string | null;
  readonly cause: string | null;
  readonly providerRef: string | null;
  readonly delayMs: number | null;
  readonly delays: number;
  readonly ended: boolean;
}

export interface Written {
  readonly stage: number;
  readonly position: number;
  readonly state: MessageRow["state"];
}

/** The outcomes as rows of a statement. A queued row waits for the next attempt when its last one ended. */
function outcomes(sql: Sql, rows: readonly MessageRow[]) {
  const column = (value: (row: MessageRow) => string | number | null) => rows.map(value);
  return sql`unnest(${column((row) => row.stage)}::smallint[], ${column((row) => row.position)}::int[], ${column((row) => row.attempt)}::smallint[],
    ${column((row) => row.attempt + (row.ended ? 1 : 0))}::smallint[], ${column((row) => row.state)}::text[], ${column((row) => row.code)}::text[],
    ${column((row) => row.cause)}::text[], ${column((row) => row.providerRef)}::text[], ${column((row) => row.delayMs)}::float8[], ${column((row) => row.delays)}::smallint[])
    as o (stage, position, attempt, next_attempt, state, code, cause, provider_ref, delay_ms, delays)`;
}

/** Appends messages whose first outcome came; tells which were new. A repeat writes nothing and says so. */
export const insertMessages = (sql: Sql, campaignId: string, rows: readonly MessageRow[]) => sql<Written[]>`
  insert into message (campaign_id, stage, position, attempt, state, code, cause, provider_ref, at, due_at, delays)
  select ${campaignId}, stage, position, next_attempt, state, code, cause, provider_ref, campanile.clock(),
    case when state = 'queued' then campanile.clock() + delay_ms * interval '1 ms' end, delays
  from ${outcomes(sql, rows)} order by stage, position
  on conflict do nothing returning stage, position, state`;

/**
 * Appends messages of the first stage that were accepted at their first attempt: nearly all there are. Fails when one has a row
 * already, so only for who holds their lot and has stored none of them before. No conflict to look out for halves its price.
 */
export const insertAccepted = (sql: Sql, campaignId: string, rows: readonly MessageRow[]) => sql`
  insert into message (campaign_id, stage, position, attempt, state, provider_ref, at)
  select ${campaignId}, 1, position, 1, 'accepted', provider_ref, now.at
  from (select campanile.clock() as at offset 0) now,
    unnest(${rows.map((row) => row.position)}::int[], ${rows.map((row) => row.providerRef)}::text[]) as o (position, provider_ref)`;

/**
 * The state a message that is sent again ends in, and its attempt. When it fails, or does not go at all, while an earlier attempt is
 * in doubt, nobody can say that nothing was sent: it is uncertain for good, as one whose attempts are used up.
 */
export const endsAs = (sql: Sql, state: Fragment, attempt: Fragment = sql`m.attempt`) => {
  const inDoubt = sql`${state} in ('failed', 'skipped') and exists (
    select 1 from attempt a where a.campaign_id = m.campaign_id and a.stage = m.stage and a.position = m.position and a.outcome = 'uncertain')`;
  return sql`state = case when ${inDoubt} then 'uncertain' else ${state} end, attempt = case when ${inDoubt} then greatest(${ATTEMPTS_MAX}, m.attempt) else ${attempt} end`;
};

/** Writes the outcomes of due messages that are still handed over under `token`; tells which were. */
export const settleHanding = (sql: Sql, campaignId: string, token: string, rows: readonly MessageRow[]) => sql<Written[]>`
  update message m set ${endsAs(sql, sql`o.state`, sql`o.next_attempt`)}, code = o.code, cause = o.cause, provider_ref = o.provider_ref, at = campanile.clock(),
    due_at = case when o.state = 'queued' then campanile.clock() + o.delay_ms * interval '1 ms' end, delays = o.delays, token = null, lease_until = null
  from ${outcomes(sql, rows)}
  where m.campaign_id = ${campaignId} and m.stage = o.stage and m.position = o.position and m.state = 'handing' and m.token = ${token}
  returning m.stage, m.position, m.state`;

/** Keeps attempts that ended and are followed by another. */
export const insertAttempts = (sql: Sql, campaignId: string, rows: readonly MessageRow[]) => sql`
  insert into attempt (campaign_id, stage, position, attempt, outcome, code, cause, at)
  select ${campaignId}, stage, position, attempt, 'rejected', code, cause, campanile.clock() from ${outcomes(sql, rows)}
  on conflict do nothing`;

/** Positions of an expired lot that were marked and have no row: nobody knows whether they were sent. */
export const insertInDoubt = (sql: Sql, campaignId: string, from: number, to: number) => sql<{ position: number; address: string | null }[]>`
  with written as (
    insert into message (campaign_id, stage, position, attempt, state, code, cause, at)
    select campaign_id, 1, position, 1, 'uncertain', 'lease_expired', 'The engine that was sending this message stopped before it could say what became of it.', campanile.clock()
    from recipient r where campaign_id = ${campaignId} and position between ${from} and ${to}
      and (select m.position from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position) is null
    order by position on conflict do nothing returning position)
  select written.position, r.address from written join recipient r on r.campaign_id = ${campaignId} and r.position = written.position`;

export interface Accepted {
  readonly stage: number;
  readonly position: number;
  readonly before: "uncertain" | "queued";
}

/**
 * Messages in doubt that a receipt proves to have been sent become accepted; so does a resend that has not begun when a receipt of
 * an earlier attempt arrives. Takes `positions` of one campaign, or all of it. (Each by itself, which the limit enforces, and then by
 * where it lies: while its statistics knew nothing of the campaign, Postgres compared all its messages with all its receipts, for a minute.)
 */
export const acceptByReceipt = (sql: Sql, campaignId: string, positions: readonly number[] | null) => sql<Accepted[]>`
  with proof as materialized (
    select m.ctid as place, m.state as before, r.attempt, r.provider_ref
    from message m cross join lateral (
      select attempt, provider_ref from receipt r
      where r.campaign_id = m.campaign_id and r.stage = m.stage and r.position = m.position and r.attempt <= m.attempt
        and r.kind <> 'replied' and r.provider_ref is not null
      order by r.attempt desc limit 1) r
    where m.campaign_id = ${campaignId} and m.state in ('uncertain', 'queued')
      ${positions === null ? sql`` : sql`and m.position = any(${positions as number[]}::int[])`}
    order by m.stage, m.position for update of m)
  update message m set state = 'accepted', attempt = proof.attempt, provider_ref = proof.provider_ref, code = null, cause = null, due_at = null
  from proof where m.ctid = proof.place returning m.stage, m.position, proof.before`;

/**
 * A late answer to one attempt, found by its reference: it may lift what is in doubt, or cancel a further attempt that has not
 * begun. Returns what it changed.
 */
export const acceptLate = (sql: Sql, campaignId: string, late: { stage: number; position: number; attempt: number; providerRef: string }) => sql<
  Accepted[]
>`
  update message m set state = 'accepted', attempt = ${late.attempt}, provider_ref = ${late.providerRef}, code = null, cause = null, due_at = null
  from (select stage, position, state as before from message where campaign_id = ${campaignId} and stage = ${late.stage} and position = ${late.position} for update) b
  where m.campaign_id = ${campaignId} and m.stage = b.stage and m.position = b.position
    and (m.state = 'uncertain' and m.attempt >= ${late.attempt} or m.state = 'queued' and m.attempt > ${late.attempt})
  returning m.stage, m.position, b.before`;

export const lockMessage = (sql: Sql, campaignId: string, { stage, position }: { stage: number; position: number }) => sql`
  select 1 from message where campaign_id = ${campaignId} and stage = ${stage} and position = ${position} for update`;

/** A late answer that says the attempt in doubt was not sent: what follows from it, unless the campaign has ended; then it failed. */
export const refuseLate = (sql: Sql, campaignId: string, row: MessageRow) => sql<Written[]>`
  update message m set state = case when c.state in ('running', 'paused') then o.state else 'failed' end, code = o.code, cause = o.cause, delays = o.delays,
    attempt = case when c.state in ('running', 'paused') then o.next_attempt else m.attempt end,
    due_at = case when c.state in ('running', 'paused') and o.state = 'queued' then campanile.clock() + o.delay_ms * interval '1 ms' end
  from ${outcomes(sql, [row])}, campaign c
  where c.id = ${campaignId} and m.campaign_id = c.id and m.stage = o.stage and m.position = o.position and m.attempt = o.attempt and m.state = 'uncertain'
  returning m.stage, m.position, m.state`;

export interface CountChange {
  readonly stage: number;
  readonly accepted?: number;
  readonly failed?: number;
  readonly skipped?: number;
  readonly uncertain?: number;
}

/** Adds to the counters of a stage and returns them as they now are. */
export const addCounts = (sql: Sql, campaignId: string, change: CountChange) => sql<{ accepted: number; failed: number }[]>`
  insert into dispatch_count as d (campaign_id, stage, accepted, failed, skipped, uncertain)
  values (${campaignId}, ${change.stage}, ${change.accepted ?? 0}, ${change.failed ?? 0}, ${change.skipped ?? 0}, ${change.uncertain ?? 0})
  on conflict (campaign_id, stage) do update set accepted = d.accepted + excluded.accepted, failed = d.failed + excluded.failed,
    skipped = d.skipped + excluded.skipped, uncertain = d.uncertain + excluded.uncertain
  returning accepted, failed`;

/** A closing statement never changes; what is settled after it is written below it, with its date. Nothing when there is none yet. */
export const amendStatement = (sql: Sql, campaignId: string, change: { accepted: number; failed: number; uncertain: number }) => sql`
  update campaign set statement = jsonb_set(statement, '{amendments}', coalesce(statement -> 'amendments', '[]') || jsonb_build_array(
    ${sql.json(change)}::jsonb || jsonb_build_object('at', campanile.clock())))
  where id = ${campaignId} and statement is not null`;
