import type { Sql } from "../../runtime/postgres.ts";

/** A lot of which receipts say that people beyond its mark were written to. */
export interface Outrun {
  readonly campaignId: string;
  readonly first: number;
  readonly handed: number;
  /** The furthest position of the lot that a receipt names. */
  readonly position: number;
  /** It was accepted after the campaign was made that the database went back. */
  readonly expected: boolean;
}

/** The mark is committed before a byte leaves: seen in one snapshot, no receipt outruns it. A reply may be to anything. */
const furthest = (sql: Sql) => sql`
  select max(r.position) as position from receipt r
  where r.campaign_id = l.campaign_id and r.stage = 1 and r.position > l.handed and r.position <= l.last and r.kind <> 'replied' and r.provider_ref is not null`;

/** One index probe for each lot. */
export const findOutrun = (sql: Sql) => sql<Outrun[]>`
  select l.campaign_id, l.first, l.handed, f.position,
    exists (select 1 from regression where accepted_at >= c.created_at) as expected
  from lot l join campaign c on c.id = l.campaign_id and c.state in ('running', 'paused') cross join lateral (${furthest(sql)}) f
  where f.position is not null order by l.campaign_id, l.first`;

/** The lot, locked, while nobody holds it and its mark is still outrun; the position up to which. */
export const lockOutrun = (sql: Sql, lot: { campaignId: string; first: number }) => sql<{ handed: number; position: number }[]>`
  with locked as materialized (
    select * from lot where campaign_id = ${lot.campaignId} and first = ${lot.first} and holder is null for no key update)
  select l.handed, f.position from locked l cross join lateral (${furthest(sql)}) f where f.position is not null`;

/** Positions without a row that were written to before the database went back, as far as anybody can know. */
export const insertForgotten = (sql: Sql, campaignId: string, from: number, to: number) => sql<{ position: number; address: string | null }[]>`
  with written as (
    insert into message (campaign_id, stage, position, attempt, state, code, cause, at)
    select campaign_id, 1, position, 1, 'uncertain', 'database_regressed',
      'The database went back to before this message was sent: receipts came for messages that were sent after it.', campanile.clock()
    from recipient where campaign_id = ${campaignId} and position between ${from} and ${to}
    order by position on conflict do nothing returning position)
  select written.position, r.address from written join recipient r on r.campaign_id = ${campaignId} and r.position = written.position`;

/** The mark of a lot that nobody holds. */
export const raiseMark = (sql: Sql, lot: { campaignId: string; first: number }, handed: number) => sql`
  update lot set handed = ${handed} where campaign_id = ${lot.campaignId} and first = ${lot.first}`;
