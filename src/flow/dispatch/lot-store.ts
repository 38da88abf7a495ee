import type { Variables } from "../../rules/message.ts";
import type { Sql } from "../../runtime/postgres.ts";

/** A lot as it was taken: everything up to `handed` may have been begun by someone. */
export interface TakenLot {
  readonly campaignId: string;
  readonly first: number;
  readonly last: number;
  readonly handed: number;
  readonly token: number;
  readonly dueAt: Date;
  /** Its campaign runs, and may be driven by whoever took it. */
  readonly drivable: boolean;
}

export interface RecipientRow {
  readonly position: number;
  readonly address: string | null;
  readonly variables: Variables;
}

/**
 * Leases one lot: free and due, of a campaign that may be driven; or one whose lease ran out so long ago that every call of its
 * holder has ended, whatever its campaign does now.
 */
export const takeLot = (
  sql: Sql,
  by: { holder: string; leaseMs: number; marginMs: number; except: readonly string[]; among: readonly string[] | null; anyDriver: boolean },
) => sql<TakenLot[]>`
  with found as materialized (
    select l.campaign_id, l.first, c.state = 'running' and (c.engine or ${by.anyDriver}) as drivable
    from lot l join campaign c on c.id = l.campaign_id
    where ((l.holder is null and l.due_at <= campanile.clock() and c.state = 'running' and (c.engine or ${by.anyDriver}))
        or l.lease_until < campanile.clock() - ${by.marginMs} * interval '1 ms')
      and l.campaign_id <> all(${by.except as string[]}::uuid[]) and (${by.among === null} or l.campaign_id = any(${(by.among ?? []) as string[]}::uuid[]))
    order by l.due_at, l.campaign_id, l.first limit 1 for update of l skip locked)
  update lot set holder = ${by.holder}, token = lot.token + 1, lease_until = campanile.clock() + ${by.leaseMs} * interval '1 ms'
  from found where lot.campaign_id = found.campaign_id and lot.first = found.first
  returning lot.campaign_id, lot.first, lot.last, lot.handed, lot.token, lot.due_at, found.drivable`;

/** Cuts a held lot after `last`; what follows becomes a free lot of its own. */
export const cutLot = (sql: Sql, lot: { campaignId: string; first: number; token: number }, last: number) => sql`
  with cut as (
    update lot set last = ${last} from (select last as old_last from lot where campaign_id = ${lot.campaignId} and first = ${lot.first}) before
    where campaign_id = ${lot.campaignId} and first = ${lot.first} and token = ${lot.token} and lot.last > ${last} and handed <= ${last}
    returning before.old_last, due_at)
  insert into lot (campaign_id, first, last, handed, due_at)
  select ${lot.campaignId}, ${last} + 1, old_last, ${last}, due_at from cut`;

/** The lot, locked, while its token is still `token`; nothing once somebody else took it. */
export const lockLot = (sql: Sql, lot: { campaignId: string; first: number; token: number }) => sql<{ handed: number; last: number }[]>`
  select handed, last from lot where campaign_id = ${lot.campaignId} and first = ${lot.first} and token = ${lot.token} and holder is not null for no key update`;

/** The mark: everything up to `handed` may leave once this is committed. Renews the lease. */
export const markLot = (sql: Sql, lot: { campaignId: string; first: number; handed: number }, leaseMs: number) => sql`
  update lot set handed = ${lot.handed}, lease_until = campanile.clock() + ${leaseMs} * interval '1 ms'
  where campaign_id = ${lot.campaignId} and first = ${lot.first}`;

/** Gives the lot back, to be taken again at `dueAt`. */
export const freeLot = (sql: Sql, lot: { campaignId: string; first: number; handed: number }, dueAt: Date) => sql`
  update lot set handed = ${lot.handed}, due_at = ${dueAt}, holder = null, lease_until = null
  where campaign_id = ${lot.campaignId} and first = ${lot.first}`;

/** Closes the lot when each of its positions has a row; says whether it did. With a delay between batches the next lot becomes due. */
export const closeLot = (sql: Sql, lot: { campaignId: string; first: number; last: number }) => sql<{ next: number | null }[]>`
  with closed as (
    delete from lot where campaign_id = ${lot.campaignId} and first = ${lot.first}
      and last - first + 1 = (select count(*) from message where campaign_id = ${lot.campaignId} and stage = 1 and position between ${lot.first} and ${lot.last})
    returning last)
  update lot set due_at = campanile.clock() + c.delay_between_batches_ms * interval '1 ms'
  from closed, campaign c
  where lot.campaign_id = ${lot.campaignId} and c.id = ${lot.campaignId} and lot.first = closed.last + 1 and lot.due_at = 'infinity'
  returning lot.first as next`;

/**
 * Who is still to be written to in a lot: positions without a row. One beyond the mark may have a row all the same: it was skipped
 * in a volley whose other messages were given back, or by a turn whose COMMIT was not confirmed. (A subquery and not `not exists`:
 * while statistics are missing that one is planned as all against all, seconds for 12,000 recipients.)
 */
export const readRecipients = (sql: Sql, by: { campaignId: string; from: number; to: number; limit: number }) => sql<RecipientRow[]>`
  select r.position, r.address, r.variables from recipient r
  where r.campaign_id = ${by.campaignId} and r.position between ${by.from} and ${by.to}
    and (select m.position from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position) is null
  order by r.position limit ${by.limit}`;

/** When the next lot can be taken that cannot be taken now; null: there is none. */
export const nextDueAt = (sql: Sql, marginMs: number) => sql<{ at: Date | null; now: Date }[]>`
  select campanile.clock() as now, least(
    (select min(l.due_at) from lot l join campaign c on c.id = l.campaign_id
      where l.holder is null and c.state = 'running' and c.engine and l.due_at > campanile.clock() and l.due_at < 'infinity'),
    (select min(l.lease_until) + ${marginMs} * interval '1 ms' from lot l where l.lease_until > campanile.clock() - ${marginMs} * interval '1 ms')) as at`;
