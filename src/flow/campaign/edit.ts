import { parseCampaignId } from "../../rules/campaign-id.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { messageOf, type NewAudience, type NewCampaign, scheduleOf, throttleOf } from "./create.ts";
import type { CampaignDeps, CampaignRef } from "./deps.ts";
import { markDeleted, setPace, updateCampaign } from "./edit-store.ts";
import { readCampaign } from "./read.ts";
import type { Campaign } from "./read-store.ts";
import { lockCampaign } from "./store.ts";

/** What is to change; absent: it stays. Within `throttle` too. Whoever wants it to start now starts it. */
export type CampaignEdit = { readonly [Field in EditedField]?: NewCampaign[Field] | undefined };
type EditedField = "name" | "message" | "schedule" | "throttle" | "variables" | "onUncertain" | "onDailyLimit" | "expiresAt";

/**
 * Changes a campaign that is not planned yet. Variables that filled a template's parameters when it was bound fill them again only when the
 * message is given again. A draft stays a draft: `scheduled` gives it the time at which it begins once it is started.
 * @throws {Refusal} campaign_not_found, transition_refused (neither draft nor scheduled), and as createCampaign
 */
export const editCampaign = (ref: CampaignRef, edit: CampaignEdit, deps: CampaignDeps): Promise<Campaign> =>
  transaction(
    deps.sql,
    async (tx) => {
      const campaign = await locked(tx, ref, ["draft", "scheduled"]);
      const { id } = campaign;
      const input = merged(campaign, edit);
      const message =
        edit.message === undefined ? campaign.message : await messageOf(tx, input, { id: campaign.senderId, channel: campaign.channel });
      const throttle = throttleOf(input);
      const { scheduleType, scheduledAt, expiresAt } = await timesOf(tx, campaign, { edit, input, now: deps.clock.now() });
      await updateCampaign(tx, id, {
        ...throttle,
        message,
        scheduleType,
        scheduledAt,
        expiresAt,
        name: input.name,
        variables: input.variables ?? {},
        onUncertain: input.onUncertain ?? "hold",
        onDailyLimit: input.onDailyLimit ?? "wait",
      });
      await setPace(tx, id, throttle.perMinute);
      return readCampaign(tx, { workspaceId: ref.workspaceId, id });
    },
    deps,
  );

/** The campaign as it would be made now, with what is to change. */
function merged(campaign: Campaign, edit: CampaignEdit): NewCampaign {
  const { workspaceId, surface, name, senderId, perMinute, batchSize, delayBetweenBatchesMs, variables, onUncertain, onDailyLimit, expiresAt } =
    campaign;
  const throttle = { messagesPerMinute: perMinute, batchSize, delayBetweenBatches: delayBetweenBatchesMs, ...given(edit.throttle ?? {}) };
  const { audienceType, audienceConfig } = campaign;
  const audience = audienceOf(audienceType, audienceConfig);
  const known = { workspaceId, surface, name, senderId, audience, variables, onUncertain, onDailyLimit, expiresAt } as const;
  return { message: { type: "text", text: "" }, ...known, ...given(edit), throttle };
}

/** An inline audience is on the campaign's own list, as an uploaded one is; that of a resend is there like all contacts are. */
function audienceOf(type: Campaign["audienceType"], { listId = "", segmentId = "" }: Campaign["audienceConfig"]): NewAudience {
  if (type === "list") return { type, listId };
  if (type === "segment") return { type, segmentId };
  return { type: type === "inline" ? "csv" : type === "resend" ? "all" : type };
}

/** What was given; nothing that is undefined. */
const given = <Fields extends object>(fields: Fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [Name in keyof Fields]?: Exclude<Fields[Name], undefined>;
  };

/** Times are looked at anew only when one of them changes: a time that has passed meanwhile is no mistake. */
async function timesOf(tx: Sql, campaign: Campaign, { edit, input, now }: { edit: CampaignEdit; input: NewCampaign; now: Date }) {
  if (edit.schedule === undefined && edit.expiresAt === undefined) return campaign;
  if (edit.schedule?.type === "manual" && campaign.state === "scheduled") {
    const message = "The campaign is scheduled and waits for its time; pause it to keep it back.";
    throw new Refusal("malformed", { cause: message }, [{ path: "scheduleType", message }]);
  }
  const { scheduleType, scheduledAt } = campaign;
  const kept = scheduledAt !== null && scheduledAt > now ? { type: "scheduled" as const, at: scheduledAt } : { type: "manual" as const };
  const times = await scheduleOf(tx, { ...input, schedule: edit.schedule ?? kept });
  return edit.schedule === undefined ? { scheduleType, scheduledAt, expiresAt: times.expiresAt } : times;
}

/**
 * Hides a campaign for good. One that runs, or may run, is stopped first, so that nobody is left without an outcome.
 * @throws {Refusal} campaign_not_found, transition_refused
 */
export const removeCampaign = (ref: CampaignRef, deps: CampaignDeps): Promise<string> =>
  transaction(
    deps.sql,
    async (tx) => {
      const { id } = await locked(tx, ref, ["draft", "completed", "stopped", "failed"]);
      await markDeleted(tx, id);
      return id;
    },
    deps,
  );

async function locked(tx: Sql, ref: CampaignRef, states: readonly Campaign["state"][]): Promise<Campaign> {
  const id = parseCampaignId(ref.id);
  if (id === null || (await lockCampaign(tx, { ...ref, id })).length === 0) throw new Refusal("campaign_not_found", { id: ref.id });
  const campaign = await readCampaign(tx, { ...ref, id });
  if (!states.includes(campaign.state)) throw new Refusal("transition_refused", { id, state: campaign.state });
  return campaign;
}
