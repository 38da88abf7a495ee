import { phoneVariants } from "../../rules/phone-variants.ts";
import type { Element } from "../../rules/receipt.ts";
import { parseReference, type Reference } from "../../rules/reference.ts";
import type { Sql } from "../../runtime/postgres.ts";
import * as store from "./store.ts";

/** An element and the phone numbers whose app secret signed the webhook it came in. */
export interface Arrival {
  readonly element: Element;
  readonly senders: readonly string[];
}

/** The attempt an element speaks of. `address`: whom it went to, where that was looked up anyway. */
export interface Target extends store.AttemptKey {
  readonly workspaceId: string;
  readonly providerRef: string | null;
  readonly address?: string | null;
}

export type Match =
  /** Null for what concerns no message: a preference. */
  | { readonly kind: "found"; readonly target: Target | null; readonly workspaceId: string }
  /** No message (yet). `workspaceId`: whose phone number it came to. */
  | { readonly kind: "waiting"; readonly workspaceId: string }
  /** It names somebody else's message or phone number, or one that cannot be: it must not touch anything. */
  | { readonly kind: "refused"; readonly cause: string };

/** How far our clock and WhatsApp's may differ. */
const SKEW_MS = 60_000;

type Pair = readonly [Arrival, Match];

/** One answer for each arrival, in order: our own reference counts first, then the provider's id, then, for free texts, the last message. */
export async function match(sql: Sql, arrivals: readonly Arrival[]): Promise<Match[]> {
  const rows = await store.sendersOf(sql, unique(arrivals.map(({ element }) => element.phoneNumberId)));
  const owners = new Map(rows.map((row) => [row.phoneNumberId, row.workspaceId]));
  const admitted = arrivals.map((arrival): Pair => [arrival, admit(arrival, owners)]);
  const pairs = await matchLastMessages(sql, await matchProviderRefs(sql, await matchReferences(sql, admitted)));
  return pairs.map(([, answer]) => answer);
}

function admit({ element, senders }: Arrival, owners: ReadonlyMap<string, string>): Match {
  const workspaceId = owners.get(element.phoneNumberId);
  if (workspaceId === undefined) return refused(`no sender has the phone number id ${element.phoneNumberId}`);
  if (!senders.includes(element.phoneNumberId))
    return refused(`the app secret that signed it is not the one of phone number id ${element.phoneNumberId}`);
  return element.kind === "preference" ? { kind: "found", target: null, workspaceId } : { kind: "waiting", workspaceId };
}

const refused = (cause: string): Match => ({ kind: "refused", cause });
const foreign = (element: Element, campaignId: string) =>
  refused(`it came for phone number id ${element.phoneNumberId}, but campaign ${campaignId} has another sender`);

async function matchReferences(sql: Sql, pairs: readonly Pair[]): Promise<readonly Pair[]> {
  const ids = unique(pairs.flatMap((pair) => referenceOf(pair)?.campaignId ?? []));
  if (ids.length === 0) return pairs;
  const campaigns = new Map((await store.campaignsOf(sql, ids)).map((row) => [row.campaignId, row]));
  return pairs.map((pair): Pair => {
    const reference = referenceOf(pair);
    const campaign = campaigns.get(reference?.campaignId ?? "");
    return reference === null || campaign === undefined ? pair : [pair[0], referred(pair[0].element, reference, campaign)];
  });
}

const referenceOf = ([{ element }, before]: Pair): Reference | null =>
  before.kind === "waiting" && element.kind === "status" && element.reference !== undefined ? parseReference(element.reference) : null;

function referred(element: Element, reference: Reference, { campaignId, workspaceId, phoneNumberId, totalRecipients }: store.CampaignRow): Match {
  if (phoneNumberId !== element.phoneNumberId) return foreign(element, campaignId);
  const { stage, position, attempt } = reference;
  if (stage > SMALLINT_MAX || attempt < 1 || attempt > SMALLINT_MAX || position < 1 || position > totalRecipients) {
    return refused(
      `stage ${stage}, position ${position}, attempt ${attempt} is no message of campaign ${campaignId}, which has ${totalRecipients} recipients`,
    );
  }
  return { kind: "found", workspaceId, target: { ...reference, workspaceId, providerRef: providerRefOf(element) ?? null } };
}
const SMALLINT_MAX = 32_767;

async function matchProviderRefs(sql: Sql, pairs: readonly Pair[]): Promise<readonly Pair[]> {
  const asked = pairs.flatMap(([{ element }, before]) => {
    const providerRef = providerRefOf(element);
    return before.kind !== "waiting" || providerRef === undefined
      ? []
      : [{ providerRef, workspaceId: before.workspaceId, addresses: addressesOf(element) }];
  });
  if (asked.length === 0) return pairs;
  const found = new Map<string, store.AttemptRow[]>();
  for (const row of await store.attemptsOf(sql, asked)) found.set(row.providerRef, [...(found.get(row.providerRef) ?? []), row]);
  return pairs.map((pair): Pair => {
    const [arrival, before] = pair;
    const rows = before.kind === "waiting" ? found.get(providerRefOf(arrival.element) ?? "") : undefined;
    if (rows?.[0] === undefined) return pair;
    const target = rows.find((row) => row.phoneNumberId === arrival.element.phoneNumberId);
    if (target === undefined) return [arrival, foreign(arrival.element, rows[0].campaignId)];
    return [arrival, { kind: "found", target, workspaceId: target.workspaceId }];
  });
}

/** The provider's id of the message of ours that an element speaks of. */
const providerRefOf = (element: Element): string | undefined =>
  element.kind === "status" ? element.providerRef : element.kind === "reply" ? element.contextRef : undefined;

const addressesOf = (element: Element): string[] => {
  const user = element.kind === "status" ? element.recipient : element.from;
  return user === undefined ? [] : phoneVariants(user);
};

async function matchLastMessages(sql: Sql, pairs: readonly Pair[]): Promise<readonly Pair[]> {
  const questions = pairs.flatMap(([{ element }, before], index) => {
    if (before.kind !== "waiting" || element.kind !== "reply" || element.from === undefined || element.contextRef !== undefined) return [];
    const { phoneNumberId, at } = element;
    return [{ index, workspaceId: before.workspaceId, phoneNumberId, addresses: phoneVariants(element.from), at }];
  });
  if (questions.length === 0) return pairs;
  const found = new Map((await store.lastMessagesTo(sql, questions, SKEW_MS)).map((row) => [row.index, row]));
  return pairs.map((pair, index): Pair => {
    const [arrival, before] = pair;
    const row = found.get(index);
    if (row === undefined || before.kind !== "waiting") return pair;
    return [arrival, { ...before, kind: "found", target: { ...row, workspaceId: before.workspaceId } }];
  });
}

const unique = (values: readonly string[]) => [...new Set(values)];
