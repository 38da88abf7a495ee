import type { CampaignState } from "../../rules/campaign-state.ts";
import { HORIZON_MS } from "../../rules/limits.ts";
import type { MessageDefinition, Variables } from "../../rules/message.ts";
import type { Door, Rivals } from "../../rules/pace.ts";
import { PREFERENCE_SOURCE } from "../../rules/receipt.ts";
import type { Sql } from "../../runtime/postgres.ts";

/** What a turn must know of its campaign, read under the campaign's lock. */
export interface CampaignRow {
  readonly state: CampaignState;
  readonly onDailyLimit: "pause" | "wait";
  readonly expiresAt: Date | null;
  /** Why the provider refuses the sender; null while it does not. */
  readonly blockedReason: string | null;
}

/** What does not change while a campaign runs. */
export interface FactsRow {
  readonly campaignId: string;
  readonly workspaceId: string;
  readonly channel: string;
  readonly senderId: string;
  readonly scopeId: string;
  /** Whether there was a cap, or anything at the doors, when this was read. */
  readonly capped: boolean;
  readonly unlimited: boolean;
  /** Planned. */
  readonly recipients: number;
  readonly variables: Variables;
  readonly message: MessageDefinition;
}

export const readFacts = (sql: Sql, campaignId: string) => sql<FactsRow[]>`
  select c.id as campaign_id, c.workspace_id, c.channel, c.sender_id, s.cap_scope_id as scope_id, p.cap is not null as capped, p.cap is null and not exists (
      select from pace d where d.owner_id in (c.id, s.id) and (d.per_second is not null or d.current_per_second is not null or d.probing)) as unlimited, c.variables, c.message,
    coalesce(c.total_recipients, 0) as recipients
  from campaign c join sender s on s.workspace_id = c.workspace_id and s.id = c.sender_id
    join cap_scope p on p.workspace_id = s.workspace_id and p.id = s.cap_scope_id
  where c.id = ${campaignId}`;

/** Locks the campaign until commit: pause, stop and completion wait for the turns before them and are seen by those after. */
export const lockCampaign = (sql: Sql, campaignId: string) => sql<CampaignRow[]>`
  select c.state, c.on_daily_limit, c.expires_at, s.blocked_reason
  from campaign c join sender s on s.workspace_id = c.workspace_id and s.id = c.sender_id
  where c.id = ${campaignId} for no key update of c`;

/** Pauses a running campaign from within its own turn, with an event. The epoch tells every edge that what it holds is void. */
export const pauseCampaign = (sql: Sql, campaignId: string, reason: string) => sql`
  with paused as (
    update campaign set state = 'paused', epoch = epoch + 1, pause_reason = ${reason}, paused_at = campanile.clock(), last_seq = last_seq + 1
    where id = ${campaignId} and state = 'running' returning id, last_seq)
  insert into event (campaign_id, seq, name, body)
  select id, last_seq, 'campaign:paused', jsonb_build_object('campaignId', id, 'reason', ${reason}::text) from paused
  returning pg_notify('campanile', campaign_id::text)`;

export const suppressedAmong = (sql: Sql, by: { workspaceId: string; channel: string }, addresses: readonly string[]) => sql<{ address: string }[]>`
  select address from suppression where workspace_id = ${by.workspaceId} and channel = ${by.channel} and address = any(${addresses as string[]}::text[])`;

/** The same for those between two positions of a campaign: a third of the price, for positions are next to each other. */
export const suppressedBetween = (sql: Sql, by: { campaignId: string; workspaceId: string; channel: string }, from: number, to: number) => sql<
  { address: string }[]
>`
  select r.address from recipient r join suppression s on s.workspace_id = ${by.workspaceId} and s.channel = ${by.channel} and s.address = r.address
  where r.campaign_id = ${by.campaignId} and r.position between ${from} and ${to}`;

/** People whom the vendor says have opted out of marketing; the source is the one that a later 'resume' of theirs lifts. */
export const suppressAddresses = (sql: Sql, by: { workspaceId: string; channel: string }, reason: string, addresses: readonly string[]) => sql`
  insert into suppression (workspace_id, channel, address, scope, reason, source)
  select ${by.workspaceId}, ${by.channel}, address, 'marketing', ${reason}, ${PREFERENCE_SOURCE}
  from unnest(${addresses as string[]}::text[]) as a (address) order by address on conflict do nothing`;

