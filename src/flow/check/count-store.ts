import { implied, type ReceiptKind, receiptKinds } from "../../rules/receipt.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { found } from "./store.ts";

/** The counters of a campaign and the rows they count, in one snapshot: both change in one transaction. */
export const wrongCounters = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  with counted as (select stage, accepted, failed, skipped, uncertain from dispatch_count where campaign_id = ${campaignId}),
  derived as (
    select stage, count(*) filter (where state = 'accepted') as accepted, count(*) filter (where state = 'failed') as failed,
      count(*) filter (where state = 'skipped') as skipped, count(*) filter (where state = 'uncertain') as uncertain
    from message where campaign_id = ${campaignId} group by stage)
  select format('stage %s: %s %s are counted, there are %s', stage, coalesce(n.counted, 0), n.state, coalesce(n.derived, 0)) as example
  from counted c full join derived d using (stage)
    cross join lateral (values ('accepted', c.accepted, d.accepted), ('failed', c.failed, d.failed), ('skipped', c.skipped, d.skipped),
      ('uncertain', c.uncertain, d.uncertain)) as n (state, counted, derived)
  where coalesce(n.counted, 0) <> coalesce(n.derived, 0) order by stage`,
  );

/** The kinds of receipt that say that a message has this kind. */
const saying = (kind: ReceiptKind): ReceiptKind[] => receiptKinds.filter((other) => implied[other].includes(kind));

/** Each message is counted once for every kind that its receipts tell or imply. */
export const wrongReceiptCounts = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  with counted as (select stage, kind, messages from receipt_count where campaign_id = ${campaignId}),
  reached as (
    select stage, bool_or(kind = any(${saying("sent")})) as sent, bool_or(kind = any(${saying("delivered")})) as delivered,
      bool_or(kind = any(${saying("read")})) as read, bool_or(kind = any(${saying("replied")})) as replied,
      bool_or(kind = any(${saying("failed")})) as failed
    from receipt where campaign_id = ${campaignId} group by stage, position),
  totals as (
    select stage, count(*) filter (where sent) as sent, count(*) filter (where delivered) as delivered, count(*) filter (where read) as read,
      count(*) filter (where replied) as replied, count(*) filter (where failed) as failed
    from reached group by stage),
  derived as (
    select t.stage, k.kind, k.messages from totals t
      cross join lateral (values ('sent', t.sent), ('delivered', t.delivered), ('read', t.read), ('replied', t.replied), ('failed', t.failed)) as k (kind, messages))
  select format('stage %s: %s %s are counted, there are %s', stage, coalesce(c.messages, 0), kind, coalesce(d.messages, 0)) as example
  from counted c full join derived d using (stage, kind)
  where coalesce(c.messages, 0) <> coalesce(d.messages, 0) order by stage, kind`,
  );

/** Whoever has read or answered a message got it, and whoever got it was sent it. */
export const impossibleReach = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  with reach as (
    select stage, coalesce(sum(messages) filter (where kind = 'sent'), 0) as sent, coalesce(sum(messages) filter (where kind = 'delivered'), 0) as delivered,
      coalesce(sum(messages) filter (where kind = 'read'), 0) as read, coalesce(sum(messages) filter (where kind = 'replied'), 0) as replied
    from receipt_count where campaign_id = ${campaignId} group by stage)
  select format('stage %s: %s sent, %s delivered, %s read, %s replied', stage, sent, delivered, read, replied) as example
  from reach where delivered > sent or read > delivered or replied > delivered order by stage`,
  );

/** The closing statement: adds up by itself, and with its amendments it is what the rows say now. */
export const wrongStatement = (sql: Sql, campaignId: string) =>
  found(
    sql,
    sql`
  with given as materialized (
    select c.total_recipients, c.statement as said, campanile.statement(c.id) as now from campaign c where c.id = ${campaignId} and c.statement is not null),
  amended as (
    select g.*, coalesce((select sum(value::numeric) from jsonb_each_text(g.said -> 'skipped')), 0) as skipped,
      coalesce(sum((a.value ->> 'accepted')::numeric), 0) as accepted_later, coalesce(sum((a.value ->> 'failed')::numeric), 0) as failed_later,
      coalesce(sum((a.value ->> 'uncertain')::numeric), 0) as uncertain_later
    from given g left join lateral jsonb_array_elements(g.said -> 'amendments') a on true group by g.total_recipients, g.said, g.now),
  number as (
    select *, (said ->> 'recipients')::numeric as recipients, (said ->> 'accepted')::numeric as accepted, (said ->> 'failed')::numeric as failed,
      (said ->> 'uncertain')::numeric as uncertain, (said ->> 'undelivered')::numeric as undelivered
    from amended)
  select fault.text as example from number n cross join lateral (values
    (case when accepted + failed + skipped + uncertain <> recipients
      then format('accepted %s + failed %s + skipped %s + uncertain %s is not %s', accepted, failed, skipped, uncertain, recipients) end),
    (case when recipients <> total_recipients then format('it speaks of %s recipients, the campaign of %s', recipients, total_recipients) end),
    (case when recipients <> (now ->> 'recipients')::numeric then format('recipients %s, there are %s', recipients, now ->> 'recipients') end),
    (case when accepted + accepted_later <> (now ->> 'accepted')::numeric then format('accepted %s, there are %s', accepted + accepted_later, now ->> 'accepted') end),
    (case when failed + failed_later <> (now ->> 'failed')::numeric then format('failed %s, there are %s', failed + failed_later, now ->> 'failed') end),
    (case when uncertain + uncertain_later <> (now ->> 'uncertain')::numeric
      then format('uncertain %s, there are %s', uncertain + uncertain_later, now ->> 'uncertain') end),
    (case when said -> 'skipped' <> now -> 'skipped' then format('skipped %s, there are %s', said -> 'skipped', now -> 'skipped') end),
    (case when undelivered > (now ->> 'undelivered')::numeric then format('undelivered %s, there are %s', undelivered, now ->> 'undelivered') end)
  ) as fault (text) where fault.text is not null`,
  );
