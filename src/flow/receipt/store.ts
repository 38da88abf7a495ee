import { type Element, implied, PREFERENCE_SOURCE, type ReceiptKind } from "../../rules/receipt.ts";
import type { Sql } from "../../runtime/postgres.ts";

/** Names one attempt of one message. */
export interface AttemptKey {
  readonly campaignId: string;
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
}

/**
 * Until the end of the transaction every row is looked up by its key. These tables grow by thousands of rows a second while the planner's
 * statistics are up to a minute old: it would read the whole of `message`, or sort the whole backlog of the inbox, for each batch,
 * and compile its plan for 200 ms.
 */
export const planByKey = (sql: Sql) => sql`
  select set_config(name, 'off', true)
  from unnest(array['enable_seqscan', 'enable_bitmapscan', 'enable_hashjoin', 'enable_mergejoin', 'jit']) as name`;

export interface InboxRow {
  readonly id: number;
  readonly body: Buffer;
  readonly senders: readonly string[];
  readonly receivedAt: Date;
}

/** The oldest new webhooks, locked, at most `limit` and no more than about `bytesMax` of them (but one at least); skips those of another applier. */
export const takeNew = (sql: Sql, limit: number, bytesMax: number) => sql<InboxRow[]>`
  with taken as materialized (
    select id, octet_length(body) as size from inbox where state = 'new' order by id limit ${limit} for update skip locked),
  measured as (select id, sum(size) over (order by id) - size as before from taken)
  select i.id, i.body, i.senders, i.received_at from measured m join inbox i on i.id = m.id where m.before < ${bytesMax} order by i.id`;

/** A webhook whose `causes` is not null is set aside for somebody to look at; what could be used of it was. */
export const finishInbox = (sql: Sql, rows: readonly { id: number; cause: string | null }[]) => sql`
  update inbox i set state = case when v.cause is null then 'done' else 'quarantined' end, cause = v.cause
  from unnest(${rows.map(({ id }) => id)}::bigint[], ${rows.map(({ cause }) => cause)}::text[]) as v (id, cause)
  where i.id = v.id and i.state = 'new'`;

/** Sets webhooks aside of which a waiting element turned out to be refused. */
export const quarantineInbox = (sql: Sql, rows: readonly { id: number; cause: string }[]) => sql`
  update inbox i set state = 'quarantined', cause = v.cause
  from (select id, min(cause) as cause from unnest(${rows.map(({ id }) => id)}::bigint[], ${rows.map(({ cause }) => cause)}::text[]) as u (id, cause)
    group by id order by id) as v
  where i.id = v.id`;

export interface WaitingRow {
  readonly id: number;
  readonly inboxId: number;
  readonly element: Element;
  readonly senders: readonly string[];
  readonly tries: number;
}

/** Elements that are to be matched again now, locked. */
export const takeWaiting = (sql: Sql, limit: number) => sql<WaitingRow[]>`
  with taken as materialized (
    select id from unmatched where given_up_at is null and due_at <= campanile.clock() order by due_at, id limit ${limit} for update skip locked)
  select u.id, u.inbox_id, u.element, u.tries, i.senders from taken t join unmatched u on u.id = t.id join inbox i on i.id = u.inbox_id order by u.id`;

export const insertWaiting = (sql: Sql, rows: readonly { inboxId: number; element: Element; againMs: number }[]) => sql`
  insert into unmatched (inbox_id, element, due_at)
  select v.inbox_id, v.element, campanile.clock() + v.again_ms * interval '1 ms'
  from unnest(${rows.map(({ inboxId }) => inboxId)}::bigint[], ${rows.map(({ element }) => JSON.stringify(element))}::text[]::jsonb[],
    ${rows.map(({ againMs }) => againMs)}::int[]) as v (inbox_id, element, again_ms)`;

/** Tries again later; gives up, for everybody to see, what came longer ago than `hours`. */
export const postponeWaiting = (sql: Sql, rows: readonly { id: number; againMs: number }[], hours: number) => sql<{ givenUp: boolean }[]>`
  update unmatched u set tries = u.tries + 1, due_at = campanile.clock() + v.again_ms * interval '1 ms',
    given_up_at = case when i.received_at <= campanile.clock() - ${hours} * interval '1 hour' then campanile.clock() end
  from unnest(${rows.map(({ id }) => id)}::bigint[], ${rows.map(({ againMs }) => againMs)}::int[]) as v (id, again_ms), inbox i
  where u.id = v.id and i.id = u.inbox_id
  returning u.given_up_at is not null as given_up`;

