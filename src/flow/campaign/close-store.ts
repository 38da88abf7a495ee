import { ATTEMPTS_MAX } from "../../rules/limits.ts";
import type { Statement } from "../../rules/statement.ts";
import type { Sql } from "../../runtime/postgres.ts";

/** A campaign that was stopped or failed and is not stated yet. */
export interface Unstated {
  readonly id: string;
  readonly state: "stopped" | "failed";
  readonly totalRecipients: number;
  /** Recipients with an outcome. */
  readonly accounted: number;
}

export const readUnstated = (sql: Sql, limit: number) => sql<{ id: string }[]>`
  select id from campaign where statement is null and state in ('stopped', 'failed') order by completed_at, id limit ${limit}`;

const unstated = (sql: Sql, id: string) => sql`
  select c.id, c.state, c.total_recipients,
    coalesce((select d.accepted + d.failed + d.skipped + d.uncertain from dispatch_count d where d.campaign_id = c.id and d.stage = 1), 0) as accounted
  from campaign c where c.id = ${id} and c.statement is null and c.state in ('stopped', 'failed')`;

export const readOneUnstated = (sql: Sql, id: string) => sql<Unstated[]>`${unstated(sql, id)}`;
export const lockUnstated = (sql: Sql, id: string) => sql<Unstated[]>`${unstated(sql, id)} for no key update of c`;

/**
 * Skips the next recipients after `after` who have no message and were not marked, and counts those it really wrote. Message and mark
 * are one index probe each. As `not exists` and a join on ranges Postgres may compare all with all while its statistics know of no
 * messages (12,000 recipients: 7 s). Everybody before the first lot has a row, for a lot goes when all of it have.
 */
export const skipUnmarked = (sql: Sql, id: string, by: { after: number; max: number; code: string; cause: string }) => sql<
  { reached: number | null }[]
>`
  with rest as materialized (
    select r.position from recipient r
    where r.campaign_id = ${id} and r.position > ${by.after} and r.position >= coalesce((select min(first) from lot where campaign_id = ${id}), 1)
      and (select m.position from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position) is null
      and r.position > coalesce((select l.handed from lot l where l.campaign_id = r.campaign_id and l.first <= r.position order by l.first desc limit 1), 0)
    order by r.position limit ${by.max}),
  written as (
    insert into message (campaign_id, stage, position, attempt, state, code, cause, at)
    select ${id}, 1, position, 1, 'skipped', ${by.code}, ${by.cause}, campanile.clock() from rest order by position
    on conflict do nothing returning 1),
  counted as (
    insert into dispatch_count as d (campaign_id, stage, skipped) select ${id}, 1, count(*) from written having count(*) > 0
    on conflict (campaign_id, stage) do update set skipped = d.skipped + excluded.skipped)
  select max(position) as reached from rest`;

/**
 * Skips messages that wait for a further attempt, and counts them under their stage. One of which an earlier attempt is in doubt is
 * uncertain for good: its attempts count as used up.
 */
export const skipQueued = (sql: Sql, id: string, by: { max: number; code: string; cause: string }) => sql<{ skipped: number }[]>`
  with due as materialized (
    select m.stage, m.position, exists (select 1 from attempt a where a.campaign_id = m.campaign_id and a.stage = m.stage and a.position = m.position
      and a.outcome = 'uncertain') as in_doubt
    from message m where m.campaign_id = ${id} and m.state = 'queued' order by m.stage, m.position limit ${by.max} for update of m),
  written as (
    update message m set state = case when due.in_doubt then 'uncertain' else 'skipped' end, attempt = case when due.in_doubt then greatest(${ATTEMPTS_MAX}, m.attempt) else m.attempt end,
      code = ${by.code}, cause = ${by.cause}, at = campanile.clock(), due_at = null
    from due where m.campaign_id = ${id} and m.stage = due.stage and m.position = due.position returning m.stage, m.state),
  counted as (
    insert into dispatch_count as d (campaign_id, stage, skipped, uncertain)
    select ${id}, stage, count(*) filter (where state = 'skipped'), count(*) filter (where state = 'uncertain') from written group by stage order by stage
    on conflict (campaign_id, stage) do update set skipped = d.skipped + excluded.skipped, uncertain = d.uncertain + excluded.uncertain)
  select count(*)::int as skipped from written`;

/** Deletes free lots of which everybody has a row. Held ones end with their holder, or are recovered from it. */
export const dropEmptyLots = (sql: Sql, id: string) => sql`
  with done as materialized (
    select l.first from lot l where l.campaign_id = ${id} and l.holder is null
      and l.last - l.first + 1 = (select count(*) from message m where m.campaign_id = l.campaign_id and m.stage = 1 and m.position between l.first and l.last)
    order by l.first for update of l skip locked)
  delete from lot using done where lot.campaign_id = ${id} and lot.first = done.first and lot.holder is null`;

export const readStatement = (sql: Sql, id: string) => sql<{ statement: Statement }[]>`select campanile.statement(${id}) as statement`;

/** Gives the statement, once. */
export const storeStatement = (sql: Sql, id: string, statement: Statement) => sql`
  update campaign set statement = ${sql.json(statement as never)} where id = ${id} and statement is null`;
