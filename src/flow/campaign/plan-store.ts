import type { Filter } from "../../rules/segment.ts";
import type { Statement } from "../../rules/statement.ts";
import type { Fragment, Sql } from "../../runtime/postgres.ts";
import type { CampaignRef } from "./deps.ts";
import { inScope } from "./resend-store.ts";
import type { LockedCampaign } from "./store.ts";

/** Campaigns whose time has come, and those whose planning was begun; the longest waiting first. None in a database that went back. */
export const readDue = (sql: Sql, limit: number) => sql<CampaignRef[]>`
  select workspace_id, id from campaign
  where deleted_at is null and (state = 'preparing' or state = 'scheduled' and scheduled_at <= campanile.clock())
    and not exists (select 1 from regression where accepted_at is null)
  order by scheduled_at, id limit ${limit}`;

/** Planning begins, or goes on after a pause: by the filter with which it began. */
export const prepare = (sql: Sql, id: string, filter: Filter | null) => sql`
  update campaign set state = 'preparing', plan_filter = coalesce(plan_filter, ${filter === null ? null : sql.json(filter as never)})
  where id = ${id} and state = 'scheduled'`;

/** What JavaScript's `trim` takes for space; Postgres' own `trim` knows one. */
const SPACE = "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff";

/**
 * A contact's values as `recipientVariables` (rules/variables.ts) makes them; a test compares the two. Made here because a million
 * contacts then never pass through this process.
 */
function variables(sql: Sql) {
  const text = (column: string) => sql`nullif(btrim(${sql(`c.${column}`)}, ${SPACE}), '')`;
  return sql`
    case when c.attributes = '{}' then '{}' else coalesce((
      select jsonb_object_agg(a.key, a.value) from (
        select key, case jsonb_typeof(value) when 'string' then to_jsonb(btrim(value #>> '{}', ${SPACE})) else value end as value
        from jsonb_each(c.attributes) where jsonb_typeof(value) in ('string', 'number', 'boolean')) a
      where a.value <> '""'), '{}') end
    || jsonb_strip_nulls(jsonb_build_object('firstName', ${text("firstName")}, 'lastName', ${text("lastName")},
      'name', nullif(concat_ws(' ', ${text("firstName")}, ${text("lastName")}), ''),
      'phone', ${text("phone")}, 'email', ${text("email")}, 'company', ${text("company")}))`;
}

const NO_ID = "00000000-0000-0000-0000-000000000000";

/**
 * The next members of the audience after the cursor, in the order in which they are written to, each with the cursor behind it. Of a
 * segment: the next contacts, chosen or not. Asked for the next who are chosen, one statement might walk over all contacts.
 */
function members(sql: Sql, campaign: LockedCampaign, max: number) {
  const { workspaceId, planCursor: cursor, audienceConfig } = campaign;
  if (audienceConfig.resend !== undefined) {
    return sql`
      select r.*, r.position as place, jsonb_build_object('ordinal', r.position) as cursor
      from recipient r where r.campaign_id = ${audienceConfig.resend.campaignId} and r.position > ${cursor?.ordinal ?? 0} order by r.position limit ${max}`;
  }
  if (campaign.audienceType === "segment") {
    return sql`
      select c.*, row_number() over (order by c.id) as place, jsonb_build_object('id', c.id) as cursor
      from contact c where c.workspace_id = ${workspaceId} and c.id > ${cursor?.id ?? NO_ID}::uuid order by c.id limit ${max}`;
  }
  if (campaign.audienceType !== "all") {
    return sql`
      select c.*, m.ordinal as place, jsonb_build_object('ordinal', m.ordinal) as cursor
      from list_member m join contact c on c.workspace_id = m.workspace_id and c.id = m.contact_id
      where m.workspace_id = ${workspaceId} and m.list_id = ${audienceConfig.listId ?? null} and m.ordinal > ${cursor?.ordinal ?? 0}
      order by m.ordinal limit ${max}`;
  }
  return sql`
    select c.*, row_number() over (order by c.created_at, c.id) as place, jsonb_build_object('createdAt', c.created_at, 'id', c.id) as cursor
    from contact c
    where c.workspace_id = ${workspaceId} and (c.phone is not null or c.email is not null)
      and (c.created_at, c.id) > (${cursor?.createdAt ?? "-infinity"}::text::timestamptz, ${cursor?.id ?? NO_ID}::uuid)
    order by c.created_at, c.id limit ${max}`;
}