export const deleteWaiting = (sql: Sql, ids: readonly number[]) => sql`delete from unmatched where id = any(${[...ids]}::bigint[])`;

/** An element that Postgres refuses is not tried again. */
export const giveUpWaiting = (sql: Sql, id: number) => sql`
  update unmatched set given_up_at = campanile.clock() where id = ${id} and given_up_at is null`;

/** Who has these phone numbers: the living sender, or the one deleted last. */
export const sendersOf = (sql: Sql, phoneNumberIds: readonly string[]) => sql<{ phoneNumberId: string; workspaceId: string }[]>`
  select distinct on (external_id) external_id as phone_number_id, workspace_id from sender
  where provider = 'whatsapp_cloud' and external_id = any(${[...phoneNumberIds]})
  order by external_id, deleted_at desc nulls first, id`;

export interface CampaignRow {
  readonly campaignId: string;
  readonly workspaceId: string;
  readonly phoneNumberId: string;
  readonly totalRecipients: number;
}

export const campaignsOf = (sql: Sql, campaignIds: readonly string[]) => sql<CampaignRow[]>`
  select c.id as campaign_id, c.workspace_id, s.external_id as phone_number_id, coalesce(c.total_recipients, 0) as total_recipients
  from campaign c join sender s on s.workspace_id = c.workspace_id and s.id = c.sender_id
  where c.id = any(${[...campaignIds]}::uuid[]) and s.provider = 'whatsapp_cloud'`;

export interface AttemptRow extends AttemptKey {
  readonly providerRef: string;
  readonly workspaceId: string;
  readonly phoneNumberId: string;
  readonly address: string | null;
}

/** A provider's id, and the addresses that the message may have gone to, as far as the webhook tells. */
export interface Asked {
  readonly providerRef: string;
  readonly workspaceId: string;
  readonly addresses: readonly string[];
}

/**
 * The attempts that have these provider's ids; the latest first, should an id have been given twice. Messages have no index on it (it
 * took a third of what storing one costs): they are found by the address, or by the receipt that said they were sent.
 */
export const attemptsOf = (sql: Sql, asked: readonly Asked[]) => sql<AttemptRow[]>`
  select f.provider_ref, f.campaign_id, f.stage, f.position, f.attempt, c.workspace_id, c.phone_number_id, r.address
  from unnest(${asked.map(({ providerRef }) => providerRef)}::text[], ${asked.map(({ workspaceId }) => workspaceId)}::uuid[],
    ${asked.map(({ addresses }) => addresses.join(","))}::text[]) as v (ref, workspace_id, addresses)
  cross join lateral (   -- offset 0 is a fence: from the ids to their messages, never the other way
    select m.provider_ref, m.campaign_id, m.stage, m.position, m.attempt, m.at
    from recipient r join message m on m.campaign_id = r.campaign_id and m.position = r.position
    where r.workspace_id = v.workspace_id and r.address = any(string_to_array(v.addresses, ',')) and m.provider_ref = v.ref
    union
    select provider_ref, campaign_id, stage, position, attempt, at from receipt where provider_ref = v.ref and kind = 'sent'
    union
    select provider_ref, campaign_id, stage, position, attempt, at from attempt where provider_ref = v.ref offset 0) f
  cross join lateral (
    select c.workspace_id, s.external_id as phone_number_id from campaign c join sender s on s.workspace_id = c.workspace_id and s.id = c.sender_id
    where c.id = f.campaign_id and s.provider = 'whatsapp_cloud' offset 0) c
  cross join lateral (select address from recipient where campaign_id = f.campaign_id and position = f.position offset 0) r
  order by f.at desc, f.campaign_id, f.stage, f.position, f.attempt`;

export interface Question {
  readonly index: number;
  readonly workspaceId: string;
  readonly phoneNumberId: string;
  readonly addresses: readonly string[];
  readonly at: string;
}

/**
 * For each free text the last message that had gone from that phone number to that person: what it answers. Later messages do not
 * count, or a webhook that comes again would answer another campaign; our clock and WhatsApp's may differ by `skewMs`.
 */
export const lastMessagesTo = (sql: Sql, questions: readonly Question[], skewMs: number) => sql<
  (AttemptKey & { index: number; providerRef: string | null; address: string })[]
