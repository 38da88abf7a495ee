import type * as real from "../../../src/flow/dispatch/batch-store.ts";
import type { Written } from "../../../src/flow/dispatch/message-store.ts";
import { messageKey } from "../memory/schema.ts";
import { ask, changed, type Twin, tables } from "../memory/twin.ts";

export const readBatchCampaign: Twin<typeof real.readBatchCampaign> = (sql, workspaceId, campaignId) =>
  ask(sql, "read batch campaign", async (q) => {
    const campaign = q.get(tables.campaign, campaignId);
    return campaign?.workspaceId === workspaceId ? [{ state: campaign.state, pauseReason: campaign.pauseReason }] : [];
  });

export const tallyBetween: Twin<typeof real.tallyBetween> = (sql, campaignId, from, to) =>
  ask(sql, "tally between", async (q) => {
    const written: Written[] = [];
    for (let position = from; position <= to; position++) {
      const m = q.get(tables.message, messageKey({ campaignId, stage: 1, position }));
      if (m !== undefined) written.push({ stage: 1, position, state: m.state as Written["state"] });
    }
    return written;
  });

export const storeLastBatch: Twin<typeof real.storeLastBatch> = (sql, campaignId, result) =>
  ask(sql, "store last batch", async (q) => {
    const campaign = await q.lock(tables.campaign, campaignId);
    if (campaign !== undefined) q.put(tables.campaign, { ...campaign, lastBatch: { ...result } });
    return changed(campaign === undefined ? 0 : 1);
  });
