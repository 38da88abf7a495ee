import type { Sql } from "../../runtime/postgres.ts";

/** No retry waits for longer: a pair limit at its worst. */
const RETRY_WAIT_MAX_MS = 3_600_000;

export type ProviderName = "whatsapp_cloud" | "rehearsal";

/** What is not secret about a sender. Keys are kept as they are written here. */
export interface SenderSettings {
  /** Origin, and a path before the version if there is one: `https://graph.facebook.com`. */
  readonly apiBase?: string | undefined;
  readonly apiVersion?: string | undefined;
  readonly wabaId?: string | undefined;
  /** The endpoint's last word. */
  readonly path?: "messages" | "marketing_messages" | undefined;
  /** What the vendor says about the number: see whatsapp/account.ts. */
  readonly account?: Readonly<Record<string, string | null>> | undefined;
}

export interface Sender {
  readonly workspaceId: string;
  readonly id: string;
  readonly channel: "whatsapp" | "email";
  readonly provider: ProviderName;
  readonly name: string;
  readonly externalId: string;
  readonly settings: SenderSettings;
  readonly capScopeId: string;
  /** Null: never connected. */
  readonly connectedAt: Date | null;
  /** Why the provider refuses this sender; null while it does not. */
  readonly blockedReason: string | null;
  readonly createdAt: Date;
}

/** A sender as the vendor needs it. */
export interface SenderSecrets extends Sender {
  readonly credentials: Uint8Array | null;
}

export interface SenderRef {
  readonly workspaceId: string;
  readonly id: string;
}

const columns = (sql: Sql) => sql`
  workspace_id, id, channel, provider, name, external_id, settings, cap_scope_id, connected_at, blocked_reason, created_at`;

export const readSender = (sql: Sql, { workspaceId, id }: SenderRef) => sql<Sender[]>`
  select ${columns(sql)} from sender where workspace_id = ${workspaceId} and id = ${id} and deleted_at is null`;

export const readSenderSecrets = (sql: Sql, id: string) => sql<SenderSecrets[]>`
  select ${columns(sql)}, credentials from sender where id = ${id} and deleted_at is null`;

export const readSenderByExternalId = (sql: Sql, provider: ProviderName, externalId: string) => sql<SenderSecrets[]>`
  select ${columns(sql)}, credentials from sender where provider = ${provider} and external_id = ${externalId} and deleted_at is null`;

/** In the order of their ids, after the one given. */
export const listSenders = (sql: Sql, { workspaceId, afterId, limit }: { workspaceId: string; afterId: string | null; limit: number }) => sql<
  Sender[]
>`
  select ${columns(sql)} from sender
  where workspace_id = ${workspaceId} and deleted_at is null and id > ${afterId ?? "00000000-0000-0000-0000-000000000000"}
  order by id limit ${limit}`;

export interface SenderInsert
  extends Pick<Sender, "workspaceId" | "id" | "channel" | "provider" | "name" | "externalId" | "settings" | "capScopeId"> {
  readonly credentials: Uint8Array | null;
}

/** Nothing comes back when the vendor's number has a sender already, in whatever workspace. */
export const insertSender = (sql: Sql, row: SenderInsert) => sql<Sender[]>`
  insert into sender (workspace_id, id, channel, provider, name, external_id, settings, credentials, cap_scope_id)
  values (${row.workspaceId}, ${row.id}, ${row.channel}, ${row.provider}, ${row.name}, ${row.externalId}, ${sql.json({ ...row.settings })},
    ${row.credentials}, ${row.capScopeId})
  on conflict (provider, external_id) where deleted_at is null do nothing
  returning ${columns(sql)}`;

export interface SenderChange {
  readonly name?: string | undefined;
  /** Merged into what is there; undefined leaves a setting, so none can be taken away. */
  readonly settings?: SenderSettings | undefined;
  readonly credentials?: Uint8Array | undefined;
}