>`
  select q.index, found.*
  from unnest(${questions.map(({ index }) => index)}::int[], ${questions.map(({ workspaceId }) => workspaceId)}::uuid[],
    ${questions.map(({ phoneNumberId }) => phoneNumberId)}::text[], ${questions.map(({ addresses }) => addresses.join(","))}::text[],
    ${questions.map(({ at }) => at)}::text[]::timestamptz[]) as q (index, workspace_id, phone_number_id, addresses, at)
  cross join lateral (
    select m.campaign_id, m.stage, m.position, m.attempt, m.provider_ref, r.address
    from recipient r
    join campaign c on c.id = r.campaign_id
    join sender s on s.workspace_id = c.workspace_id and s.id = c.sender_id and s.provider = 'whatsapp_cloud'
    join message m on m.campaign_id = r.campaign_id and m.position = r.position
    where r.workspace_id = q.workspace_id and r.address = any(string_to_array(q.addresses, ','))
      and s.external_id = q.phone_number_id and m.state in ('accepted', 'uncertain', 'handing')
      and (m.at <= q.at + ${skewMs} * interval '1 ms' or exists (   -- after a crash m.at may be the time of the recovery
        select from receipt e where e.campaign_id = m.campaign_id and e.stage = m.stage and e.position = m.position and e.at <= q.at))
    order by m.at desc, m.campaign_id, m.stage desc limit 1) found`;

export const addressesOf = (sql: Sql, keys: readonly Pick<AttemptKey, "campaignId" | "position">[]) => sql<
  { campaignId: string; position: number; address: string | null }[]
>`
  select v.campaign_id, v.position, r.address
  from unnest(${keys.map(({ campaignId }) => campaignId)}::uuid[], ${keys.map(({ position }) => position)}::int[]) as v (campaign_id, position)
  cross join lateral (select address from recipient where campaign_id = v.campaign_id and position = v.position offset 0) r`;

/**
 * Makes the appliers take turns at each stage of a campaign, until commit: only so is a message counted once when two of them bring
 * receipts of it. In key order, before the first receipt.
 */
export const lockCounts = (sql: Sql, stages: readonly { campaignId: string; stage: number }[]) => sql`
  insert into receipt_count (campaign_id, stage, kind, messages)
  select v.campaign_id, v.stage, 'sent', 0
  from unnest(${stages.map(({ campaignId }) => campaignId)}::uuid[], ${stages.map(({ stage }) => stage)}::smallint[]) as v (campaign_id, stage)
  order by v.campaign_id, v.stage
  on conflict (campaign_id, stage, kind) do update set messages = receipt_count.messages`;

export interface NewReceipt extends AttemptKey {
  readonly kind: ReceiptKind;
  readonly at: string;
  readonly providerRef: string | null;
  readonly code: string | null;
  readonly cause: string | null;
}

const columnsOf = (sql: Sql, rows: readonly NewReceipt[]) => sql`
  unnest(${rows.map((row) => row.campaignId)}::uuid[], ${rows.map((row) => row.stage)}::smallint[], ${rows.map((row) => row.position)}::int[],
    ${rows.map((row) => row.attempt)}::smallint[], ${rows.map((row) => row.kind)}::text[], ${rows.map((row) => row.at)}::text[]::timestamptz[],
    ${rows.map((row) => row.providerRef)}::text[], ${rows.map((row) => row.code)}::text[], ${rows.map((row) => row.cause)}::text[])
  as v (campaign_id, stage, position, attempt, kind, at, provider_ref, code, cause)`;

const pairs = Object.entries(implied).flatMap(([kind, counted]) => counted.map((also) => ({ kind, also })));

/** Appends what is new and says how many; counts the messages that have a kind now and had not before. The counts must be locked. */
export const insertReceipts = (sql: Sql, rows: readonly NewReceipt[]) => sql<{ added: number }[]>`
  with implies as (
    select * from unnest(${pairs.map(({ kind }) => kind)}::text[], ${pairs.map(({ also }) => also)}::text[]) as p (kind, also)),
  added as (
    insert into receipt (campaign_id, stage, position, attempt, kind, at, provider_ref, code, cause)
    select v.* from ${columnsOf(sql, rows)}
    on conflict do nothing
    returning campaign_id, stage, position, kind),
  reached as (
    select distinct a.campaign_id, a.stage, a.position, i.also as kind from added a join implies i on i.kind = a.kind
    where (select true from receipt r join implies p on p.kind = r.kind   -- before this statement: it does not see what it added
      where r.campaign_id = a.campaign_id and r.stage = a.stage and r.position = a.position and p.also = i.also limit 1) is null),
  counted as (
    insert into receipt_count (campaign_id, stage, kind, messages)
    select campaign_id, stage, kind, count(*)::int from reached group by campaign_id, stage, kind order by campaign_id, stage, kind
    on conflict (campaign_id, stage, kind) do update set messages = receipt_count.messages + excluded.messages)
  select count(*)::int as added from added`;