export interface CapRow {
  readonly used: number;
  readonly cap: number | null;
}

/**
 * Locks what the senders of this scope share. `used` is the number of rows in `opening`, kept by those who write there: turns of a
 * sender with a cap, and whoever sets one (`campanile.cap_begins`).
 */
export const lockCap = (sql: Sql, scopeId: string) => sql<CapRow[]>`
  select used, cap from cap_scope where id = ${scopeId} for no key update`;

/** Which of the addresses are open: writing to them again costs nothing. */
export const openAmong = (sql: Sql, scopeId: string, addresses: readonly string[]) => sql<{ address: string }[]>`
  select address from opening where scope_id = ${scopeId} and address = any(${addresses as string[]}::text[])`;

/** The instant before which an opening no longer counts: 24 h ago, or the beginning of the calendar day. */
const windowStart = (sql: Sql) => sql`
  case when s.calendar_zone is null then campanile.clock() - interval '24 hours'
    else date_trunc('day', campanile.clock() at time zone s.calendar_zone) at time zone s.calendar_zone end`;

/** Forgets the openings whose time is over. Called with the scope locked. */
export const expireOpenings = (sql: Sql, scopeId: string) => sql<CapRow[]>`
  with gone as (
    delete from opening o using cap_scope s where s.id = ${scopeId} and o.scope_id = s.id and o.last_at <= ${windowStart(sql)} returning 1)
  update cap_scope set used = used - (select count(*) from gone)::int where id = ${scopeId} returning used, cap`;

/** When the first opening of a full scope ends. */
export const nextFreeAt = (sql: Sql, scopeId: string) => sql<{ at: Date | null }[]>`
  select case when s.calendar_zone is null then min(o.last_at) + interval '24 hours'
    else (date_trunc('day', campanile.clock() at time zone s.calendar_zone) + interval '1 day') at time zone s.calendar_zone end as at
  from cap_scope s left join opening o on o.scope_id = s.id where s.id = ${scopeId} group by s.id, s.calendar_zone`;

/**
 * Opens the addresses or moves their openings forward, and counts the new ones. `last_at` is the latest instant at which the vendor
 * can count the call: a slot within the horizon, plus the call's time-out.
 */
export const openAddresses = (sql: Sql, scopeId: string, addresses: readonly string[], lastAt: Date) => sql`
  with opened as (
    insert into opening as o (scope_id, address, last_at)
    select ${scopeId}, address, ${lastAt} from unnest(${addresses as string[]}::text[]) as a (address) order by address
    on conflict (scope_id, address) do update set last_at = greatest(o.last_at, excluded.last_at) returning (xmax = 0) as fresh)
  update cap_scope set used = used + (select count(*) from opened where fresh)::int where id = ${scopeId}`;

/** Takes back, with the scope locked, openings that were made for calls known not to have been sent, unless another call has used the address since. */
export const releaseOpenings = (sql: Sql, scopeId: string, made: readonly { address: string; lastAt: Date }[]) => sql<CapRow[]>`
  with gone as (
    delete from opening o using unnest(${made.map((m) => m.address)}::text[], ${made.map((m) => m.lastAt.toISOString())}::timestamptz[]) as m (address, last_at)
    where o.scope_id = ${scopeId} and o.address = m.address and o.last_at = m.last_at returning 1)
  update cap_scope set used = used - (select count(*) from gone)::int where id = ${scopeId} returning used, cap`;

/** Moves, with the scope locked, the openings of messages in doubt forward: they may have been counted until now. */
export const prolongOpenings = (sql: Sql, scopeId: string, addresses: readonly string[], marginMs: number) => sql`
  with opened as (
    insert into opening as o (scope_id, address, last_at)
    select ${scopeId}, address, campanile.clock() + ${marginMs} * interval '1 ms' from unnest(${addresses as string[]}::text[]) as a (address) order by address
    on conflict (scope_id, address) do update set last_at = greatest(o.last_at, excluded.last_at) returning (xmax = 0) as fresh)
  update cap_scope set used = used + (select count(*) from opened where fresh)::int where id = ${scopeId}`;

