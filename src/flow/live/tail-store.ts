import type { Sql } from "../../runtime/postgres.ts";

/** An event in its place among all events of the installation. */
export interface PlacedEvent {
  readonly position: number;
  readonly workspaceId: string;
  readonly campaignId: string;
  /** Its number among the events of its campaign, without a gap. */
  readonly seq: number;
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly at: Date;
}

export const placeEvents = (sql: Sql, most: number) => sql<{ placed: number }[]>`select campanile.place_events(${most}) as placed`;

export const tailPosition = (sql: Sql) => sql<{ position: number }[]>`select position from event_tail`;

/** Events after a place, in order; of one workspace, or of all. */
export const eventsAfter = (sql: Sql, by: { after: number; upTo: number | null; workspaceId: string | null; limit: number }) => sql<PlacedEvent[]>`
  select e.position, c.workspace_id, e.campaign_id, e.seq, e.name, e.body, e.at
  from event e join campaign c on c.id = e.campaign_id
  where e.position > ${by.after} and e.position <= ${by.upTo ?? Number.MAX_SAFE_INTEGER}
    ${by.workspaceId === null ? sql`` : sql`and c.workspace_id = ${by.workspaceId}`}
  order by e.position limit ${by.limit}`;
