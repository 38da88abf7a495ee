import type { Sql } from "../../runtime/postgres.ts";

/** Why campaigns are paused in a database that has gone back (runtime/watermark.ts). */
const REASON = "database_regressed";

/** Pauses every campaign that is planned, waits for its time or is sent, of all workspaces, with an event that says what has happened. */
export const pauseAll = (sql: Sql, what: string) => sql`
  with paused as (
    update campaign set state = 'paused', epoch = epoch + 1, pause_reason = ${REASON}, paused_at = campanile.clock(), last_seq = last_seq + 1
    where state in ('scheduled', 'preparing', 'running') and deleted_at is null returning id, last_seq)
  insert into event (campaign_id, seq, name, body)
  select id, last_seq, 'campaign:paused', jsonb_build_object('campaignId', id, 'reason', ${REASON}::text, 'detail', ${what}::text) from paused
  returning pg_notify('campanile', campaign_id::text)`;

/** That the database went back, while nobody has accepted it. */
export const openRegression = (sql: Sql) => sql<{ what: string }[]>`
  select what from regression where accepted_at is null order by id limit 1`;
