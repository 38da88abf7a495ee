import type { Filter } from "../../rules/segment.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { chosenBy } from "./chosen-store.ts";
import { type Contact, columns as contactColumns } from "./contact-store.ts";

export interface Segment {
  readonly id: string;
  readonly name: string;
  readonly filter: Filter;
  readonly createdAt: Date;
}

export interface SegmentRef {
  readonly workspaceId: string;
  readonly id: string;
}

const columns = (sql: Sql) => sql`id, name, filter, created_at`;

/** Makes a segment; nothing when the name is taken. */
export const insertSegment = (sql: Sql, { workspaceId, id }: SegmentRef, { name, filter }: { name: string; filter: Filter }) => sql`
  insert into segment (workspace_id, id, name, filter) values (${workspaceId}, ${id}, ${name}, ${sql.json(filter as never)})
  on conflict (workspace_id, name) do nothing`;

export const readSegment = (sql: Sql, { workspaceId, id }: SegmentRef) => sql<Segment[]>`
  select ${columns(sql)} from segment where workspace_id = ${workspaceId} and id = ${id}`;

export const readNamed = (sql: Sql, workspaceId: string, name: string) => sql<Segment[]>`
  select ${columns(sql)} from segment where workspace_id = ${workspaceId} and name = ${name}`;

/** Segments by name, after one. */
export const listSegments = (sql: Sql, workspaceId: string, { after, limit }: { after: string; limit: number }) => sql<Segment[]>`
  select ${columns(sql)} from segment where workspace_id = ${workspaceId} and name collate "C" > ${after} order by name collate "C" limit ${limit}`;

/** Keeps a segment, and whoever makes a campaign of it, waiting until commit. */
export const lockSegment = (sql: Sql, { workspaceId, id }: SegmentRef) => sql<Segment[]>`
  select ${columns(sql)} from segment where workspace_id = ${workspaceId} and id = ${id} for update`;

/** Nothing when the name is another segment's. */
export const updateSegment = (sql: Sql, { workspaceId, id }: SegmentRef, { name, filter }: { name: string; filter: Filter }) => sql<Segment[]>`
  update segment set name = ${name}, filter = ${sql.json(filter as never)}
  where workspace_id = ${workspaceId} and id = ${id}
    and not exists (select from segment other where other.workspace_id = ${workspaceId} and other.name = ${name} and other.id <> ${id})
  returning ${columns(sql)}`;

export const deleteSegment = (sql: Sql, { workspaceId, id }: SegmentRef) => sql`
  delete from segment where workspace_id = ${workspaceId} and id = ${id}`;

/** A campaign that is still to be planned and then asks for this segment, to write to it or to leave it out. */
export const readNeeding = (sql: Sql, { workspaceId, id }: SegmentRef) => sql<{ id: string; name: string }[]>`
  select id, name from campaign
  where workspace_id = ${workspaceId} and deleted_at is null and total_recipients is null and plan_filter is null
    and (audience_config ->> 'segmentId' = ${id}::text or audience_exclude -> 'segmentIds' ? ${id}::text)
  order by created_at limit 1`;

export const readKnownLists = (sql: Sql, workspaceId: string, ids: readonly string[]) => sql<{ id: string }[]>`
  select id from list where workspace_id = ${workspaceId} and id = any (${ids as string[]}::uuid[])`;

export const readKnownCampaigns = (sql: Sql, workspaceId: string, ids: readonly string[]) => sql<{ id: string }[]>`
  select id from campaign where workspace_id = ${workspaceId} and id = any (${ids as string[]}::uuid[]) and deleted_at is null`;

/** 100,000 contacts take 15 to 300 ms without an index of their own: nearly all of them are looked at, whatever the filter. */
export const countChosen = (sql: Sql, workspaceId: string, filter: Filter) => sql<{ count: number }[]>`
  select count(*)::int as count from contact c where c.workspace_id = ${workspaceId} and ${chosenBy(sql, filter, "whole")}`;

/** By id, after one. */
export const listChosen = (sql: Sql, workspaceId: string, { filter, after, limit }: { filter: Filter; after: string | null; limit: number }) => sql<
  Contact[]
>`
  select ${contactColumns(sql)} from contact c
  where c.workspace_id = ${workspaceId} and c.id > ${after ?? "00000000-0000-0000-0000-000000000000"} and ${chosenBy(sql, filter, "whole")}
  order by c.id limit ${limit}`;
