import { z } from "zod";
import {
  Campaign,
  CampaignCreate,
  CampaignEdit,
  CampaignEvent,
  CampaignStats,
  Duplicated,
  Paused,
  Resend,
  Resent,
  Resumed,
  Started,
  Stopped,
} from "../../contract/campaign.ts";
import { answerOf, listOf, PageQuery } from "../../contract/wire.ts";
import { pause, resume, start, stop } from "../../flow/campaign/control.ts";
import { createCampaign, type NewAudience, type NewCampaign, type NewMessage } from "../../flow/campaign/create.ts";
import { duplicateCampaign } from "../../flow/campaign/duplicate.ts";
import { type CampaignEdit as Edit, editCampaign, removeCampaign } from "../../flow/campaign/edit.ts";
import { listCampaignEvents } from "../../flow/campaign/events.ts";
import { listCampaigns, readCampaign, readStats } from "../../flow/campaign/read.ts";
import { resendCampaign } from "../../flow/campaign/resend.ts";
import { assertRight, callerIn } from "./auth.ts";
import { campaignOut, statsOut } from "./campaign-view.ts";
import type { App, Deps } from "./deps.ts";
import { makeOnce } from "./idempotency.ts";
import { cursorIn, IdParams, instant, instantOrNull, ok, pageOut, refIn } from "./wire.ts";

const tags = ["Campaigns"];

export function registerCampaigns(app: App, deps: Deps): void {
  registerCreate(app, deps);
  registerChanges(app, deps);
  registerReads(app, deps);
  registerControl(app, { ...deps, sql: deps.prompt });
}

function registerCreate(app: App, deps: Deps): void {
  app.post(
    "/api/v1/campaigns",
    {
      schema: {
        tags,
        summary: "Make a campaign",
        description: "scheduleType now and scheduled also start it, and need the right send. A csv audience is uploaded to its recipients.",
        body: CampaignCreate,
        response: { 201: answerOf(Campaign) },
      },
      config: { right: "write" },
    },
    async (request, reply) => {
      const caller = callerIn(request);
      const { workspaceId } = caller;
      if (request.body.scheduleType !== "manual") assertRight(caller, "send");
      const campaign = await makeOnce(request, deps.luck, {
        make: (luck) => createCampaign(newCampaign(workspaceId, request.body), { ...deps, luck }),
        find: (id) => readCampaign(deps.sql, { workspaceId, id }),
      });
      return reply.code(201).send(ok(campaignOut(campaign)));
    },
  );
}

type Given = z.infer<typeof CampaignCreate>;

const newCampaign = (workspaceId: string, given: Given): NewCampaign => ({
  workspaceId,
  surface: "engine",
  name: given.name,
  senderId: given.accountId,
  message: messageOf(given),
  audience: audienceOf(given),
  exclude: given.audienceConfig?.exclude,
  schedule: given.scheduleType === "scheduled" ? { type: "scheduled", at: new Date(given.scheduledAt ?? "") } : { type: given.scheduleType },
  throttle: given.throttleConfig,
  variables: given.templateVariables,
  onUncertain: given.onUncertain,
  onDailyLimit: given.onDailyLimit,
  expiresAt: given.expiresAt ? new Date(given.expiresAt) : null,
});

/** The shape has made sure that the field of the type is there. */
function messageOf({ messageContent = "", template }: Pick<Given, "messageContent" | "template">): NewMessage {
  return template ? { type: "template", ...template } : { type: "text", text: messageContent };
}

function audienceOf({ audienceType: type, audienceConfig: { listId = "", segmentId = "", recipients = [] } = {} }: Given): NewAudience {
  if (type === "list") return { type, listId };
  if (type === "segment") return { type, segmentId };
  return type === "inline" ? { type, recipients } : { type };
}

function registerChanges(app: App, deps: Deps): void {
  app.patch(
    "/api/v1/campaigns/:id",
    {
      schema: {
        tags,
        summary: "Change a campaign that is a draft or scheduled",
        description: "A new time needs the right send too.",
        params: IdParams,
        body: CampaignEdit,
        response: { 200: answerOf(Campaign) },
      },
      config: { right: "write" },
    },
    async (request) => {
      if (request.body.scheduleType !== undefined) assertRight(callerIn(request), "send");
      return ok(campaignOut(await editCampaign(refIn(request), editOf(request.body), deps)));
    },
  );
  app.delete(
    "/api/v1/campaigns/:id",
    {
      schema: { tags, summary: "Remove a campaign that does not run", params: IdParams, response: { 200: answerOf(z.object({ id: z.string() })) } },
      config: { right: "write" },
    },
    async (request) => ok({ id: await removeCampaign(refIn(request), deps) }),
  );
  app.post(
    "/api/v1/campaigns/:id/duplicate",
    {
      schema: { tags, summary: "A new draft of the same to the same", params: IdParams, response: { 200: Duplicated } },
      config: { right: "write" },
    },
    async (request) => {
      const { id, name, state, totalRecipients } = await duplicateCampaign(refIn(request), deps);
      const data = { id, name, status: state, total_recipients: totalRecipients };
      return { success: true as const, message: "Campaign duplicated successfully" as const, data };
    },
  );
  app.post(
    "/api/v1/campaigns/:id/resend",
    {
      schema: {
        tags,
        summary: "A new draft for those whom an ended campaign did not reach",
        description:
          "Who is meant is looked up when the draft is started; whoever was heard of meanwhile is left out. Values are those of the first time.",
        params: IdParams,
        body: Resend,
        response: { 201: Resent },
      },
      config: { right: "write" },
    },
    async (request, reply) => {
      const { id, name, state, totalRecipients } = await resendCampaign(refIn(request), request.body.scope, deps);
      reply.code(201);
      return {
        success: true as const,
        message: "Resend created successfully" as const,
        data: { id, name, status: state, total_recipients: totalRecipients },
      };
    },
  );
}

