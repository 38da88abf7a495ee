import type { Sql } from "../../runtime/postgres.ts";
import { found, type Page } from "./store.ts";

/** The lot with this position, by one index probe; a join on ranges would compare all with all. */
const lotOf = (sql: Sql, position: ReturnType<Sql>, campaignId: string) => sql`
  left join lateral (
    select l.first, l.last, l.handed, l.holder from lot l where l.campaign_id = ${campaignId} and l.first <= ${position} order by l.first desc limit 1
  ) l on l.last >= ${position}`;

/** A mark is committed before a byte leaves, so no receipt can outrun it. A reply may be to anything. */
export const receivedBeyondMark = (sql: Sql, { campaignId, stage, from, to }: Page) =>
  found(
    sql,
    sql`
  select format('position %s was %s, in the lot %s–%s with the mark %s', r.position, min(r.kind), l.first, l.last, l.handed) as example
  from receipt r ${lotOf(sql, sql`r.position`, campaignId)}
  where r.campaign_id = ${campaignId} and r.stage = 1 and ${stage}::int = 1 and r.position between ${from} and ${to}
    and r.kind <> 'replied' and r.provider_ref is not null and r.position > l.handed
  group by r.position, l.first, l.last, l.handed order by r.position`,
  );

/** Recipients, which have no stage, are looked at with the first one. */
const recipients = (sql: Sql, { campaignId, stage, from, to }: Page) => sql`
  r.campaign_id = ${campaignId} and r.position between ${from} and ${to} and ${stage}::int = 1`;
const messages = (sql: Sql, { campaignId, stage, from, to }: Page) => sql`
  m.campaign_id = ${campaignId} and m.stage = ${stage} and m.position between ${from} and ${to}`;
/**
 * Whether the recipient has a message, by one index probe each, which the limit enforces: as `not exists` Postgres compares all with all
 * while it has no statistics (40 s for a page of 20,000), and reads the whole campaign for each page when it has.
 */
const messageOf = (sql: Sql, { campaignId }: Page) => sql`
  left join lateral (
    select true as written from message m where m.campaign_id = ${campaignId} and m.stage = 1 and m.position = r.position limit 1) m on true`;

/** Positions are 1 … N exactly when the last is their number. */
export const positionGaps = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  select format('%s recipients, the last position is %s, total_recipients says %s', r.number, r.last, coalesce(c.total_recipients::text, 'nothing yet')) as example
  from campaign c
    cross join lateral (select count(*) as number, coalesce(max(position), 0) as last from recipient where campaign_id = c.id) r
  where c.id = ${campaignId} and (r.number <> r.last or c.total_recipients <> r.number)`,
  );

export const endedWithoutOutcome = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select 'position ' || r.position as example from recipient r join campaign c on c.id = r.campaign_id ${messageOf(sql, page)}
  where ${recipients(sql, page)} and (c.state = 'completed' or c.statement is not null) and m.written is null order by r.position`,
  );

/** Who has no message and is in no lot will never be written to. */
export const inNobodysHands = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select 'position ' || r.position as example from recipient r join campaign c on c.id = r.campaign_id
    ${messageOf(sql, page)} ${lotOf(sql, sql`r.position`, page.campaignId)}
  where ${recipients(sql, page)} and c.state in ('running', 'paused') and c.total_recipients is not null and l.first is null and m.written is null
  order by r.position`,
  );

/** A holder gives a lot back only when all that it began has an outcome. */
export const markedAndForgotten = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select format('position %s, in the free lot %s–%s with the mark %s', r.position, l.first, l.last, l.handed) as example
  from recipient r ${messageOf(sql, page)} ${lotOf(sql, sql`r.position`, page.campaignId)}
  where ${recipients(sql, page)} and l.holder is null and r.position <= l.handed and m.written is null order by r.position`,
  );

export const writtenBeyondMark = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select format('position %s is %s, in the lot %s–%s with the mark %s', m.position, m.state, l.first, l.last, l.handed) as example
  from message m ${lotOf(sql, sql`m.position`, page.campaignId)}
  where ${messages(sql, page)} and m.stage = 1 and m.state <> 'skipped' and m.position > l.handed order by m.position`,
  );

export const toNobody = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select format('%s of stage %s, position %s', said.what, said.stage, said.position) as example
  from (
    select 'message' as what, m.campaign_id, m.stage, m.position from message m where ${messages(sql, page)}
    union select 'attempt', m.campaign_id, m.stage, m.position from attempt m where ${messages(sql, page)}
    union select 'receipt', m.campaign_id, m.stage, m.position from receipt m where ${messages(sql, page)}) said
    left join lateral (select true as known from recipient r where r.campaign_id = ${page.campaignId} and r.position = said.position limit 1) r on true
  where r.known is null
  order by said.position`,
  );

/** What each state of a message must have; the table's own constraints say the same. */
export const illegalMessages = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select format('stage %s, position %s: %s', m.stage, m.position, fault.text) as example
  from message m cross join lateral (values (case
    when m.state not in ('queued', 'handing', 'accepted', 'failed', 'skipped', 'uncertain') then 'no state is called ' || m.state
    when m.attempt < 1 then 'attempt ' || m.attempt
    when m.state = 'accepted' and m.provider_ref is null then 'accepted without a reference of the provider'
    when m.state = 'queued' and m.due_at is null then 'queued and never due'
    when m.state = 'handing' and (m.token is null or m.lease_until is null) then 'handed over without a lease'
    when m.state <> 'handing' and (m.token is not null or m.lease_until is not null) then m.state || ' and leased'
    when m.state in ('failed', 'skipped') and m.code is null then m.state || ' without a reason' end)) as fault (text)
  where ${messages(sql, page)} and fault.text is not null order by m.position`,
  );

/** Each attempt before the current one was kept when it ended. */
export const missingAttempts = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select format('stage %s, position %s: attempt %s, and %s kept before it', m.stage, m.position, m.attempt, kept.number) as example
  from message m cross join lateral (
    select count(*) as number from attempt a
    where a.campaign_id = m.campaign_id and a.stage = m.stage and a.position = m.position and a.attempt < m.attempt) kept
  where ${messages(sql, page)} and m.attempt > 1 and kept.number <> m.attempt - 1
  union all
  select format('stage %s, position %s: attempt %s of a message without a row', m.stage, m.position, m.attempt) from attempt m
    left join lateral (
      select true as known from message o where o.campaign_id = m.campaign_id and o.stage = m.stage and o.position = m.position limit 1) o on true
  where ${messages(sql, page)} and o.known is null`,
  );
