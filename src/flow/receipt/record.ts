import { optOutScope } from "../../rules/opt-out.ts";
import { phoneVariants } from "../../rules/phone-variants.ts";
import type { Element, ReplyElement } from "../../rules/receipt.ts";
import { webhookVerdict } from "../../rules/whatsapp-codes.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { Match, Target } from "./match.ts";
import * as store from "./store.ts";

/** An element with what it speaks of; `refused` ones leave no trace here. */
export interface Finding {
  readonly element: Element;
  readonly match: Exclude<Match, { kind: "refused" }>;
}

/**
 * Writes down what the findings say: receipts and their counts, and who does not want to be written to. A person may be known under
 * several spellings of one number, so each is suppressed. Opt-outs count at once, whether a message was found or not.
 */
export async function record(sql: Sql, findings: readonly Finding[]): Promise<{ receipts: number; optOuts: number }> {
  const receipts = await recordReceipts(sql, receiptsOf(findings));
  const addressed = await withAddresses(sql, findings);
  const refusing = unique(addressed.flatMap(refusingOf), ({ workspaceId, address, scope }) => `${workspaceId} ${address} ${scope}`, earlier);
  if (refusing.length > 0) await store.insertSuppressions(sql, "reply", refusing);
  const preferences = unique(addressed.flatMap(preferencesOf), ({ workspaceId, address }) => `${workspaceId} ${address}`, laterOrStop);
  if (preferences.length > 0) await store.applyPreferences(sql, preferences);
  return { receipts, optOuts: refusing.length + preferences.filter(({ wanted }) => wanted === "stop").length };
}

async function recordReceipts(sql: Sql, rows: readonly store.NewReceipt[]): Promise<number> {
  if (rows.length === 0) return 0;
  const stages = new Map(rows.map(({ campaignId, stage }) => [`${campaignId} ${stage}`, { campaignId, stage }]));
  await store.lockCounts(sql, [...stages.values()]);
  const [counted] = await store.insertReceipts(sql, rows);
  const added = counted?.added ?? 0;
  if (added < rows.length) await store.advanceReceipts(sql, rows);
  return added;
}

function receiptsOf(findings: readonly Finding[]): store.NewReceipt[] {
  const rows = findings.flatMap(({ element, match }): store.NewReceipt[] => {
    if (match.kind !== "found" || match.target === null || element.kind === "preference") return [];
    const { campaignId, stage, position, attempt, providerRef } = match.target;
    const kind = element.kind === "reply" ? "replied" : element.status === "played" ? "read" : element.status;
    const { code = null, cause = null } = (element.kind === "status" ? element.error : undefined) ?? {};
    return [{ campaignId, stage, position, attempt, kind, at: element.at, providerRef, code, cause }];
  });
  return unique(rows, (row) => `${row.campaignId} ${row.stage} ${row.position} ${row.attempt} ${row.kind}`, earlier);
}

/** Of two rows with the same key the one to keep. */
type Better<Row> = (row: Row, kept: Row) => boolean;
const earlier: Better<{ at: string }> = (row, kept) => row.at < kept.at;
const laterOrStop: Better<store.Preference> = (row, kept) => row.at > kept.at || (row.at === kept.at && row.wanted === "stop");

function unique<Row>(rows: readonly Row[], keyOf: (row: Row) => string, better: Better<Row>): Row[] {
  const kept = new Map<string, Row>();
  for (const row of rows) {
    const key = keyOf(row);
    const other = kept.get(key);
    if (other === undefined || better(row, other)) kept.set(key, row);
  }
  return [...kept.values()];
}

interface Addressed extends Finding {
  readonly addresses: readonly string[];
}

/** Those that say somebody does not want to be written to (or again), with all addresses of that somebody. */
async function withAddresses(sql: Sql, findings: readonly Finding[]): Promise<Addressed[]> {
  const speaking = findings.filter(({ element }) => speaksOfConsent(element));
  const asked = speaking.flatMap(({ match }) => (match.kind === "found" && match.target?.address === undefined ? (match.target ?? []) : []));
  const rows = asked.length === 0 ? [] : await store.addressesOf(sql, asked);
  const known = new Map(rows.map(({ campaignId, position, address }) => [`${campaignId} ${position}`, address]));
  const addressOf = (target: Target) => target.address ?? known.get(`${target.campaignId} ${target.position}`) ?? null;
  return speaking.map((finding) => {
    const { element, match } = finding;
    const phone = element.kind === "status" ? element.recipient : element.from;
    const address = match.kind === "found" && match.target !== null ? addressOf(match.target) : null;
    return { ...finding, addresses: [...new Set([...(phone === undefined ? [] : phoneVariants(phone)), ...(address === null ? [] : [address])])] };
  });
}

function speaksOfConsent(element: Element): boolean {
  if (element.kind === "status") return webhookVerdict(Number(element.error?.code)) === "suppress";
  return element.kind === "preference" || optOutScope(element) !== null;
}

function refusingOf({ element, match: { workspaceId }, addresses }: Addressed): store.Refusing[] {
  const scope = element.kind === "reply" ? optOutScope(element) : null;
  if (scope === null || element.kind !== "reply") return [];
  return addresses.map((address) => ({ workspaceId, address, scope, reason: `answered "${saidBy(element)}"`, at: element.at }));
}

const saidBy = ({ text, button }: ReplyElement): string => (text ?? button?.label ?? button?.payload ?? "").slice(0, 80);

/** A refused advertisement (131050) says the same as the switch in WhatsApp: it is how one learns of it without that webhook. */
function preferencesOf({ element, match: { workspaceId }, addresses }: Addressed): store.Preference[] {
  if (element.kind === "reply") return [];
  const wanted = element.kind === "status" ? "stop" : element.wanted;
  const reason = element.kind === "status" ? `WhatsApp refused an advertisement (${element.error?.code})` : "stopped advertising in WhatsApp";
  return addresses.map((address) => ({ workspaceId, address, wanted, reason, at: element.at }));
}