/** What was reported twice happened when it was first said to have happened, in whichever order the reports came. */
export const advanceReceipts = (sql: Sql, rows: readonly NewReceipt[]) => sql`
  update receipt r set at = v.at, provider_ref = v.provider_ref, code = v.code, cause = v.cause
  from ${columnsOf(sql, rows)}
  where r.campaign_id = v.campaign_id and r.stage = v.stage and r.position = v.position and r.attempt = v.attempt and r.kind = v.kind and v.at < r.at`;

export interface Refusing {
  readonly workspaceId: string;
  readonly address: string;
  readonly scope: "all" | "marketing";
  readonly reason: string;
  readonly at: string;
}

/** In key order, as everybody must who writes several of these in one transaction. */
export const insertSuppressions = (sql: Sql, source: string, rows: readonly Refusing[]) => sql`
  insert into suppression (workspace_id, channel, address, scope, reason, source, at)
  select v.workspace_id, 'whatsapp', v.address, v.scope, v.reason, ${source}, v.at
  from unnest(${rows.map((row) => row.workspaceId)}::uuid[], ${rows.map((row) => row.address)}::text[], ${rows.map((row) => row.scope)}::text[],
    ${rows.map((row) => row.reason)}::text[], ${rows.map((row) => row.at)}::text[]::timestamptz[]) as v (workspace_id, address, scope, reason, at)
  order by v.workspace_id, v.address, v.scope, v.at
  on conflict do nothing`;

export interface Preference {
  readonly workspaceId: string;
  readonly address: string;
  readonly wanted: "stop" | "resume";
  readonly reason: string;
  readonly at: string;
}

/**
 * Takes down what is later than what was known of an address (of two at one instant the stop holds), each address once, and
 * suppresses advertising to it, or lifts what this source suppressed until then.
 */
export const applyPreferences = (sql: Sql, rows: readonly Preference[]) => sql`
  with said as (
    select * from unnest(${rows.map((row) => row.workspaceId)}::uuid[], ${rows.map((row) => row.address)}::text[], ${rows.map((row) => row.wanted)}::text[],
      ${rows.map((row) => row.reason)}::text[], ${rows.map((row) => row.at)}::text[]::timestamptz[]) as v (workspace_id, address, wanted, reason, at)),
  changed as (
    insert into preference (workspace_id, channel, address, wanted, at)
    select workspace_id, 'whatsapp', address, wanted, at from said order by workspace_id, address
    on conflict (workspace_id, channel, address) do update set wanted = excluded.wanted, at = excluded.at
    where excluded.at > preference.at or excluded.at = preference.at and excluded.wanted = 'stop' and preference.wanted = 'resume'
    returning workspace_id, channel, address, wanted, at),
  lifted as (
    delete from suppression s using changed c
    where c.wanted = 'resume' and s.workspace_id = c.workspace_id and s.channel = c.channel and s.address = c.address
      and s.scope = 'marketing' and s.source = ${PREFERENCE_SOURCE} and s.at <= c.at)
  insert into suppression (workspace_id, channel, address, scope, reason, source, at)
  select c.workspace_id, c.channel, c.address, 'marketing', said.reason, ${PREFERENCE_SOURCE}, c.at
  from changed c join said on said.workspace_id = c.workspace_id and said.address = c.address
  where c.wanted = 'stop' order by c.workspace_id, c.address
  on conflict do nothing`;

/** Messages of a campaign that the provider took more than once: two attempts of each have receipts that say so. */
export const countSentTwice = (sql: Sql, campaignId: string) => sql<{ stage: number; messages: number }[]>`
  select stage, count(*)::int as messages
  from (select stage, position from receipt where campaign_id = ${campaignId} and kind <> 'failed'
    group by stage, position having count(distinct attempt) > 1) twice
  group by stage order by stage`;
