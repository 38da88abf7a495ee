import type { Sql } from "../../runtime/postgres.ts";

export interface EndpointRef {
  readonly workspaceId: string;
  readonly id: string;
}

export interface Endpoint extends EndpointRef {
  readonly url: string;
  /** Null: all. */
  readonly events: readonly string[] | null;
  /** Until when the secret before this one signs too; null: there is none. */
  readonly previousSecretUntil: Date | null;
  readonly disabledAt: Date | null;
  /** Null: by hand, or not at all. */
  readonly disabledReason: string | null;
  readonly createdAt: Date;
}

/** What signs, sealed. */
export interface SealedSecrets {
  readonly secret: Uint8Array;
  /** Null, too, when its time is over. */
  readonly previousSecret: Uint8Array | null;
}

const columns = (sql: Sql) => sql`workspace_id, id, url, events, disabled_at, disabled_reason, created_at,
  case when previous_secret_until > campanile.clock() then previous_secret_until end as previous_secret_until`;

const known = (sql: Sql, { workspaceId, id }: EndpointRef) => sql`workspace_id = ${workspaceId} and id = ${id} and deleted_at is null`;

interface NewRow extends EndpointRef {
  readonly url: string;
  readonly events: readonly string[] | null;
  readonly secret: Uint8Array;
}

export const insertEndpoint = (sql: Sql, { workspaceId, id, url, events, secret }: NewRow) => sql<Endpoint[]>`
  insert into webhook_endpoint (workspace_id, id, url, events, secret) values (${workspaceId}, ${id}, ${url}, ${events as string[] | null}::text[], ${secret})
  returning ${columns(sql)}`;

export const readEndpoint = (sql: Sql, ref: EndpointRef) => sql<Endpoint[]>`select ${columns(sql)} from webhook_endpoint where ${known(sql, ref)}`;

export const readSecrets = (sql: Sql, ref: EndpointRef) => sql<SealedSecrets[]>`
  select secret, case when previous_secret_until > campanile.clock() then previous_secret end as previous_secret
  from webhook_endpoint where ${known(sql, ref)}`;

/** In the order of their ids, after the one given. */
export const listEndpoints = (sql: Sql, { workspaceId, afterId, limit }: { workspaceId: string; afterId: string | null; limit: number }) => sql<
  Endpoint[]
>`
  select ${columns(sql)} from webhook_endpoint
  where workspace_id = ${workspaceId} and deleted_at is null and id > ${afterId ?? "00000000-0000-0000-0000-000000000000"}
  order by id limit ${limit}`;

export interface EndpointChange {
  readonly url?: string | undefined;
  readonly events?: readonly string[] | null | undefined;
  readonly disabled?: boolean | undefined;
}

/** What is not given stays. Whoever is disabled already keeps the date and the reason. */
export const updateEndpoint = (sql: Sql, ref: EndpointRef, { url, events, disabled }: EndpointChange) => sql<Endpoint[]>`
  update webhook_endpoint set url = coalesce(${url ?? null}, url),
    events = case when ${events !== undefined} then ${(events ?? null) as string[] | null}::text[] else events end,
    disabled_at = case when ${disabled ?? null}::boolean then coalesce(disabled_at, campanile.clock()) when not ${disabled ?? null}::boolean then null else disabled_at end,
    disabled_reason = case when not ${disabled ?? null}::boolean then null else disabled_reason end
  where ${known(sql, ref)} returning ${columns(sql)}`;

/** The receiver wants no more; the first reason stays. */
export const disableEndpoint = (sql: Sql, id: EndpointRef, reason: string) => sql`
  update webhook_endpoint set disabled_at = campanile.clock(), disabled_reason = ${reason} where ${known(sql, id)} and disabled_at is null`;

/** The secret before goes on signing for so long; the one before that does no more. */
export const rotateSecret = (sql: Sql, ref: EndpointRef, { secret, keepMs }: { secret: Uint8Array; keepMs: number }) => sql<Endpoint[]>`
  update webhook_endpoint set secret = ${secret}, previous_secret = secret, previous_secret_until = campanile.clock() + ${keepMs} * interval '1 ms'
  where ${known(sql, ref)} returning ${columns(sql)}`;

/** The row stays, for its deliveries refer to it. Its secrets are gone. */
export const deleteEndpoint = (sql: Sql, ref: EndpointRef) => sql`
  update webhook_endpoint set deleted_at = campanile.clock(), disabled_at = coalesce(disabled_at, campanile.clock()),
    secret = null, previous_secret = null, previous_secret_until = null
  where ${known(sql, ref)}`;

/** What was not delivered to a deleted endpoint never will be. */
export const giveUpPending = (sql: Sql, { id }: EndpointRef) => sql`
  update webhook_delivery set state = 'dead', lease_until = null, last_cause = 'The endpoint was deleted.' where endpoint_id = ${id} and state = 'pending'`;
