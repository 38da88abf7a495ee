import type { Sql } from "../../runtime/postgres.ts";
import { found, type Page } from "./store.ts";

const within = (sql: Sql, { campaignId, stage, from, to }: Page) =>
  sql`campaign_id = ${campaignId} and stage = ${stage} and position between ${from} and ${to}`;

/** Messages of which two attempts are known to have been taken by the provider, in campaigns of one policy. */
export const acceptedTwice = (sql: Sql, page: Page, onUncertain: "hold" | "resend") =>
  found(
    sql,
    sql`
  with proof as (
    select stage, position, attempt from receipt where ${within(sql, page)} and kind in ('sent', 'delivered', 'read')
    union select stage, position, attempt from message where ${within(sql, page)} and state = 'accepted'
    union select stage, position, attempt from attempt where ${within(sql, page)} and outcome = 'accepted')
  select format('stage %s, position %s: attempts %s', stage, position, string_agg(attempt::text, ' and ' order by attempt)) as example
  from proof where exists (select from campaign c where c.id = ${page.campaignId} and c.on_uncertain = ${onUncertain})
  group by stage, position having count(*) > 1 order by position`,
  );

/** One attempt is one call: the provider can have given it one reference. */
export const twoReferences = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  with given as (
    select stage, position, attempt, provider_ref from receipt where ${within(sql, page)} and kind <> 'replied'
    union select stage, position, attempt, provider_ref from message where ${within(sql, page)}
    union select stage, position, attempt, provider_ref from attempt where ${within(sql, page)})
  select format('stage %s, position %s, attempt %s: %s', stage, position, attempt, string_agg(provider_ref, ' and ' order by provider_ref)) as example
  from given where provider_ref is not null group by stage, position, attempt having count(*) > 1 order by position`,
  );

/** Whoever failed or was skipped was not sent anything: no receipt can say so. */
export const sentAfterAll = (sql: Sql, page: Page) =>
  found(
    sql,
    sql`
  select format('stage %s, position %s is %s, and was %s', m.stage, m.position, m.state, r.kind) as example
  from (select * from message where ${within(sql, page)} and state in ('failed', 'skipped')) m cross join lateral (
    select e.kind from receipt e
    where e.campaign_id = m.campaign_id and e.stage = m.stage and e.position = m.position and e.kind in ('sent', 'delivered', 'read') limit 1) r
  order by m.position`,
  );

/** Messages and attempts of earlier ones with the provider's reference, each place once. */
const referred = (sql: Sql, where: ReturnType<Sql>) => sql`
  select campaign_id, stage, position, provider_ref from message where provider_ref is not null and ${where}
  union select campaign_id, stage, position, provider_ref from attempt where provider_ref is not null and ${where}`;

/** A reference names one message. Grouped, in one pass: no index finds a message by its reference. */
export const sharedReferences = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  select format('%s: %s', provider_ref, string_agg(format('stage %s, position %s', stage, position), '; ' order by stage, position)) as example
  from (${referred(sql, sql`campaign_id = ${campaignId}`)}) r group by provider_ref having count(*) > 1 order by min(position)`,
  );

/** … also among all campaigns of a workspace. */
export const referencesOfTwoCampaigns = (sql: Sql) =>
  found(
    sql,
    sql`
  select format('%s: campaigns %s', r.provider_ref, string_agg(distinct c.id::text, ', ')) as example
  from (${referred(sql, sql`true`)}) r join campaign c on c.id = r.campaign_id
  group by c.workspace_id, r.provider_ref having count(distinct c.id) > 1`,
  );

/** When a message was at the provider at the latest: its row may have been written by a recovery, long after its receipt's time. */
const sentBy = (sql: Sql) => sql`
  least(m.at, (select min(e.at) from receipt e
    where e.campaign_id = m.campaign_id and e.stage = m.stage and e.position = m.position and e.attempt = m.attempt and e.kind <> 'replied'))`;

/**
 * Accepted messages whose address was suppressed more than `marginMs` before. What recipients themselves told their provider counts
 * from the time it gave, which is before we could know: `told` looks at these suppressions only, otherwise at all others.
 */
export const sentAfterSuppression = (sql: Sql, page: Page, by: { told: boolean; sources: readonly string[]; marginMs: number }) =>
  found(
    sql,
    sql`
  select format('stage %s, position %s: sent by %s, suppressed (%s) since %s', m.stage, m.position, ${sentBy(sql)}, s.source, s.at) as example
  from (select * from message where ${within(sql, page)} and state = 'accepted') m join campaign c on c.id = m.campaign_id
    join recipient r on r.campaign_id = m.campaign_id and r.position = m.position
    join suppression s on s.workspace_id = c.workspace_id and s.channel = c.channel and s.address = r.address
  where (s.source = any(${by.sources as string[]})) = ${by.told} and ${sentBy(sql)} > s.at + ${by.marginMs} * interval '1 ms'
  order by m.position`,
  );

/** Messages in doubt, or to be sent again, of which a receipt has told for longer than `ms` that they were sent. */
export const overdueSettlements = (sql: Sql, campaignId: string, ms: number) =>
  found(
    sql,
    sql`
  select format('stage %s, position %s is %s', m.stage, m.position, m.state) as example from message m
  where m.campaign_id = ${campaignId} and m.state in ('uncertain', 'queued') and (
    select true from receipt r where r.campaign_id = m.campaign_id and r.stage = m.stage and r.position = m.position and r.attempt <= m.attempt
      and r.kind <> 'replied' and r.provider_ref is not null and r.received_at < campanile.clock() - ${ms} * interval '1 ms' limit 1)
  order by m.position`,
  );

/** Messages in doubt that should have been sent again, `ms` after their outcome, and keep their campaign open. */
export const overdueResends = (sql: Sql, campaignId: string, ms: number) =>
  found(
    sql,
    sql`
  select format('stage %s, position %s, in doubt since %s', m.stage, m.position, m.at) as example from message m join campaign c on c.id = m.campaign_id
  where m.campaign_id = ${campaignId} and m.state = 'uncertain' and c.on_uncertain = 'resend' and c.state = 'running' and c.engine
    and m.at < campanile.clock() - ${ms} * interval '1 ms'
  order by m.position`,
  );
