import { parseCampaignId } from "../../rules/campaign-id.ts";
import { progressOf, type Rates, ratesOf } from "../../rules/rates.ts";
import type { ReceiptKind } from "../../rules/receipt.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Statement } from "../../rules/statement.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { readChoice } from "./choice.ts";
import { conditionOf } from "./choice-store.ts";
import type { CampaignRef, ChosenBy } from "./deps.ts";
import * as store from "./read-store.ts";

/** A page of a list; `nextCursor` null: the last. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
}

/** How many there are, and how many have which outcome. `recipients` is what the audience holds while the campaign is not planned. */
export interface Counters {
  readonly recipients: number;
  readonly pending: number;
  readonly accepted: number;
  readonly failed: number;
  readonly skipped: number;
  readonly uncertain: number;
  /** Percent with one decimal. */
  readonly progress: number;
}

/** The figures of one campaign, as document 001 defines them. `sent` = accepted by the provider; `delivered` and `read` are receipts. */
export interface CampaignStats extends Omit<Counters, "skipped" | "progress">, Rates {
  readonly skipped: Readonly<Record<string, number>>;
  readonly sent: number;
  readonly delivered: number;
  readonly read: number;
  readonly replied: number;
  readonly undelivered: number;
  /** Why messages failed, the most frequent code first; a later failure counts here too. */
  readonly byCode: readonly {
    readonly code: string;
    readonly count: number;
    readonly cause: string | null;
  }[];
  readonly statement: Statement | null;
}

/** @throws {Refusal} campaign_not_found, also for a campaign of another workspace */
export async function readCampaign(sql: Sql, ref: CampaignRef): Promise<store.Campaign> {
  const id = parseCampaignId(ref.id);
  const [campaign] = id === null ? [] : await store.readCampaign(sql, { ...ref, id });
  if (campaign === undefined) throw new Refusal("campaign_not_found", { id: ref.id });
  return campaign;
}

/**
 * The campaigns of a workspace, the newest first.
 * @throws {Refusal} malformed, for a cursor that no page gave
 */
export async function listCampaigns(sql: Sql, workspaceId: string, page: { cursor: string | null; limit: number }): Promise<Page<store.Campaign>> {
  const after = page.cursor === null ? null : parseCampaignId(page.cursor);
  if (page.cursor !== null && after === null) throw unknownCursor(page.cursor);
  const rows = await store.listCampaigns(sql, workspaceId, {
    after,
    limit: page.limit + 1,
  });
  return pageOf(rows, page.limit, (campaign) => campaign.id);
}

/** `chosenBy`: for campaigns that choose by a filter. @throws {Refusal} campaign_not_found */
export async function readStats(sql: Sql, ref: CampaignRef, chosenBy?: ChosenBy): Promise<CampaignStats> {
  const id = parseCampaignId(ref.id);
  const [figures] =
    id === null
      ? []
      : await store.readFigures(sql, { ...ref, id }, conditionOf(sql, await readChoice(sql, { ...ref, id }), { chosenBy, extent: "whole" }));
  if (figures === undefined) throw new Refusal("campaign_not_found", { id: ref.id });
  const { skipped, reached, failures, audience, ...campaign } = figures;
  const isResend = campaign.audienceConfig.resend !== undefined; // counted by itself: what it depends on is in no column
  const { progress: _, ...counters } = isResend ? await countersOf(sql, campaign) : countersFrom(campaign, campaign.totalRecipients ?? audience);
  const messages = (kind: ReceiptKind) => reached.find((count) => count.kind === kind)?.messages ?? 0;
  const reach = {
    sent: counters.accepted,
    delivered: messages("delivered"),
    read: messages("read"),
    replied: messages("replied"),
  };
  const undelivered = failures.reduce((sum, failure) => sum + failure.undelivered, 0);
  return {
    ...counters,
    ...reach,
    ...ratesOf({ ...counters, ...reach, undelivered }),
    skipped: Object.fromEntries(skipped.map(({ reason, count }) => [reason, count])),
    undelivered,
    byCode: failures.map(({ code, count, cause }) => ({ code, count, cause })),
    statement: campaign.statement,
  };
}

/** A campaign with its counters and its sender's cap, for the batch surface. */
export async function readProgress(
  sql: Sql,
  ref: CampaignRef,
  chosenBy?: ChosenBy,
): Promise<{
  campaign: store.Campaign;
  counters: Counters;
  dailyLimit: store.CapUse;
}> {
  const campaign = await readCampaign(sql, ref);
  const [counters, [dailyLimit]] = await Promise.all([countersOf(sql, campaign, chosenBy), store.readCap(sql, campaign)]);
  if (dailyLimit === undefined) throw new Error(`campaign ${campaign.id}: its sender has no cap scope`);
  return { campaign, counters, dailyLimit };
}

/** The counters of a campaign that was just read. */
export async function countersOf(sql: Sql, campaign: store.Campaign, chosenBy?: ChosenBy): Promise<Counters> {
  if (campaign.totalRecipients !== null) return countersFrom(campaign, campaign.totalRecipients);
  const condition = conditionOf(sql, await readChoice(sql, campaign), { chosenBy, extent: "whole" });
  return countersFrom(campaign, (await store.countAudience(sql, campaign, condition))[0]?.size ?? 0);
}

function countersFrom({ counts }: store.Campaign, recipients: number): Counters {
  const processed = counts.accepted + counts.failed + counts.skipped + counts.uncertain;
  return {
    recipients,
    pending: recipients - processed,
    ...counts,
    progress: progressOf(processed, recipients),
  };
}

/** Of one row more than fits: whether there is a further page, and where it begins. */
export function pageOf<T>(rows: readonly T[], limit: number, cursorOf: (last: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return {
    items,
    nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null,
  };
}

export const unknownCursor = (cursor: string): Refusal =>
  new Refusal("malformed", { cause: `No page of this list ends with the cursor ${cursor}.` }, [
    {
      path: "cursor",
      message: "Send the nextCursor of the page before, as it came.",
    },
  ]);
