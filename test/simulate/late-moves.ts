import type { MessageRow } from "../../src/flow/dispatch/message-store.ts";
import { aroundNow, campaignOf, type Draw, ENDED, outcomesOf, placesOf, RECENT, STATEMENT, type Stores } from "./draws.ts";
import { PEOPLE } from "./rows.ts";

/** What is done with messages later: retries, doubts, completion, the closing of a stopped campaign. */
export const lateMoves: { readonly [S in "due" | "complete" | "batch" | "campaign" | "close"]: Partial<Readonly<Record<keyof Stores[S], Draw>>> } = {
  due: {
    nextDueCampaign: (dice, cast) => {
      const by = {
        among: dice.chance(0.6) ? [campaignOf(dice, cast)] : null,
        anyDriver: dice.chance(0.5),
        except: dice.chance(0.2) ? [cast.senderId] : [],
      };
      // Among several campaigns the first is whose message has waited longest; two may have waited equally long.
      return ({ due }, sql) => due.nextDueCampaign(sql, { ...by, among: by.among ?? [cast.campaignIds[0] ?? ""] });
    },
    lockDue: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ due }, sql) => due.lockDue(sql, id, 3);
    },
    markHanding: (dice, cast) => {
      const [id, by] = [campaignOf(dice, cast), { rows: placesOf(dice), token: dice.pick(cast.tokens), leaseMs: 20_000 }];
      return ({ due }, sql) => due.markHanding(sql, id, by);
    },
    unmarkHanding: (dice, cast) => {
      const [id, token] = [campaignOf(dice, cast), dice.pick(cast.tokens)];
      return ({ due }, sql) => due.unmarkHanding(sql, id, token);
    },
    postpone: (dice, cast) => {
      const [id, rows, dueAt] = [campaignOf(dice, cast), placesOf(dice), aroundNow(dice, cast)];
      return ({ due }, sql) => due.postpone(sql, id, rows, dueAt);
    },
    skipQueued: (dice, cast) => {
      const [id, rows] = [campaignOf(dice, cast), outcomesOf(dice).map((row): MessageRow => ({ ...row, state: "skipped", code: "suppressed" }))];
      return ({ due }, sql) => due.skipQueued(sql, id, rows);
    },
    doubtHanding: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ due }, sql) => due.doubtHanding(sql, id, { marginMs: 2_000, limit: 3 });
    },
    forsakenCampaigns:
      () =>
      ({ due }, sql) =>
        due.forsakenCampaigns(sql, { marginMs: 2_000, limit: 5 }),
    campaignsToResend:
      () =>
      ({ due }, sql) =>
        due.campaignsToResend(sql, RECENT),
    lockDoubts: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ due }, sql) => due.lockDoubts(sql, id, RECENT);
    },
    resendDoubts: (dice, cast) => {
      const [id, rows] = [campaignOf(dice, cast), placesOf(dice)];
      return ({ due }, sql) => due.resendDoubts(sql, id, rows);
    },
    provedCampaigns:
      () =>
      ({ due }, sql) =>
        due.provedCampaigns(sql, 5),
  },
  complete: {
    overCampaigns:
      () =>
      ({ complete }, sql) =>
        complete.overCampaigns(sql, 5),
    lockForGood: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ complete }, sql) => complete.lockForGood(sql, id);
    },
    lockOver: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ complete }, sql) => complete.lockOver(sql, id);
    },
    completeCampaign: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ complete }, sql) => complete.completeCampaign(sql, id, STATEMENT);
    },
  },
  batch: {
    readBatchCampaign: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ batch }, sql) => batch.readBatchCampaign(sql, cast.workspaceId, id);
    },
    tallyBetween: (dice, cast) => {
      const [id, from] = [campaignOf(dice, cast), dice.whole(1, 3)];
      return ({ batch }, sql) => batch.tallyBetween(sql, id, from, PEOPLE);
    },
    storeLastBatch: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ batch }, sql) => batch.storeLastBatch(sql, id, { processed: 1 });
    },
  },
  campaign: {
    pause: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ campaign }, sql) => campaign.pause(sql, id, "a reason");
    },
    resume: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ campaign }, sql) => campaign.resume(sql, id);
    },
    stop: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ campaign }, sql) => campaign.stop(sql, id);
    },
    countInFlight: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ campaign }, sql) => campaign.countInFlight(sql, id);
    },
    lockLots: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return async ({ campaign }, sql) => (await campaign.lockLots(sql, { ...cast, id })).length >= 0;
    },
    wakeLots: (dice, cast) => {
      const [id, delayMs] = [campaignOf(dice, cast), dice.pick([0, 500])];
      return ({ campaign }, sql) => campaign.wakeLots(sql, id, delayMs);
    },
    emit: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return async ({ campaign }, sql) => void (await campaign.emit(sql, id, "campaign:progress", {}));
    },
  },
  close: {
    readUnstated:
      () =>
      ({ close }, sql) =>
        close.readUnstated(sql, 5),
    readOneUnstated: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ close }, sql) => close.readOneUnstated(sql, id);
    },
    lockUnstated: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ close }, sql) => close.lockUnstated(sql, id);
    },
    skipUnmarked: (dice, cast) => {
      const [id, after] = [campaignOf(dice, cast), dice.whole(0, 2)];
      return ({ close }, sql) => close.skipUnmarked(sql, id, { ...ENDED, after, max: 3 });
    },
    skipQueued: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ close }, sql) => close.skipQueued(sql, id, { ...ENDED, max: 3 });
    },
    dropEmptyLots: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ close }, sql) => close.dropEmptyLots(sql, id);
    },
    readStatement: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ close }, sql) => close.readStatement(sql, id);
    },
    storeStatement: (dice, cast) => {
      const id = campaignOf(dice, cast);
      return ({ close }, sql) => close.storeStatement(sql, id, STATEMENT);
    },
  },
};
