import type { Exclude, Filter } from "../../rules/segment.ts";
import type { Fragment, Sql } from "../../runtime/postgres.ts";
import type { CampaignRef, ChosenBy } from "./deps.ts";

/** What decides whom of its audience a campaign writes to. */
export interface Choosing {
  /** As it was when planning began; null: it has not, or everybody is written to. */
  readonly planFilter: Filter | null;
  /** Null: its audience is no segment. */
  readonly segmentId: string | null;
  readonly exclude: Exclude;
  /** Those of its segments that there are, by id. */
  readonly segments: Readonly<Record<string, Filter>>;
}

/** Nothing once the recipients are fixed. */
export const readChoosing = (sql: Sql, { workspaceId, id }: CampaignRef) => sql<Choosing[]>`
  select c.plan_filter, c.audience_config ->> 'segmentId' as segment_id, c.audience_exclude as exclude,
    coalesce((select jsonb_object_agg(s.id, s.filter) from segment s where s.workspace_id = c.workspace_id
      and (s.id::text = c.audience_config ->> 'segmentId' or c.audience_exclude -> 'segmentIds' ? s.id::text)), '{}') as segments
  from campaign c where c.workspace_id = ${workspaceId} and c.id = ${id} and c.total_recipients is null`;

/** A segment that a campaign needs is gone. The API refuses to delete one, so somebody did it by hand. */
export interface Gone {
  readonly goneSegmentId: string;
}

/** A choice as a part of a statement over contact `c`; null: no condition. Whoever needs a segment that is gone chooses nobody. */
export function conditionOf(
  sql: Sql,
  choice: Filter | null | Gone,
  { chosenBy, extent }: { chosenBy: ChosenBy | undefined; extent: Parameters<ChosenBy>[2] },
): Fragment | null {
  if (choice === null) return null;
  if ("goneSegmentId" in choice) return sql`false`;
  if (chosenBy === undefined) throw new Error("a campaign chooses by a filter, and nobody here can read one: chosenBy is missing");
  return chosenBy(sql, choice, extent);
}

/** Those of these segments that there are; until commit nobody deletes them. */
export const keepSegments = (sql: Sql, workspaceId: string, ids: readonly string[]) => sql<{ id: string }[]>`
  select id from segment where workspace_id = ${workspaceId} and id = any (${ids as string[]}::uuid[]) order by id for key share`;

export const readLists = (sql: Sql, workspaceId: string, ids: readonly string[]) => sql<{ id: string }[]>`
  select id from list where workspace_id = ${workspaceId} and id = any (${ids as string[]}::uuid[])`;

export const readCampaigns = (sql: Sql, workspaceId: string, ids: readonly string[]) => sql<{ id: string }[]>`
  select id from campaign where workspace_id = ${workspaceId} and id = any (${ids as string[]}::uuid[]) and deleted_at is null`;