/** Locks the doors of a sender and a campaign, in key order. Instants as milliseconds with their fraction: Date would cut it off. */
export const lockDoors = (sql: Sql, ownerIds: readonly string[]) => sql<Door[]>`
  select owner_id, per_second, current_per_second as lowered_to, extract(epoch from next_at)::float8 * 1000 as next_at,
    extract(epoch from hold_until)::float8 * 1000 as hold_until, hold_reason, probing
  from pace where owner_id = any(${ownerIds as string[]}::uuid[]) order by owner_id for no key update`;

/** The slots up to `nextAt` are taken. Microseconds, for a fast sender's slots are closer than a millisecond. */
export const moveDoors = (sql: Sql, doors: readonly { ownerId: string; nextAt: number }[]) => sql`
  update pace set next_at = to_timestamp(d.next_at / 1000)
  from unnest(${doors.map((door) => door.ownerId)}::uuid[], ${doors.map((door) => door.nextAt)}::float8[]) as d (owner_id, next_at)
  where pace.owner_id = d.owner_id`;

/**
 * Who else wants the sender's slots, in lots or with due messages. Asked under its door, so that those of the turns before this one are
 * known. To a lot the due messages of its own campaign are a rival that waited longer: whoever was to be written to again goes first.
 */
export const rivalsOf = (sql: Sql, by: { campaignId: string; senderId: string; isLot: boolean }) => {
  const soon = sql`campanile.clock() + ${HORIZON_MS} * interval '1 ms'`;
  const isDue = (campaignId: ReturnType<Sql>) =>
    sql`exists (select from message m where m.campaign_id = ${campaignId} and m.state = 'queued' and m.due_at <= ${soon})`;
  const own = sql`(${by.isLot} and ${isDue(sql`${by.campaignId}`)})::int`;
  return sql<Rivals[]>`
    select count(*)::int + ${own} as all, (count(*) filter (where (p.next_at, c.id) < (mine.next_at, mine.owner_id)))::int + ${own} as before
    from pace mine, campaign c join pace p on p.owner_id = c.id
    where mine.owner_id = ${by.campaignId} and c.sender_id = ${by.senderId} and c.state = 'running' and c.deleted_at is null and c.id <> mine.owner_id
      and (exists (select from lot l where l.campaign_id = c.id and (l.holder is not null or l.due_at <= ${soon})) or ${isDue(sql`c.id`)})`;
};

/** The vendor told the sender to slow down: that rate, after a rest. */
export const slowDown = (sql: Sql, senderId: string, by: { perSecond: number | null; restMs: number; reason: string }) => sql`
  update pace set current_per_second = ${by.perSecond}, hold_until = greatest(hold_until, campanile.clock() + ${by.restMs} * interval '1 ms'), hold_reason = ${by.reason}
  where owner_id = ${senderId}`;

/** The breaker: nothing leaves through this sender for a while; then one message at a time until one is accepted. */
export const holdSender = (sql: Sql, senderId: string, by: { forMs: number; reason: string }) => sql`
  update pace set hold_until = greatest(hold_until, campanile.clock() + ${by.forMs} * interval '1 ms'), hold_reason = ${by.reason}, probing = true
  where owner_id = ${senderId}`;

/** A probe was accepted: the sender sends at its pace again. */
export const endProbing = (sql: Sql, senderId: string) => sql`
  update pace set probing = false, hold_reason = null where owner_id = ${senderId} and probing`;

/** Its lowered rate has climbed back to the whole: as long as it stood there, one engine alone sent for the sender. */
export const endSlowing = (sql: Sql, senderId: string) => sql`
  update pace set current_per_second = null, hold_reason = null where owner_id = ${senderId}`;

/** The provider refuses this sender: every campaign of it pauses in its own next turn. Nobody fails. */
export const blockSender = (sql: Sql, senderId: string, reason: string) => sql`
  update sender set blocked_reason = ${reason} where id = ${senderId} and blocked_reason is null`;

/** Postgres time; read after the locks, for whoever waited for a lock must not act on the time before it. */
export const readClock = async (sql: Sql): Promise<Date> => {
  const [row] = await sql<{ now: Date }[]>`select campanile.clock() as now`;
  if (row === undefined) throw new Error("campanile.clock() returned nothing");
  return row.now;
};