export const updateSender = (sql: Sql, { workspaceId, id }: SenderRef, change: SenderChange) => sql<Sender[]>`
  update sender set name = coalesce(${change.name ?? null}, name), settings = settings || ${sql.json({ ...change.settings })},
    credentials = coalesce(${change.credentials ?? null}::bytea, credentials)
  where workspace_id = ${workspaceId} and id = ${id} and deleted_at is null
  returning ${columns(sql)}`;

/** The row stays: campaigns and receipts refer to it. Its credentials are gone. */
export const deleteSender = (sql: Sql, { workspaceId, id }: SenderRef) => sql`
  update sender set deleted_at = campanile.clock(), credentials = null
  where workspace_id = ${workspaceId} and id = ${id} and deleted_at is null`;

/** The vendor has answered: the sender can be used, and what blocked it is over. */
export const markConnected = (sql: Sql, { workspaceId, id }: SenderRef) => sql<Sender[]>`
  update sender set connected_at = coalesce(connected_at, campanile.clock()), blocked_reason = null
  where workspace_id = ${workspaceId} and id = ${id} and deleted_at is null
  returning ${columns(sql)}`;

/** The first reason stays: those after it are its consequences. */
export const blockSender = (sql: Sql, id: string, reason: string) => sql`
  update sender set blocked_reason = ${reason} where id = ${id} and blocked_reason is null`;

export const unblockSender = (sql: Sql, { workspaceId, id }: SenderRef) => sql`
  update sender set blocked_reason = null where workspace_id = ${workspaceId} and id = ${id}`;

/** Held until the end of the transaction: two senders of one new portfolio then find one scope. */
export const lockWorkspace = (sql: Sql, workspaceId: string) => sql`select from workspace where id = ${workspaceId} for no key update`;

export const readCapScopeByName = (sql: Sql, workspaceId: string, name: string) => sql<{ id: string }[]>`
  select id from cap_scope where workspace_id = ${workspaceId} and name = ${name} order by id limit 1`;

export interface CapScope {
  readonly workspaceId: string;
  readonly id: string;
  readonly name: string;
  /** Null: no cap. */
  readonly cap: number | null;
  /** Null: any rolling 24 hours. */
  readonly calendarZone: string | null;
}

export const insertCapScope = (sql: Sql, row: CapScope) => sql`
  insert into cap_scope (workspace_id, id, name, cap, calendar_zone) values (${row.workspaceId}, ${row.id}, ${row.name}, ${row.cap}, ${row.calendarZone})`;

export const setCap = (sql: Sql, scopeId: string, cap: number | null) => sql`update cap_scope set cap = ${cap} where id = ${scopeId}`;

/** Never raises it; no cap counts as the highest. */
export const lowerCap = (sql: Sql, scopeId: string, cap: number) => sql`update cap_scope set cap = least(cap, ${cap}) where id = ${scopeId}`;

export const insertPace = (sql: Sql, senderId: string, perSecond: number | null) => sql`
  insert into pace (owner_id, per_second, next_at) values (${senderId}, ${perSecond}, campanile.clock()) on conflict do nothing`;

export const setPace = (sql: Sql, senderId: string, perSecond: number | null) =>
  sql`update pace set per_second = ${perSecond} where owner_id = ${senderId}`;

/** How much of its pace and cap a sender has used. */
export interface Usage {
  readonly perSecond: number | null;
  /** Lowered for the time being; null: it is not. */
  readonly currentPerSecond: number | null;
  readonly holdUntil: Date | null;
  readonly holdReason: string | null;
  readonly cap: number | null;
  readonly used: number;
  readonly calendarZone: string | null;
  /** When the next recipient may be opened; null: now. */
  readonly nextFreeAt: Date | null;
}

