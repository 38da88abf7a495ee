import { transaction } from "../../runtime/postgres.ts";
import { assertAudience } from "./choice.ts";
import * as create from "./create-store.ts";
import type { CampaignDeps, CampaignRef } from "./deps.ts";
import { copyMembers } from "./edit-store.ts";
import { countersOf, readCampaign } from "./read.ts";

export interface Duplicate {
  readonly id: string;
  readonly name: string;
  readonly state: "draft";
  /** How many its audience holds now. */
  readonly totalRecipients: number;
}

/**
 * A new draft that says the same to the same audience; an uploaded one is copied. Nothing of what became of anybody is copied, and no
 * time: it is started by hand.
 * @throws {Refusal} campaign_not_found, not_found (a segment of its audience was deleted since)
 */
export function duplicateCampaign(ref: CampaignRef, deps: CampaignDeps): Promise<Duplicate> {
  const id = deps.luck.uuid();
  const listId = deps.luck.uuid();
  return transaction(
    deps.sql,
    async (tx) => {
      const campaign = await readCampaign(tx, ref);
      const { workspaceId, perMinute, audienceType, audienceConfig } = campaign;
      const name = `${campaign.name} (Copy)`;
      const { segmentIds } = campaign.audienceExclude; // lists stay, and what a removed campaign sent is still known
      await assertAudience(tx, workspaceId, { segmentId: audienceConfig.segmentId, exclude: { segmentIds } });
      const own = audienceType === "csv" || audienceType === "inline";
      await create.insertCampaign(tx, {
        ...campaign,
        id,
        name,
        state: "draft",
        scheduleType: "manual",
        scheduledAt: null,
        expiresAt: null,
        audienceConfig: own ? { listId } : audienceConfig,
      });
      await create.insertCounters(tx, id);
      await create.insertPace(tx, id, perMinute);
      if (own) {
        await create.insertOwnList(tx, { workspaceId, id: listId, name, campaignId: id });
        if (audienceConfig.listId !== undefined) await copyMembers(tx, workspaceId, { from: audienceConfig.listId, to: listId });
      }
      const { recipients } = await countersOf(tx, await readCampaign(tx, { workspaceId, id }), deps.chosenBy);
      return { id, name, state: "draft", totalRecipients: recipients };
    },
    deps,
  );
}
