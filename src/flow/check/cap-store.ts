import type { Sql } from "../../runtime/postgres.ts";
import { found } from "./store.ts";

/** `used` is a column that everybody who opens or forgets an opening changes with it. */
export const wrongUse = (sql: Sql, scopeId: string) =>
  found(
    sql,
    sql`
  select format('cap scope %s: %s are counted, %s openings there', s.id, s.used, o.number) as example
  from cap_scope s cross join lateral (select count(*) as number from opening where scope_id = s.id) o
  where s.id = ${scopeId} and s.used <> o.number`,
  );

/** The beginning of the calendar day of a scope that counts so. */
const dayOf = (sql: Sql, at: ReturnType<Sql>) => sql`date_trunc('day', ${at} at time zone l.calendar_zone) at time zone l.calendar_zone`;

/**
 * Messages of the last two days that left, or may have, through the senders of a scope. `at` is when the outcome was stored; the call
 * began up to `slackMs` before, so what is stored that soon after the beginning of a calendar day may belong to the day before.
 */
const sent = (sql: Sql, scopeId: string, slackMs: number) => sql`
  limits as (select s.* from cap_scope s where s.id = ${scopeId} and s.cap is not null),
  writing as (
    select c.id from limits l join sender s on s.workspace_id = l.workspace_id and s.cap_scope_id = l.id
      join campaign c on c.workspace_id = s.workspace_id and c.sender_id = s.id
    where c.started_at is not null and (c.completed_at is null or c.completed_at > campanile.clock() - interval '2 days')),
  sent as (
    select r.address, m.at from (
      select m.campaign_id, m.position, m.at from writing w join message m on m.campaign_id = w.id and m.state in ('accepted', 'uncertain')
      union all
      select a.campaign_id, a.position, a.at from writing w join attempt a on a.campaign_id = w.id and a.outcome in ('accepted', 'uncertain')) m
      join recipient r on r.campaign_id = m.campaign_id and r.position = m.position
      cross join limits l
    where m.at > campanile.clock() - interval '2 days'
      and (l.calendar_zone is null or m.at > ${dayOf(sql, sql`m.at`)} + ${slackMs} * interval '1 ms'))`;

/**
 * The most recipients written to within 24 hours (less the slack), each counted once however often: an address counts from each of
 * its messages until the next one or until the window has passed. For a scope that counts calendar days, within one of them.
 */
export const overCap = (sql: Sql, scopeId: string, slackMs: number) =>
  found(
    sql,
    sql`
  with ${sent(sql, scopeId, slackMs)},
  spans as (
    select s.at as opened, least(lead(s.at) over (partition by s.address order by s.at), case when l.calendar_zone is null
      then s.at + interval '24 hours' - ${slackMs} * interval '1 ms'
      else (date_trunc('day', s.at at time zone l.calendar_zone) + interval '1 day') at time zone l.calendar_zone end) as closed
    from sent s cross join limits l),
  changes as (select opened as at, 1 as by from spans union all select closed, -1 from spans),
  counted as (select at, sum(by) over (order by at, by rows unbounded preceding) as number from changes)
  select format('cap scope %s: %s recipients within 24 hours, at %s; the cap is %s', l.id, n.number, n.at, l.cap) as example
  from (select at, number from counted order by number desc, at limit 1) n join limits l on n.number > l.cap`,
  );

/** Recipients written to within the window whom the cap does not count, for they have no opening. Without a cap nobody has one. */
export const uncounted = (sql: Sql, scopeId: string, slackMs: number) =>
  found(
    sql,
    sql`
  with ${sent(sql, scopeId, slackMs)}
  select format('cap scope %s: %s, written to at %s', l.id, s.address, max(s.at)) as example from sent s cross join limits l
  where s.at > case when l.calendar_zone is null then campanile.clock() - interval '24 hours' + ${slackMs} * interval '1 ms' else ${dayOf(sql, sql`campanile.clock()`)} end
    and not exists (select from opening o where o.scope_id = l.id and o.address = s.address)
  group by l.id, s.address order by s.address`,
  );
