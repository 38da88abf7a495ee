import type { Sql } from "../../runtime/postgres.ts";
import type { EndpointRef, SealedSecrets } from "./endpoint-store.ts";

export type DeliveryState = "pending" | "delivered" | "dead";

export interface Delivery {
  /** `msg_…`, the receiver's webhook-id. */
  readonly id: string;
  readonly name: string;
  readonly campaignId: string;
  readonly seq: number;
  readonly eventAt: Date;
  readonly state: DeliveryState;
  readonly attempts: number;
  readonly dueAt: Date;
  readonly lastStatus: number | null;
  readonly lastCause: string | null;
  readonly deliveredAt: Date | null;
}

/** A delivery as it is leased to a process. */
export interface Leased extends SealedSecrets {
  readonly workspaceId: string;
  readonly endpointId: string;
  readonly id: string;
  readonly token: number;
  /** This one included. */
  readonly attempts: number;
  readonly url: string;
  readonly campaignId: string;
  readonly seq: number;
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
  readonly at: Date;
}

/** Locks the endpoints that have something due until commit: nobody else counts, or takes, what is theirs meanwhile. */
export const lockReady = (sql: Sql) => sql<{ id: string }[]>`
  select w.id from webhook_endpoint w
  where w.disabled_at is null
    and exists (select from webhook_delivery d where d.endpoint_id = w.id and d.state = 'pending' and d.due_at <= (select campanile.clock()))
  for no key update of w skip locked`;

/**
 * Leases what is due of these endpoints: `most` in all, `perEndpoint` under way for each, whoever leased them; the first of each endpoint
 * before the second of any.
 */
export const take = (
  sql: Sql,
  endpointIds: readonly string[],
  { most, perEndpoint, leaseMs }: { most: number; perEndpoint: number; leaseMs: number },
) =>
  sql<Leased[]>`
  with free as (
    select d.id, row_number() over (partition by e.id order by d.due_at) as turn, d.due_at
    from unnest(${endpointIds as string[]}::uuid[]) as e (id) cross join lateral (
      select id, due_at from webhook_delivery where endpoint_id = e.id and state = 'pending' and due_at <= (select campanile.clock())
      order by due_at limit greatest(0, ${perEndpoint} - (
        select count(*) from webhook_delivery h where h.endpoint_id = e.id and h.lease_until > (select campanile.clock())))) d
    order by turn, due_at limit ${most}),
  until as materialized (select campanile.clock() + ${leaseMs} * interval '1 ms' as at),
  taken as (
    update webhook_delivery d set attempts = d.attempts + 1, token = d.token + 1, due_at = until.at, lease_until = until.at
    from free, until where d.id = free.id and d.state = 'pending'
    returning d.workspace_id, d.endpoint_id, d.id, d.token, d.attempts, d.campaign_id, d.seq)
  select t.*, w.url, w.secret, case when w.previous_secret_until > campanile.clock() then w.previous_secret end as previous_secret, e.name, e.body, e.at
  from taken t join webhook_endpoint w on w.workspace_id = t.workspace_id and w.id = t.endpoint_id
    join event e on e.campaign_id = t.campaign_id and e.seq = t.seq`;

export interface Tried {
  readonly state: DeliveryState;
  /** Until the next try, while it is pending. */
  readonly waitMs: number;
  readonly status: number | null;
  readonly cause: string | null;
}

const own = (sql: Sql, { id, token }: Pick<Leased, "id" | "token">) => sql`id = ${id} and token = ${token} and state = 'pending'`;

/** Nothing when the lease was lost: then it was, or will be, tried again under another. */
export const recordTry = (sql: Sql, leased: Leased, { state, waitMs, status, cause }: Tried) => sql`
  update webhook_delivery set state = ${state}, lease_until = null, due_at = campanile.clock() + ${waitMs} * interval '1 ms', last_status = ${status},
    last_cause = ${cause}, delivered_at = case when ${state}::text = 'delivered' then campanile.clock() end
  where ${own(sql, leased)}`;

