import type { Sql } from "../../runtime/postgres.ts";
import { found } from "./store.ts";

/** The tables that name a campaign without a foreign key, which would lock a hot row on every insert. */
const tables = ["message", "attempt", "receipt", "dispatch_count", "receipt_count", "event", "lot"] as const;

/** The distinct owners a table names, one index probe each. */
const ownersIn = (sql: Sql, table: string, column: string) => sql`
  with recursive named as (
    (select ${sql(column)} as id from ${sql(table)} order by 1 limit 1)
    union all
    select next.id from named cross join lateral (select ${sql(column)} as id from ${sql(table)} where ${sql(column)} > named.id order by 1 limit 1) next)
  select id from named`;

const orphansIn = (sql: Sql, table: string) => sql`
  select format('%s of campaign %s', ${table}::text, o.id) as example from (${ownersIn(sql, table, "campaign_id")}) o
  where not exists (select from campaign c where c.id = o.id)`;

/** Rows of campaigns, cap scopes and senders that do not exist. */
export const orphans = (sql: Sql) =>
  found(
    sql,
    sql`
  ${tables.reduce((all, table) => sql`${all} union all (${orphansIn(sql, table)})`, sql`select null::text as example where false`)}
  union all
  select format('opening of cap scope %s', o.id) from (${ownersIn(sql, "opening", "scope_id")}) o where not exists (select from cap_scope s where s.id = o.id)
  union all
  select format('pace of %s, which is no sender and no campaign', p.owner_id) from pace p
  where not exists (select from sender s where s.id = p.owner_id) and not exists (select from campaign c where c.id = p.owner_id)`,
  );

/** Campaigns that are planned or sent although the database has gone back. */
export const runsAllTheSame = (sql: Sql) =>
  found(
    sql,
    sql`
  select format('campaign %s is %s', id, state) as example from campaign
  where state in ('preparing', 'running') and deleted_at is null and exists (select 1 from regression where accepted_at is null) order by id`,
  );

/** Webhooks, and parts of them that wait for their message, that were due longer ago than `ms`. */
export const overdueWebhooks = (sql: Sql, ms: number) =>
  found(
    sql,
    sql`
  (select format('webhook %s of %s', id, received_at) as example from inbox
    where state = 'new' and received_at < campanile.clock() - ${ms} * interval '1 ms' order by id)
  union all
  (select format('a part of webhook %s, due at %s', inbox_id, due_at) from unmatched
    where given_up_at is null and due_at < campanile.clock() - ${ms} * interval '1 ms' order by id)`,
  );
