import type { Sql } from "../../runtime/postgres.ts";

export interface List {
  readonly id: string;
  readonly name: string;
  /** The campaign whose own audience it is; null for a named list. */
  readonly campaignId: string | null;
  readonly members: number;
  readonly createdAt: Date;
}

export interface ListRef {
  readonly workspaceId: string;
  readonly id: string;
}

const selectLists = (sql: Sql) => sql`
  select id, name, campaign_id, created_at, (select count(*) from list_member m where m.list_id = l.id) as members from list l`;

/** Makes a named list; nothing when the name is taken. */
export const insertNamed = (sql: Sql, { workspaceId, id }: ListRef, name: string) => sql`
  insert into list (workspace_id, id, name) values (${workspaceId}, ${id}, ${name})
  on conflict (workspace_id, name) where campaign_id is null do nothing`;

/** Makes a campaign's own list; nothing when it has one. */
export const insertOwn = (sql: Sql, { workspaceId, id }: ListRef, { campaignId, name }: { campaignId: string; name: string }) => sql`
  insert into list (workspace_id, id, name, campaign_id) values (${workspaceId}, ${id}, ${name}, ${campaignId})
  on conflict (campaign_id) do nothing`;

export const readList = (sql: Sql, { workspaceId, id }: ListRef) =>
  sql<List[]>`${selectLists(sql)} where workspace_id = ${workspaceId} and id = ${id}`;

export const readNamed = (sql: Sql, workspaceId: string, name: string) => sql<List[]>`
  ${selectLists(sql)} where workspace_id = ${workspaceId} and name = ${name} and campaign_id is null`;

export const readOwn = (sql: Sql, workspaceId: string, campaignId: string) => sql<List[]>`
  ${selectLists(sql)} where workspace_id = ${workspaceId} and campaign_id = ${campaignId}`;

/** Named lists by name, after one. */
export const listNamed = (sql: Sql, workspaceId: string, { after, limit }: { after: string; limit: number }) => sql<List[]>`
  ${selectLists(sql)} where workspace_id = ${workspaceId} and campaign_id is null and name collate "C" > ${after} order by name collate "C" limit ${limit}`;

/** Adds contacts in the order given; whoever is in the list, or no contact, is left out. */
export const insertMembers = (sql: Sql, { workspaceId, id }: ListRef, contactIds: readonly string[]) => sql`
  insert into list_member (workspace_id, list_id, contact_id)
  select ${workspaceId}, ${id}, given.contact_id from unnest(${contactIds as string[]}::uuid[]) with ordinality as given (contact_id, place)
  where exists (select from contact c where c.workspace_id = ${workspaceId} and c.id = given.contact_id)
  order by given.place
  on conflict (list_id, contact_id) do nothing`;

export const deleteMember = (sql: Sql, { workspaceId, id }: ListRef, contactId: string) => sql`
  delete from list_member where workspace_id = ${workspaceId} and list_id = ${id} and contact_id = ${contactId} returning contact_id`;
