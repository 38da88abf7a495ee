import type { Sql } from "../../../runtime/postgres.ts";
import type { ImportRow } from "./store.ts";

/** The imports of a workspace, the newest first; `after` is the last import of the page before. */
export const listImports = (sql: Sql, workspaceId: string, { after, limit }: { after: string | null; limit: number }) => sql<ImportRow[]>`
  select id, list_id, file_name, state, row_count, stored, merged, rejected, bytes, cause, started_at, finished_at from import
  where workspace_id = ${workspaceId}
    ${after === null ? sql`` : sql`and (started_at, id) < (select started_at, id from import where workspace_id = ${workspaceId} and id = ${after})`}
  order by started_at desc, id desc limit ${limit}`;
