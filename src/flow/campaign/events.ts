import type { Sql } from "../../runtime/postgres.ts";
import type { CampaignRef } from "./deps.ts";
import { type EventRow, listEvents } from "./edit-store.ts";
import { type Page, pageOf, readCampaign, unknownCursor } from "./read.ts";

/** A page of what happened to a campaign, in order. @throws {Refusal} campaign_not_found, malformed (cursor) */
export async function listCampaignEvents(
  sql: Sql,
  ref: CampaignRef,
  { cursor, limit }: { cursor: string | null; limit: number },
): Promise<Page<EventRow>> {
  const { id } = await readCampaign(sql, ref);
  if (cursor !== null && !/^\d{1,15}$/.test(cursor)) throw unknownCursor(cursor);
  const rows = await listEvents(sql, id, { after: Number(cursor ?? 0), limit: limit + 1 });
  return pageOf(rows, limit, ({ seq }) => String(seq));
}
