import type { Variables } from "../../rules/message.ts";
import type { Fragment, Sql } from "../../runtime/postgres.ts";

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

/** Something at the doors of a campaign or its sender, or a cap: who sends for it need not be many. */
const isLimited = (sql: Sql) => sql`exists (
  select from sender s join cap_scope p on p.workspace_id = s.workspace_id and p.id = s.cap_scope_id
  where s.workspace_id = c.workspace_id and s.id = c.sender_id and (p.cap is not null or exists (
    select from pace d where d.owner_id in (c.id, s.id) and (d.per_second is not null or d.current_per_second is not null or d.probing))))`;

/**
 * Leases one lot: free and due, of a campaign that may be driven and, unless `holdersMax` is null, has fewer holders that showed signs
 * of life within `aliveMs`; or one whose lease ran out so long ago that every call of its
 * holder has ended, whatever its campaign does now.
 */
export const takeLot = (
  sql: Sql,
  by: {
    holder: string;
    leaseMs: number;
    marginMs: number;
    aliveMs: number;
    except: readonly string[];
    among: readonly string[] | null;
    anyDriver: boolean;
    holdersMax: number | null;
  },
) => sql<TakenLot[]>`
  with open as materialized (
    select c.id from campaign c
    where c.state = 'running' and (c.engine or ${by.anyDriver}) and (${by.holdersMax}::int is null or (
      select count(*) from lot h where h.campaign_id = c.id and h.lease_until > campanile.clock() + ${by.leaseMs - by.aliveMs} * interval '1 ms')
        < case when ${isLimited(sql)} then 1 else ${by.holdersMax} end)),
  found as materialized (
    select l.campaign_id, l.first, c.state = 'running' and (c.engine or ${by.anyDriver}) as drivable
    from lot l join campaign c on c.id = l.campaign_id left join pace p on p.owner_id = c.id
    where ((l.holder is null and l.due_at <= campanile.clock() and l.campaign_id in (select id from open))
        or l.lease_until < campanile.clock() - ${by.marginMs} * interval '1 ms')
      and l.campaign_id <> all(${by.except as string[]}::uuid[]) and (${by.among === null} or l.campaign_id = any(${(by.among ?? []) as string[]}::uuid[]))
    order by p.next_at, l.campaign_id, l.first limit 1 for update of l skip locked)
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

/** Closes the lot when each of its positions has a row; returns nothing when it did not. With a delay between batches the next lot becomes due. */
export const closeLot = (sql: Sql, lot: { campaignId: string; first: number; last: number }) => sql<{ last: number }[]>`
  with closed as (
    delete from lot where campaign_id = ${lot.campaignId} and first = ${lot.first}
      and last - first + 1 = (select count(*) from message where campaign_id = ${lot.campaignId} and stage = 1 and position between ${lot.first} and ${lot.last})
    returning last),
  next as (
    update lot set due_at = campanile.clock() + c.delay_between_batches_ms * interval '1 ms'
    from closed, campaign c
    where lot.campaign_id = ${lot.campaignId} and c.id = ${lot.campaignId} and lot.first = closed.last + 1 and lot.due_at = 'infinity')
  select last from closed`;

export interface FullSpeed {
  /** The token is still the lot's; without it nothing was written. */
  readonly held: boolean;
  /** Nothing limits those who ask, and they are marked; at its end: the lot is closed. Null when it is not held. */
  readonly goneOn: boolean | null;
  /** From its beginning until it had all locks; null when it is not held. */
  readonly waitedMs: number | null;
  /** The lot that is held instead of the closed one. */
  readonly next: NextLot | null;
}

/** A lot that nobody held before: nobody in it was written to. */
export interface NextLot {
  readonly first: number;
  readonly last: number;
  readonly token: number;
}

/** Messages that were accepted at the first attempt, and under which reference of the provider. */
export interface Accepted {
  readonly positions: readonly number[];
  readonly refs: readonly string[];
}

interface AskedAtFullSpeed {
  /** Who comes next; null: nobody. */
  readonly next: { readonly from: number; readonly to: number } | null;
  /** Nobody is left in the lot: it is closed. */
  readonly ends: boolean;
  /** Who takes the campaign's next lot then; null: nobody. */
  readonly onward: string | null;
  readonly leaseMs: number;
  readonly holds: Fragment;
}

/** A turn that nothing limits, in one round trip: `campanile.turn_at_full_speed`; null where `holds` does not hold. `accepted`: what came back. */
export const turnAtFullSpeed = (
  sql: Sql,
  lot: { campaignId: string; first: number; token: number },
  accepted: Accepted,
  asked: AskedAtFullSpeed,
) => sql<{ turned: FullSpeed | null }[]>`
  select case when ${asked.holds} then (
    select jsonb_build_object('held', held, 'goneOn', gone_on, 'waitedMs', waited_ms, 'next',
      case when next_first is not null then jsonb_build_object('first', next_first, 'last', next_last, 'token', next_token) end)
    from campanile.turn_at_full_speed(${lot.campaignId}, ${lot.first}, ${lot.token},
      ${accepted.positions as number[]}::int[], ${accepted.refs as string[]}::text[],
      ${asked.next?.from ?? null}, ${asked.next?.to ?? null}, ${asked.ends}, ${asked.leaseMs} * interval '1 ms', ${asked.onward})) end as turned`;

/** Who comes next in a lot, when it is known that none of them has a row. */
export const readRecipients = (sql: Sql, by: { campaignId: string; from: number; to: number }) => sql<RecipientRow[]>`
  select position, address, variables from recipient
  where campaign_id = ${by.campaignId} and position between ${by.from} and ${by.to} order by position`;

/**
 * Who is still to be written to in a lot: positions without a row. One beyond the mark may have a row all the same: it was skipped
 * in a volley whose other messages were given back, or by a turn whose COMMIT was not confirmed. (A subquery and not `not exists`:
 * while statistics are missing that one is planned as all against all, seconds for 12,000 recipients.)
 */
export const readUnwritten = (sql: Sql, by: { campaignId: string; from: number; to: number }) => sql<RecipientRow[]>`
  select r.position, r.address, r.variables from recipient r
  where r.campaign_id = ${by.campaignId} and r.position between ${by.from} and ${by.to}
    and (select m.position from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position) is null
  order by r.position`;

/** When the next lot can be taken that cannot be taken now; null: there is none. */
export const nextDueAt = (sql: Sql, marginMs: number) => sql<{ at: Date | null; now: Date }[]>`
  select campanile.clock() as now, least(
    (select min(l.due_at) from lot l join campaign c on c.id = l.campaign_id
      where l.holder is null and c.state = 'running' and c.engine and l.due_at > campanile.clock() and l.due_at < 'infinity'),
    (select min(l.lease_until) + ${marginMs} * interval '1 ms' from lot l where l.lease_until > campanile.clock() - ${marginMs} * interval '1 ms')) as at`;
