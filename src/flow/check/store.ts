import type { Sql } from "../../runtime/postgres.ts";

/** What one statement found wrong, with up to five examples. */
export interface Found {
  readonly count: number;
  readonly examples: readonly string[];
}

/** Positions of one stage of one campaign: what one statement looks at. */
export interface Page {
  readonly campaignId: string;
  readonly stage: number;
  readonly from: number;
  readonly to: number;
}

type Fragment = ReturnType<Sql>;

/** Counts the rows of `wrong`, each of which has a text named `example`. One statement, hence one short snapshot, that changes nothing. */
export const found = (sql: Sql, wrong: Fragment) => sql<Found[]>`
  select count(*)::int as count, coalesce((array_agg(wrong.example))[1:5], '{}') as examples from (${wrong}) wrong`;

/** Campaigns in the order of their ids, after the one given. */
export const listCampaigns = (sql: Sql, by: { workspaceId: string | null; campaignId: string | null; afterId: string | null; limit: number }) => sql<
  { id: string }[]
>`
  select id from campaign
  where (${by.campaignId}::uuid is null or id = ${by.campaignId}) and (${by.workspaceId}::uuid is null or workspace_id = ${by.workspaceId})
    and (${by.afterId}::uuid is null or id > ${by.afterId})
  order by id limit ${by.limit}`;

export const listCapScopes = (sql: Sql, workspaceId: string | null) => sql<{ id: string }[]>`
  select id from cap_scope where ${workspaceId}::uuid is null or workspace_id = ${workspaceId} order by id`;

/** The stages of which a table has rows, one index probe each. */
const stagesIn = (sql: Sql, table: "message" | "attempt" | "receipt", campaignId: string) => sql`
  with recursive found as (
    (select stage from ${sql(table)} where campaign_id = ${campaignId} order by stage limit 1)
    union all
    select next.stage from found cross join lateral (
      select t.stage from ${sql(table)} t where t.campaign_id = ${campaignId} and t.stage > found.stage order by t.stage limit 1) next)
  select stage from found`;

/** The stages of a campaign, the first always among them, and the last position of which there is anything. */
export const readExtent = (sql: Sql, campaignId: string) => sql<{ stage: number; last: number }[]>`
  with stages as (
    select 1::smallint as stage union (${stagesIn(sql, "message", campaignId)}) union (${stagesIn(sql, "attempt", campaignId)})
    union (${stagesIn(sql, "receipt", campaignId)}))
  select s.stage, greatest(
    (select max(r.position) from recipient r where r.campaign_id = ${campaignId}),
    (select max(m.position) from message m where m.campaign_id = ${campaignId} and m.stage = s.stage),
    (select max(a.position) from attempt a where a.campaign_id = ${campaignId} and a.stage = s.stage),
    (select max(r.position) from receipt r where r.campaign_id = ${campaignId} and r.stage = s.stage), 0) as last
  from stages s order by s.stage`;
