import type { ReceiptKind } from "../../rules/receipt.ts";
import type { Sql } from "../../runtime/postgres.ts";

export const recipientStates = ["pending", "handing", "accepted", "failed", "skipped", "uncertain"] as const;
export type RecipientState = (typeof recipientStates)[number];

export interface RecipientRow {
  readonly position: number;
  readonly contactId: string | null;
  /** E.164 with `+`, or an e-mail address; null: it has none on the campaign's channel. */
  readonly address: string | null;
  readonly state: RecipientState;
  /** The provider's code, or why it was skipped. */
  readonly code: string | null;
  readonly cause: string | null;
  readonly providerRef: string | null;
  /** Attempts that were begun. */
  readonly attempts: number;
  /** When it came into its state; null: nothing happened yet. */
  readonly at: Date | null;
  /** When a further attempt is due. */
  readonly dueAt: Date | null;
}

/** The mark of the lot around a position, found by one probe: lots do not overlap. Null when it has none (any more). */
const mark = (sql: Sql) =>
  sql`(select l.handed from lot l where l.campaign_id = r.campaign_id and l.first <= r.position order by l.first desc limit 1)`;
/** A probe as well; as `not exists` it is one only while the statistics are good. */
const noMessage = (sql: Sql) =>
  sql`(select m.position from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position) is null`;

/** The positions of one page: each state is looked up where it is kept, so that no page walks over a million others. */
function page(sql: Sql, id: string, { state, after, limit }: { state: RecipientState | null; after: number; limit: number }) {
  const messages = (is: "queued" | "handing") => sql`
    select position from message where campaign_id = ${id} and stage = 1 and ${is === "queued" ? sql`state = 'queued'` : sql`state = 'handing'`} and position > ${after}`;
  switch (state) {
    case null:
      return sql`select position from recipient where campaign_id = ${id} and position > ${after} order by position limit ${limit}`;
    case "pending": // whoever has no row is in a lot, or the campaign has no lots yet: nobody before the first lot
      return sql`
        select position from (${messages("queued")} union (select r.position from recipient r
          where r.campaign_id = ${id} and r.position > ${after} and r.position >= coalesce((select min(first) from lot where campaign_id = ${id}), 1)
            and ${noMessage(sql)} and r.position > coalesce(${mark(sql)}, 0) order by r.position limit ${limit})) p order by position limit ${limit}`;
    case "handing":
      return sql`
        select position from (${messages("handing")} union select marked.position from lot l cross join lateral (
            select r.position from recipient r where r.campaign_id = l.campaign_id and r.position between l.first and l.handed
              and r.position > ${after} and ${noMessage(sql)} order by r.position limit ${limit}) marked
          where l.campaign_id = ${id} and l.handed >= l.first) p order by position limit ${limit}`;
    default:
      return sql`
        select position from message where campaign_id = ${id} and stage = 1 and position > ${after} and ${settled(sql, state)} order by position limit ${limit}`;
  }
}

/** Written out, for a partial index is not used for a parameter. */
function settled(sql: Sql, state: "accepted" | "failed" | "skipped" | "uncertain") {
  const conditions = {
    accepted: sql`state = 'accepted'`,
    failed: sql`state = 'failed'`,
    skipped: sql`state = 'skipped'`,
    uncertain: sql`state = 'uncertain'`,
  };
  return conditions[state];
}

/** One page of a campaign's recipients in the order of their positions, as they are in the first stage. */
export const listRecipients = (sql: Sql, id: string, by: { state: RecipientState | null; after: number; limit: number }) => sql<RecipientRow[]>`
  with page as materialized (${page(sql, id, by)})
  select r.position, r.contact_id, r.address, m.code, m.cause, m.provider_ref, m.at, m.due_at,
    case when m.state = 'queued' then 'pending' when m.state is not null then m.state when r.position <= ${mark(sql)} then 'handing' else 'pending' end as state,
    ((select count(*) from attempt a where a.campaign_id = r.campaign_id and a.stage = 1 and a.position = r.position)
      + case when m.state in ('accepted', 'failed', 'uncertain', 'handing') or m.state is null and r.position <= ${mark(sql)} then 1 else 0 end)::int as attempts
  from page
  cross join lateral (select * from recipient where campaign_id = ${id} and position = page.position limit 1) r
  left join lateral (select * from message where campaign_id = ${id} and stage = 1 and position = page.position limit 1) m on true
  order by r.position`;

export interface ReceiptRow {
  readonly position: number;
  readonly attempt: number;
  readonly kind: ReceiptKind;
  readonly at: Date;
  readonly receivedAt: Date;
  readonly code: string | null;
  readonly cause: string | null;
}

/** All receipts of these positions, in the order in which the facts happened. */
export const listReceipts = (sql: Sql, id: string, positions: readonly number[]) => sql<ReceiptRow[]>`
  select position, attempt, kind, at, received_at, code, cause from receipt
  where campaign_id = ${id} and stage = 1 and position = any(${[...positions]}::int[]) order by position, at, attempt, kind`;

export interface AttemptRow {
  readonly attempt: number;
  readonly outcome: "accepted" | "rejected" | "uncertain" | "handing";
  readonly code: string | null;
  readonly cause: string | null;
  readonly providerRef: string | null;
  readonly at: Date;
}

/** Every attempt of one message that was begun, the current one last. */
export const listAttempts = (sql: Sql, id: string, position: number) => sql<AttemptRow[]>`
  select attempt, outcome, code, cause, provider_ref, at from attempt where campaign_id = ${id} and stage = 1 and position = ${position}
  union all
  select attempt, case state when 'failed' then 'rejected' else state end, code, cause, provider_ref, at from message
  where campaign_id = ${id} and stage = 1 and position = ${position} and state in ('accepted', 'failed', 'uncertain', 'handing')
  order by attempt`;

/** What was frozen with one recipient, and the list it came from. */
export const readFrozen = (sql: Sql, id: string, position: number) => sql<{ variables: Record<string, unknown>; listName: string | null }[]>`
  select r.variables, l.name as list_name from recipient r
  join campaign c on c.id = r.campaign_id
  left join list l on l.workspace_id = c.workspace_id and l.id::text = c.audience_config ->> 'listId'
  where r.campaign_id = ${id} and r.position = ${position}`;
