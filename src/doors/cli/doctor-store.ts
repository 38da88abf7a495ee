import type { Sql } from "../../runtime/postgres.ts";

/** Opens the connection, so that the next question measures the way there and not the greeting. */
export const greet = (sql: Sql) => sql`select 1`;

/** Campaigns that were paused for this reason. */
export const readPaused = (sql: Sql, reason: string) => sql<{ id: string; name: string }[]>`
  select id, name from campaign where state = 'paused' and pause_reason = ${reason} and deleted_at is null order by created_at`;

export const readServer = (sql: Sql) => sql<{ now: Date; version: string }[]>`
  select campanile.clock() as now, current_setting('server_version') as version`;
