import type { ContactValues } from "../../rules/variables.ts";
import type { Sql } from "../../runtime/postgres.ts";

/** What a contact brings to a message. */
export const readContactValues = (sql: Sql, { workspaceId, contactId }: { workspaceId: string; contactId: string }) => sql<ContactValues[]>`
  select phone, email, first_name, last_name, company, attributes from contact where workspace_id = ${workspaceId} and id = ${contactId}`;
