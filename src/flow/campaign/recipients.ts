import { explain, type Story } from "../../rules/explain.ts";
import { type ReceiptKind, reachOf } from "../../rules/receipt.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { CampaignRef } from "./deps.ts";
import { type Page, pageOf, readCampaign, unknownCursor } from "./read.ts";
import * as store from "./recipient-store.ts";

/** One recipient as it is now. */
export interface Recipient extends store.RecipientRow {
  /** Why it was skipped, when it was. */
  readonly reason: string | null;
  /** The furthest receipt, and when each kind was reported for the first time. */
  readonly reach: ReceiptKind | null;
  readonly receipts: Readonly<Partial<Record<ReceiptKind, Date>>>;
}

/** All that is known of one recipient. */
export interface RecipientTimeline extends Omit<Recipient, "receipts" | "attempts"> {
  readonly variables: Readonly<Record<string, unknown>>;
  /** Why it is in the audience. */
  readonly audience: {
    readonly type: string;
    readonly listId: string | null;
    readonly listName: string | null;
  };
  readonly attempts: readonly store.AttemptRow[];
  readonly receipts: readonly store.ReceiptRow[];
  /** The same in plain words. */
  readonly told: Story;
}

/**
 * A page of a campaign's recipients by position, all or those in one state. A message that waits for a further attempt is `pending`.
 * @throws {Refusal} campaign_not_found, malformed (cursor)
 */
export async function listRecipients(
  sql: Sql,
  ref: CampaignRef,
  by: {
    state: store.RecipientState | null;
    cursor: string | null;
    limit: number;
  },
): Promise<Page<Recipient>> {
  const { id } = await readCampaign(sql, ref);
  const after = by.cursor === null ? 0 : positionOf(by.cursor);
  if (after === null) throw unknownCursor(by.cursor ?? "");
  const rows = await store.listRecipients(sql, id, {
    state: by.state,
    after,
    limit: by.limit + 1,
  });
  const page = pageOf(rows, by.limit, (row) => String(row.position));
  const receipts = await store.listReceipts(
    sql,
    id,
    page.items.map((row) => row.position),
  );
  return {
    ...page,
    items: page.items.map((row) =>
      withReceipts(
        row,
        receipts.filter((receipt) => receipt.position === row.position),
      ),
    ),
  };
}

/** @throws {Refusal} campaign_not_found, not_found */
export async function readRecipient(sql: Sql, ref: CampaignRef, position: string): Promise<RecipientTimeline> {
  const campaign = await readCampaign(sql, ref);
  const { id } = campaign;
  const at = positionOf(position);
  const [row] =
    at === null
      ? []
      : await store.listRecipients(sql, id, {
          state: null,
          after: at - 1,
          limit: 1,
        });
  if (at === null || row?.position !== at) throw new Refusal("not_found", { what: "recipient", id: position });
  const [attempts, receipts, [frozen]] = await Promise.all([
    store.listAttempts(sql, id, at),
    store.listReceipts(sql, id, [at]),
    store.readFrozen(sql, id, at),
  ]);
  const audience = { type: campaign.audienceType, listId: campaign.audienceConfig.listId ?? null, listName: frozen?.listName ?? null };
  const recipient = withReceipts(row, receipts);
  const told = explain({ ...recipient, campaign, audience, attempts, receipts });
  return { ...recipient, variables: frozen?.variables ?? {}, audience, attempts, receipts, told };
}

function withReceipts(row: store.RecipientRow, receipts: readonly store.ReceiptRow[]): Recipient {
  const first: Partial<Record<ReceiptKind, Date>> = {};
  for (const { kind, at } of receipts) first[kind] ??= at;
  return {
    ...row,
    reason: row.state === "skipped" ? row.code : null,
    reach: reachOf(receipts.map((receipt) => receipt.kind)),
    receipts: first,
  };
}

/** Positions are integers of 32 bits. */
const positionOf = (text: string): number | null => (/^[1-9]\d{0,8}$/.test(text) ? Number(text) : null);
