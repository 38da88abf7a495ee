import { implied, type ReceiptKind, receiptKinds } from "../../rules/receipt.ts";
import type { CampaignOutcome, Filter, Scalar, Test, TextField } from "../../rules/segment.ts";
import type { Fragment, Sql } from "../../runtime/postgres.ts";

/**
 * How many contacts are asked: all there are, or some thousands of them. Of the lists and campaigns that a filter names, Postgres then
 * hashes the whole, or looks each contact up. Left to choose, it hashed a million members anew for each chunk of five thousand.
 */
export type Extent = "whole" | "chunk";

/** Whether contact `c` fits a filter: a part of a statement, true or false and never null. All that the filter brings is a parameter. */
export function chosenBy(sql: Sql, filter: Filter, extent: Extent): Fragment {
  const inner = (part: Filter): Fragment => chosenBy(sql, part, extent);
  if ("all" in filter) return sql`(${filter.all.map(inner).reduce((one, other) => sql`${one} and ${other}`)})`;
  if ("any" in filter) return sql`(${filter.any.map(inner).reduce((one, other) => sql`${one} or ${other}`)})`;
  if ("not" in filter) return sql`not ${inner(filter.not)}`;
  if ("attribute" in filter) return tested(sql, sql`(c.attributes ->> ${filter.attribute}::text)`, filter);
  if ("tag" in filter) return tagged(sql, filter.tag);
  if ("list" in filter) {
    const membership: Fragment = sql`
      from list_member m where m.workspace_id = c.workspace_id and m.list_id = ${filter.list}::uuid and m.contact_id = c.id`;
    return found(sql, membership, extent);
  }
  if ("campaign" in filter) return found(sql, became(sql, filter.campaign, filter.outcome), extent);
  if (filter.field !== "createdAt") return tested(sql, sql`${sql(columnOf[filter.field])}`, filter);
  return filter.op === "before" ? sql`(c.created_at < ${filter.value}::text::timestamptz)` : sql`(c.created_at > ${filter.value}::text::timestamptz)`;
}

const found = (sql: Sql, rows: Fragment, extent: Extent): Fragment =>
  extent === "whole" ? sql`exists (select ${rows})` : sql`((select true ${rows} limit 1) is true)`;

const columnOf = {
  firstName: "c.first_name",
  lastName: "c.last_name",
  company: "c.company",
  phone: "c.phone",
  email: "c.email",
  timeZone: "c.time_zone",
} as const satisfies Readonly<Record<TextField, string>>;

function tested(sql: Sql, text: Fragment, test: Test): Fragment {
  switch (test.op) {
    case "eq":
      return equal(sql, text, [test.value]);
    case "ne":
      return sql`not ${equal(sql, text, [test.value])}`;
    case "in":
      return equal(sql, text, test.value);
    case "contains":
      return sql`(strpos(${text}, ${test.value}::text) > 0 is true)`;
    case "startsWith":
      return sql`(starts_with(${text}, ${test.value}::text) is true)`;
    case "exists":
      return test.value ? sql`((${text} <> '') is true)` : sql`((${text} <> '') is not true)`;
    case "before":
      return sql`((${dayOf(sql, text)} < ${test.value}::text) is true)`;
    case "after":
      return sql`((${dayOf(sql, text)} > ${test.value}::text) is true)`;
    default:
      return sql`((${numberOf(sql, text)} ${compared(sql, test.op)} ${test.value}::numeric) is true)`;
  }
}

function compared(sql: Sql, op: "gt" | "gte" | "lt" | "lte"): Fragment {
  if (op === "gt") return sql`>`;
  if (op === "gte") return sql`>=`;
  return op === "lt" ? sql`<` : sql`<=`;
}

/** Numbers are compared as numbers, all else by its text: `true` is what is written so. */
function equal(sql: Sql, text: Fragment, values: readonly Scalar[]): Fragment {
  const numbers = values.filter((value) => typeof value === "number");
  const texts = values.filter((value) => typeof value !== "number").map(String);
  const asText: Fragment = sql`((${text} = any (${texts}::text[])) is true)`;
  if (numbers.length === 0) return asText;
  const asNumber: Fragment = sql`((${numberOf(sql, text)} = any (${numbers.map(String)}::text[]::numeric[])) is true)`;
  return texts.length === 0 ? asNumber : sql`(${asText} or ${asNumber})`;
}

/** As rules/segment.ts says. A cast of anything else would end the statement. */
const numberOf = (sql: Sql, text: Fragment): Fragment => sql`(case when ${text} ~ '^-?[0-9]{1,30}([.][0-9]{1,30})?$' then ${text}::numeric end)`;

const dayOf = (sql: Sql, text: Fragment): Fragment =>
  sql`((case when ${text} ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]|$)' then left(${text}, 10) end) collate "C")`;

const tagged = (sql: Sql, tag: string): Fragment => sql`
  (case jsonb_typeof(c.attributes -> 'tags')
    when 'array' then c.attributes -> 'tags' ? ${tag}::text
    when 'string' then ${tag}::text in (select btrim(one) from unnest(string_to_array(c.attributes ->> 'tags', ',')) one)
    else false end)`;

/** By the first message of the campaign. */
const became = (sql: Sql, campaignId: string, outcome: CampaignOutcome): Fragment => sql`
  from recipient r left join message m on m.campaign_id = ${campaignId}::uuid and m.stage = 1 and m.position = r.position
  where r.workspace_id = c.workspace_id and r.contact_id = c.id and r.campaign_id = ${campaignId}::uuid and ${outcomeIs(sql, campaignId, outcome)}`;

function outcomeIs(sql: Sql, campaignId: string, outcome: CampaignOutcome): Fragment {
  const reported = (wanted: ReceiptKind): Fragment => hasReceipt(sql, campaignId, wanted);
  switch (outcome) {
    case "recipient":
      return sql`true`;
    case "accepted":
    case "skipped":
    case "uncertain":
      return sql`m.state = ${outcome}::text`;
    case "not_sent":
      return sql`m.state in ('failed', 'skipped')`;
    case "failed": // as the failure rate counts: refused at once, or reported later
      return sql`(m.state = 'failed' or m.state = 'accepted' and ${reported("failed")})`;
    case "not_delivered":
      return sql`m.state = 'accepted' and not ${reported("delivered")}`;
    case "not_read":
      return sql`m.state = 'accepted' and not ${reported("read")}`;
    case "not_replied":
      return sql`m.state = 'accepted' and not ${reported("replied")}`;
    default:
      return reported(outcome);
  }
}

/** A receipt of this kind, or of one that implies it. */
const hasReceipt = (sql: Sql, campaignId: string, wanted: ReceiptKind): Fragment => sql`exists (
  select from receipt x where x.campaign_id = ${campaignId}::uuid and x.stage = 1 and x.position = r.position
    and x.kind = any (${receiptKinds.filter((kind) => implied[kind].includes(wanted))}::text[]))`;
