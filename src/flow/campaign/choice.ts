import { type FieldFault, Refusal } from "../../rules/refusal.ts";
import { choiceOf, type Exclude, type Filter } from "../../rules/segment.ts";
import type { Sql } from "../../runtime/postgres.ts";
import * as store from "./choice-store.ts";
import type { CampaignRef } from "./deps.ts";

/**
 * What a contact must fit to be written to by a campaign that is not planned yet: as it was when planning began, before that as it is now.
 * Null: whoever is in the audience is written to.
 */
export async function readChoice(sql: Sql, ref: CampaignRef): Promise<Filter | null | store.Gone> {
  const [choosing] = await store.readChoosing(sql, ref);
  if (choosing === undefined) return null;
  const { planFilter, segmentId, exclude, segments } = choosing;
  if (planFilter !== null) return planFilter;
  const goneSegmentId = [...(segmentId === null ? [] : [segmentId]), ...(exclude.segmentIds ?? [])].find((id) => segments[id] === undefined);
  if (goneSegmentId !== undefined) return { goneSegmentId };
  const left = (exclude.segmentIds ?? []).flatMap((id) => segments[id] ?? []);
  return choiceOf(segmentId === null ? null : (segments[segmentId] ?? null), { ...exclude, segments: left });
}

/**
 * What an audience names is there, in this workspace; its segments stay until commit.
 * @throws {Refusal} not_found, with each place
 */
export async function assertAudience(
  tx: Sql,
  workspaceId: string,
  { segmentId, exclude: { segmentIds = [], listIds = [], campaignIds = [] } }: { segmentId?: string | undefined; exclude: Exclude },
): Promise<void> {
  const places = [
    ...(segmentId === undefined ? [] : [{ what: "segment", id: segmentId, path: "audienceConfig.segmentId" }]),
    ...segmentIds.map((id, index) => ({ what: "segment", id, path: `audienceConfig.exclude.segmentIds.${index}` })),
    ...listIds.map((id, index) => ({ what: "list", id, path: `audienceConfig.exclude.listIds.${index}` })),
    ...campaignIds.map((id, index) => ({ what: "campaign", id, path: `audienceConfig.exclude.campaignIds.${index}` })),
  ];
  if (places.length === 0) return;
  const segments = places.filter(({ what }) => what === "segment").map(({ id }) => id);
  const known = [
    ...(await store.keepSegments(tx, workspaceId, segments)),
    ...(await store.readLists(tx, workspaceId, listIds)),
    ...(await store.readCampaigns(tx, workspaceId, campaignIds)),
  ].map(({ id }) => id);
  const missing = places.filter(({ id }) => !known.includes(id));
  const faults: FieldFault[] = missing.map(({ what, id, path }) => ({ path, message: `There is no ${what} ${id} in this workspace.` }));
  const [first] = missing;
  if (first !== undefined) throw new Refusal("not_found", { what: first.what, id: first.id }, faults);
}