/** Who of those members is written to, and with which values: a contact's own, or those that were frozen for the campaign before. */
function chosen(sql: Sql, { channel, audienceConfig: { resend } }: LockedCampaign, condition: Fragment | null) {
  if (resend !== undefined) return sql`select r.place, r.contact_id, r.address, r.variables from looked r where ${inScope(sql, resend.scope)}`;
  return sql`
    select c.place, c.id as contact_id, ${channel === "email" ? sql`c.email` : sql`c.phone`} as address, ${variables(sql)} as variables
    from looked c ${condition === null ? sql`` : sql`where ${condition}`}`;
}

/**
 * Freezes the next members of the audience as recipients: positions go on after the last, whoever shares an address with one before
 * is left out, and whoever does not fit the condition (over contact `c`). Returns how many members it looked at. Called with the campaign locked, which makes it the only planner.
 *
 * A known address is found by asking for the first address from this one on, which the unique index alone can answer. Asked whether it
 * is there, Postgres may hash or walk all recipients so far, for every chunk or for every contact, as long as its statistics know of
 * few. A million contacts take 32 s (two cores, Postgres 15), a third of it the foreign key to the contact.
 */
export const freeze = (sql: Sql, campaign: LockedCampaign, { max, condition }: { max: number; condition: Fragment | null }) => sql<
  { seen: number }[]
>`
  with looked as materialized (${members(sql, campaign, max)}),
  chunk as materialized (${chosen(sql, campaign, condition)}),
  fresh as (
    select d.* from (select distinct on (coalesce(address, contact_id::text, place::text)) * from chunk order by coalesce(address, contact_id::text, place::text), place) d
    left join lateral (
      select r.campaign_id, r.address from recipient r where (r.campaign_id, r.address) >= (${campaign.id}, d.address)
      order by r.campaign_id, r.address limit 1) next on true
    where (next.campaign_id, next.address) is distinct from (${campaign.id}::uuid, d.address)),
  frozen as (
    insert into recipient (workspace_id, campaign_id, position, contact_id, address, variables)
    select ${campaign.workspaceId}, ${campaign.id}, coalesce((select max(position) from recipient where campaign_id = ${campaign.id}), 0) + row_number() over (order by place),
      contact_id, address, variables
    from fresh order by place),
  moved as (
    update campaign set plan_cursor = (select cursor from looked order by place desc limit 1)
    where id = ${campaign.id} and exists (select 1 from looked))
  select count(*)::int as seen from looked`;

/** Positions are gapless exactly when the last is the number of rows. */
export const countPlanned = (sql: Sql, id: string) => sql<{ last: number; rows: number }[]>`
  select coalesce(max(position), 0) as last, count(*)::int as rows from recipient where campaign_id = ${id}`;

/** Cuts the positions into lots. With a delay between batches the first is due now, each other when the one before it ends. */
export const insertLots = (sql: Sql, id: string, by: { total: number; size: number; oneByOne: boolean }) => sql`
  insert into lot (campaign_id, first, last, handed, due_at)
  select ${id}, first, least(first + ${by.size}::int - 1, ${by.total}::int), first - 1,
    case when ${by.oneByOne} and first > 1 then 'infinity' else campanile.clock() end
  from generate_series(1, ${by.total}::int, ${by.size}::int) as first`;

/** Tells Postgres what it holds now: the engines' first statements are planned for it. Skipped while another does the same. */
export const analyze = (sql: Sql) => sql`analyze (skip_locked) recipient, lot`;

export const run = (sql: Sql, id: string, total: number) => sql`
  update campaign set state = 'running', total_recipients = ${total}, plan_cursor = null, started_at = coalesce(started_at, campanile.clock())
  where id = ${id} and state = 'preparing'`;

/** Nobody to write to: over before it began. */
export const completeEmpty = (sql: Sql, id: string, statement: Statement) => sql`
  update campaign set state = 'completed', total_recipients = 0, plan_cursor = null, statement = ${sql.json(statement as never)},
    started_at = coalesce(started_at, campanile.clock()), completed_at = campanile.clock()
  where id = ${id} and state = 'preparing'`;