/** It was ended before anybody answered, and is due as it was. */
export const giveBack = (sql: Sql, leased: Leased) => sql`
  update webhook_delivery set attempts = attempts - 1, lease_until = null, due_at = campanile.clock() where ${own(sql, leased)}`;

const columns = (sql: Sql) => sql`
  d.id, e.name, d.campaign_id, d.seq, d.event_at, d.state, d.attempts, d.due_at, d.last_status, d.last_cause, d.delivered_at`;

/** Those in these states, the latest event first, after the one given. */
export const listDeliveries = (
  sql: Sql,
  endpointId: string,
  { states, afterId, limit }: { states: readonly DeliveryState[]; afterId: string | null; limit: number },
) => sql<Delivery[]>`
  select ${columns(sql)} from unnest(${states as string[]}::text[]) as s (state) cross join lateral (
      select * from webhook_delivery where endpoint_id = ${endpointId} and webhook_delivery.state = s.state
        ${afterId === null ? sql`` : sql`and (event_at, id) < (select a.event_at, a.id from webhook_delivery a where a.id = ${afterId})`}
      order by event_at desc, id desc limit ${limit}) d
    join event e on e.campaign_id = d.campaign_id and e.seq = d.seq
  order by d.event_at desc, d.id desc limit ${limit}`;

export const readDelivery = (sql: Sql, { workspaceId, id: endpointId }: EndpointRef, id: string) => sql<Delivery[]>`
  select ${columns(sql)} from webhook_delivery d join event e on e.campaign_id = d.campaign_id and e.seq = d.seq
  where d.id = ${id} and d.endpoint_id = ${endpointId} and d.workspace_id = ${workspaceId}`;

/** Due now, with all its tries before it; what is under way stays as it is. */
const dueAgain = (sql: Sql) => sql`
  update webhook_delivery d set state = 'pending', attempts = 0, due_at = campanile.clock(), lease_until = null, delivered_at = null`;
const isAtRest = (sql: Sql) => sql`(d.lease_until is null or d.lease_until <= campanile.clock())`;

export const replayOne = (sql: Sql, { id: endpointId }: EndpointRef, id: string) => sql`
  ${dueAgain(sql)} where d.id = ${id} and d.endpoint_id = ${endpointId} and ${isAtRest(sql)}`;

/** All that there is since then, of the events that the endpoint wants now. */
export const replayKnown = (sql: Sql, { workspaceId, id }: EndpointRef, since: Date) => sql`
  ${dueAgain(sql)} from webhook_endpoint w, event e
  where w.workspace_id = ${workspaceId} and w.id = ${id} and d.endpoint_id = w.id and d.event_at >= ${since} and ${isAtRest(sql)}
    and e.campaign_id = d.campaign_id and e.seq = d.seq and (w.events is null or e.name = any (w.events))`;

/** What happened since then while the endpoint was disabled, or not there yet. */
export const addMissed = (sql: Sql, { workspaceId, id }: EndpointRef, since: Date) => sql`
  insert into webhook_delivery (id, workspace_id, endpoint_id, campaign_id, seq, event_at, due_at)
  select 'msg_' || replace(gen_random_uuid()::text, '-', ''), w.workspace_id, w.id, e.campaign_id, e.seq, e.at, campanile.clock()
  from webhook_endpoint w join campaign c on c.workspace_id = w.workspace_id join event e on e.campaign_id = c.id
  where w.workspace_id = ${workspaceId} and w.id = ${id} and e.at >= ${since} and (w.events is null or e.name = any (w.events))
  on conflict (endpoint_id, campaign_id, seq) do nothing`;

/** Wakes whoever delivers. */
export const wake = (sql: Sql, endpointId: string) => sql`select pg_notify('campanile', ${endpointId})`;