const editOf = ({ name, scheduleType, scheduledAt, expiresAt, ...given }: z.infer<typeof CampaignEdit>): Edit => ({
  name,
  message: given.messageType === undefined ? undefined : messageOf(given),
  schedule: scheduleType === "scheduled" ? { type: scheduleType, at: new Date(scheduledAt ?? "") } : scheduleType && { type: scheduleType },
  throttle: given.throttleConfig,
  variables: given.templateVariables,
  onUncertain: given.onUncertain,
  onDailyLimit: given.onDailyLimit,
  expiresAt: typeof expiresAt === "string" ? new Date(expiresAt) : expiresAt,
});

function registerReads(app: App, { sql, chosenBy }: Deps): void {
  app.get(
    "/api/v1/campaigns",
    {
      schema: { tags, summary: "Campaigns, the newest first", querystring: PageQuery, response: { 200: listOf(Campaign) } },
      config: { right: "read" },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      return pageOut(await listCampaigns(sql, callerIn(request).workspaceId, { cursor: cursorIn(cursor), limit }), campaignOut);
    },
  );
  app.get(
    "/api/v1/campaigns/:id",
    { schema: { tags, summary: "One campaign", params: IdParams, response: { 200: answerOf(Campaign) } }, config: { right: "read" } },
    async (request) => ok(campaignOut(await readCampaign(sql, refIn(request)))),
  );
  app.get(
    "/api/v1/campaigns/:id/stats",
    { schema: { tags, summary: "Its figures", params: IdParams, response: { 200: answerOf(CampaignStats) } }, config: { right: "read" } },
    async (request) => ok(statsOut(await readStats(sql, refIn(request), chosenBy))),
  );
  app.get(
    "/api/v1/campaigns/:id/events",
    {
      schema: { tags, summary: "What happened to it, in order", params: IdParams, querystring: PageQuery, response: { 200: listOf(CampaignEvent) } },
      config: { right: "read" },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      const events = await listCampaignEvents(sql, refIn(request), { cursor: cursorIn(cursor), limit });
      return pageOut(events, ({ seq, name, body, at }) => ({ seq, name, body: { ...body }, at: instant(at) }));
    },
  );
}

function registerControl(app: App, deps: Deps): void {
  app.post(
    "/api/v1/campaigns/:id/start",
    { schema: { tags, summary: "Start a draft", params: IdParams, response: { 200: Started } }, config: { right: "send" } },
    async (request) => {
      const { id, state, scheduledAt } = await start(refIn(request), { atOnce: false }, deps);
      return {
        success: true as const,
        message: "Campaign started successfully" as const,
        data: { id, status: state, scheduled_at: instantOrNull(scheduledAt) },
      };
    },
  );
  app.post(
    "/api/v1/campaigns/:id/pause",
    { schema: { tags, summary: "Pause: nothing more is begun", params: IdParams, response: { 200: Paused } }, config: { right: "send" } },
    async (request) => {
      const { id, state, pausedAt, inFlight } = await pause(refIn(request), { reason: null }, deps);
      return {
        success: true as const,
        message: "Campaign paused successfully" as const,
        data: { id, status: state, paused_at: instant(pausedAt), inFlight },
      };
    },
  );
  app.post(
    "/api/v1/campaigns/:id/resume",
    { schema: { tags, summary: "Go on after a pause", params: IdParams, response: { 200: Resumed } }, config: { right: "send" } },
    async (request) => {
      const { id } = await resume(refIn(request), { atOnce: false }, deps);
      return { success: true as const, message: "Campaign resumed successfully" as const, data: { id, status: "scheduled" as const } };
    },
  );
  app.post(
    "/api/v1/campaigns/:id/stop",
    { schema: { tags, summary: "End it for good", params: IdParams, response: { 200: Stopped } }, config: { right: "send" } },
    async (request) => {
      const { id, state, completedAt, inFlight } = await stop(refIn(request), deps);
      return {
        success: true as const,
        message: "Campaign stopped successfully" as const,
        data: { id, status: state, completedAt: instant(completedAt), inFlight },
      };
    },
  );
}