/** `used` of the scope still counts what has expired since somebody last looked; so does not this. */
export const readUsage = (sql: Sql, { workspaceId, id }: SenderRef) => sql<Usage[]>`
  with windowed as (
    select s.id, c.id as scope_id, c.cap, c.used, c.calendar_zone,
      case when c.calendar_zone is null then campanile.clock() - interval '24 hours'
        else date_trunc('day', campanile.clock() at time zone c.calendar_zone) at time zone c.calendar_zone end as since
    from sender s join cap_scope c on c.workspace_id = s.workspace_id and c.id = s.cap_scope_id
    where s.workspace_id = ${workspaceId} and s.id = ${id} and s.deleted_at is null),
  counted as (
    select w.*, greatest(0, w.used - (select count(*) from opening o where o.scope_id = w.scope_id and o.last_at <= w.since))::int as now_used
    from windowed w)
  select p.per_second, p.current_per_second, p.hold_until, p.hold_reason, c.cap, c.now_used as used, c.calendar_zone,
    case when c.cap is null or c.now_used < c.cap then null
      when c.calendar_zone is not null
        then (date_trunc('day', campanile.clock() at time zone c.calendar_zone) + interval '1 day') at time zone c.calendar_zone
      else (select min(o.last_at) + interval '24 hours' from opening o where o.scope_id = c.scope_id and o.last_at > c.since) end as next_free_at
  from counted c left join pace p on p.owner_id = c.id`;

export interface TemplateRow {
  readonly id: string;
  readonly name: string;
  readonly language: string;
  readonly category: string;
  readonly status: string;
  readonly parameterFormat: "POSITIONAL" | "NAMED";
  readonly components: readonly unknown[];
  readonly externalId: string | null;
  readonly syncedAt: Date;
}

export type TemplateInsert = Omit<TemplateRow, "syncedAt" | "externalId"> & { readonly externalId: string };

export const upsertTemplates = (sql: Sql, { workspaceId, id: senderId }: SenderRef, rows: readonly TemplateInsert[]) => sql`
  insert into template (workspace_id, sender_id, id, name, language, category, status, parameter_format, components, external_id)
  select ${workspaceId}, ${senderId}, r.id, r.name, r.language, r.category, r.status, r."parameterFormat", r.components, r."externalId"
  from jsonb_to_recordset(${sql.json(rows as never)}) as r(id uuid, name text, language text, category text, status text, "parameterFormat" text,
    components jsonb, "externalId" text)
  on conflict (workspace_id, sender_id, name, language) do update set category = excluded.category, status = excluded.status,
    parameter_format = excluded.parameter_format, components = excluded.components, external_id = excluded.external_id, synced_at = campanile.clock()`;

/** Those the vendor no longer lists cannot be sent any more; they stay for the campaigns that were made with them. */
export const markTemplatesGone = (sql: Sql, { workspaceId, id: senderId }: SenderRef, listedIds: readonly string[]) => sql`
  update template set status = 'DELETED', synced_at = campanile.clock()
  where workspace_id = ${workspaceId} and sender_id = ${senderId} and status <> 'DELETED' and not external_id = any(${[...listedIds]})`;

export const listTemplates = (sql: Sql, { workspaceId, id: senderId }: SenderRef) => sql<TemplateRow[]>`
  select id, name, language, category, status, parameter_format, components, external_id, synced_at from template
  where workspace_id = ${workspaceId} and sender_id = ${senderId} order by name, language`;

/**
 * What waits for the cap of this sender's scope, or for its pace, looks again: it may have been raised. Lots, and messages that are due
 * later than any retry is. In a transaction of its own: lots are locked before caps.
 */
export const wakeWaiting = (sql: Sql, senderId: string) => sql`
  with woken as (
    select c.id from campaign c join sender s on s.workspace_id = c.workspace_id and s.id = c.sender_id
    where s.cap_scope_id = (select cap_scope_id from sender where id = ${senderId}) and c.state = 'running'),
  due as (
    update message m set due_at = campanile.clock() from woken
    where m.campaign_id = woken.id and m.state = 'queued' and m.due_at > campanile.clock() + ${RETRY_WAIT_MAX_MS} * interval '1 ms')
  update lot l set due_at = campanile.clock() from campaign c
  where c.id in (select id from woken) and c.delay_between_batches_ms = 0 and l.campaign_id = c.id
    and l.holder is null and l.due_at > campanile.clock() returning pg_notify('campanile', l.campaign_id::text)`;
