import type { Sql } from "../../runtime/postgres.ts";

/** Opens the connection, so that the next question measures the way there and not the greeting. */
export const greet = (sql: Sql) => sql`select 1`;

export const readServer = (sql: Sql) => sql<{ now: Date; version: string }[]>`
  select campanile.clock() as now, current_setting('server_version') as version`;
