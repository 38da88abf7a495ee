import type * as real from "../../../src/flow/campaign/store.ts";
import type { Campaign } from "../memory/schema.ts";
import { ask, changed, countBetween, date, emitted, type Twin, tables } from "../memory/twin.ts";

/** Of flow/campaign/store.ts what pausing, resuming, stopping and closing need; what else its readers import is never called. */
// biome-ignore lint/performance/noBarrelFile: a twin stands in for the whole module
export { fail, lockDraft, schedule } from "../../../src/flow/campaign/store.ts";

export const lockCampaign: Twin<typeof real.lockCampaign> = (sql, ref) =>
  ask(sql, "lock campaign", async (q) => {
    const campaign = await q.lock(tables.campaign, ref.id);
    const sender = q.get(tables.sender, campaign?.senderId ?? "");
    if (campaign === undefined || sender === undefined) return [];
    const { id, workspaceId, state, engine, channel, delayBetweenBatchesMs, totalRecipients } = campaign;
    const unused = {
      surface: "engine",
      audienceType: "inline",
      audienceConfig: {},
      scheduledAt: null,
      due: true,
      missed: false,
      batchSize: null,
      planCursor: null,
    } as const;
    const { blockedReason } = sender;
    return [
      {
        id,
        workspaceId,
        state,
        engine,
        channel,
        delayBetweenBatchesMs,
        totalRecipients,
        now: date(q.now()),
        ...unused,
        senderConnected: true,
        senderDeleted: false,
        blockedReason,
      },
    ];
  });

export const pause: Twin<typeof real.pause> = (sql, id, reason) =>
  ask(sql, "pause", async (q) => {
    const campaign = await q.lock(tables.campaign, id, ({ state }) => ["scheduled", "preparing", "running"].includes(state));
    if (campaign === undefined) return [];
    const pausedAt = q.now();
    q.put(tables.campaign, { ...campaign, state: "paused", epoch: campaign.epoch + 1, pausedAt, pauseReason: reason });
    return [{ pausedAt: date(pausedAt) }];
  });

export const resume: Twin<typeof real.resume> = (sql, id) =>
  ask(sql, "resume", async (q) => {
    const campaign = await q.lock(tables.campaign, id, ({ state }) => state === "paused");
    if (campaign === undefined) return [];
    const state: Campaign["state"] = campaign.totalRecipients === null ? "scheduled" : "running";
    q.put(tables.campaign, { ...campaign, state, epoch: campaign.epoch + 1, pausedAt: null, pauseReason: null });
    return [{ state }];
  });

export const stop: Twin<typeof real.stop> = (sql, id) =>
  ask(sql, "stop", async (q) => {
    const campaign = await q.lock(tables.campaign, id, ({ state }) => ["draft", "scheduled", "preparing", "running", "paused"].includes(state));
    if (campaign === undefined) return [];
    const completedAt = q.now();
    q.put(tables.campaign, { ...campaign, state: "stopped", epoch: campaign.epoch + 1, completedAt, pauseReason: null });
    return [{ completedAt: date(completedAt), totalRecipients: campaign.totalRecipients ?? 0 }];
  });

export const countInFlight: Twin<typeof real.countInFlight> = (sql, id) =>
  ask(sql, "count in flight", async (q) => {
    const lots = q.all(tables.lot).filter((lot) => lot.campaignId === id && lot.handed >= lot.first);
    const marked = lots.reduce((sum, { first, handed }) => sum + handed - first + 1 - countBetween(q, id, first, handed), 0);
    return [{ inFlight: marked + q.all(tables.message).filter((m) => m.campaignId === id && m.state === "handing").length }];
  });

export const lockLots: Twin<typeof real.lockLots> = (sql, ref) =>
  ask(sql, "lock lots", async (q) => {
    const locked = await q.lockAll(tables.lot, ({ campaignId }) => campaignId === ref.id, { order: (a, b) => a.first - b.first });
    return changed(locked.length);
  });

export const wakeLots: Twin<typeof real.wakeLots> = (sql, id, delayMs) =>
  ask(sql, "wake lots", async (q) => {
    const waiting = await q.lockAll(
      tables.lot,
      (lot) => lot.campaignId === id && lot.holder === null && lot.dueAt < Number.POSITIVE_INFINITY && lot.dueAt > q.now() + delayMs,
    );
    for (const lot of waiting) q.put(tables.lot, { ...lot, dueAt: q.now() + delayMs });
    return changed(waiting.length);
  });

export const preferIndexes: Twin<typeof real.preferIndexes> = (sql) => ask(sql, "prefer indexes", async () => changed(0));

export const emit: Twin<typeof real.emit> = (sql, id, name, body) =>
  ask(sql, "emit", async (q) => {
    const campaign = await q.lock(tables.campaign, id);
    if (campaign !== undefined) q.put(tables.campaign, await emitted(q, campaign, name, { campaignId: id, ...body }));
    return changed(campaign === undefined ? 0 : 1);
  });
