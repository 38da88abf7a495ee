import { Refusal } from "../../rules/refusal.ts";
import { transaction } from "../../runtime/postgres.ts";
import * as create from "./create-store.ts";
import type { CampaignDeps, CampaignRef } from "./deps.ts";
import type { Duplicate } from "./duplicate.ts";
import { countersOf, readCampaign } from "./read.ts";
import type { ResendScope } from "./resend-store.ts";

/**
 * A new draft that says the same again to those of an ended campaign whom the scope names, with the values they had there; who is
 * excluded, suppressed or was heard of meanwhile when it is started is left out. Started by hand, for it may be the second
 * message that somebody gets.
 * @throws {Refusal} campaign_not_found; transition_refused while it has not ended, for what became of everybody is not known
 */
export function resendCampaign(ref: CampaignRef, scope: ResendScope, deps: CampaignDeps): Promise<Duplicate> {
  const id = deps.luck.uuid();
  return transaction(
    deps.sql,
    async (tx) => {
      const campaign = await readCampaign(tx, ref);
      if (campaign.state !== "completed" && campaign.state !== "stopped") throw new Refusal("transition_refused", { state: campaign.state });
      const { workspaceId, perMinute } = campaign;
      const name = `${campaign.name} (Resend)`;
      await create.insertCampaign(tx, {
        ...campaign,
        id,
        name,
        state: "draft",
        scheduleType: "manual",
        scheduledAt: null,
        expiresAt: null,
        audienceType: "resend",
        audienceConfig: { resend: { campaignId: campaign.id, scope } },
        audienceExclude: {},
      });
      await create.insertCounters(tx, id);
      await create.insertPace(tx, id, perMinute);
      const { recipients } = await countersOf(tx, await readCampaign(tx, { workspaceId, id }), deps.chosenBy);
      return { id, name, state: "draft", totalRecipients: recipients };
    },
    deps,
  );
}
