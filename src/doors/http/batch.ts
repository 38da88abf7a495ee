import {
  BatchCampaignAnswer,
  BatchControl,
  BatchControlled,
  BatchCreate,
  BatchCreated,
  BatchExecuted,
  BatchPopulated,
  BatchRecipient,
  BatchRecipientsQuery,
} from "../../contract/batch.ts";
import { CsvQuery } from "../../contract/contact.ts";
import { listOf } from "../../contract/wire.ts";
import { pause, resume, start } from "../../flow/campaign/control.ts";
import { createCampaign } from "../../flow/campaign/create.ts";
import type { CampaignRef } from "../../flow/campaign/deps.ts";
import { readCampaign, readProgress } from "../../flow/campaign/read.ts";
import { listRecipients } from "../../flow/campaign/recipients.ts";
import { batchCampaignId } from "../../rules/campaign-id.ts";
import { Refusal } from "../../rules/refusal.ts";
import { addRecipients } from "./add-recipients.ts";
import { callerIn } from "./auth.ts";
import { batchCampaignOut, batchRecipientOut, batchRecipientStates, batchStatus } from "./campaign-view.ts";
import type { App, Deps } from "./deps.ts";
import { makeOnce } from "./idempotency.ts";
import { UPLOAD_TIMEOUT_MS, uploadTypes } from "./upload.ts";
import { cursorIn, IdParams, pageOut, refIn } from "./wire.ts";

const tags = ["Stateless executor"];

/** The stateless executor, in its document's words. Everything it does is done by the same functions as everywhere. */
export function registerBatch(app: App, deps: Deps): void {
  registerCreate(app, deps);
  registerPopulate(app, deps);
  registerDrive(app, deps);
  registerReads(app, deps);
}

function registerCreate(app: App, deps: Deps): void {
  app.post(
    "/api/campaigns/create",
    {
      schema: { tags, summary: "Make a campaign from a template", body: BatchCreate, response: { 201: BatchCreated } },
      config: { right: "write" },
    },
    async (request, reply) => {
      const { workspaceId } = callerIn(request);
      const { name, templateName, language, variables, accountId, engine } = request.body;
      const input = {
        workspaceId,
        surface: "batch" as const,
        name,
        senderId: accountId,
        engine,
        message: { type: "template" as const, name: templateName, language },
        audience: { type: "csv" as const },
        variables,
      };
      const { id } = await makeOnce(request, deps.luck, {
        make: (luck) => createCampaign(input, { ...deps, luck }),
        find: (made) => readCampaign(deps.sql, { workspaceId, id: made }),
      });
      return reply.code(201).send({ success: true, campaignId: batchCampaignId(id) });
    },
  );
}

function registerPopulate(app: App, deps: Deps): void {
  app.post(
    "/api/campaigns/:id/populate",
    {
      schema: {
        tags,
        summary: "Upload recipients to a draft",
        description:
          "A CSV file with one phone per line, with or without a header, in any field of a form or as the body. Repeated uploads insert nobody twice.",
        consumes: uploadTypes,
        params: IdParams,
        querystring: CsvQuery,
        response: { 200: BatchPopulated },
      },
      config: { right: "write" },
      handlerTimeout: UPLOAD_TIMEOUT_MS,
    },
    async (request) => ({
      success: true as const,
      ...(await inBatchWords(addRecipients(request, { ref: refIn(request), csv: request.query }, deps))),
    }),
  );
}

function registerDrive(app: App, deps: Deps): void {
  app.post(
    "/api/campaigns/:id/control",
    {
      schema: { tags, summary: "Start, pause or resume", params: IdParams, body: BatchControl, response: { 200: BatchControlled } },
      config: { right: "send" },
    },
    async (request) => {
      const { state } = await inBatchWords(controls[request.body.action](refIn(request), deps));
      return { success: true as const, newStatus: batchStatus(state) };
    },
  );
  app.post(
    "/api/campaigns/:id/execute-batch",
    {
      schema: {
        tags,
        summary: "Send to the next 25 recipients, then end",
        description: "Answers after 20 seconds at the latest. Any number of callers may call at once: nobody is written to twice.",
        params: IdParams,
        response: { 200: BatchExecuted },
      },
      config: { right: "send" },
    },
    async (request) => {
      const { workspaceId, id } = await readCampaign(deps.sql, refIn(request));
      const { processed, sent, failed, paused, completed, pauseReason, skipped, uncertain, deferred } = await deps.executeBatch({
        workspaceId,
        campaignId: id,
      });
      const reason = pauseReason === undefined ? {} : { pauseReason };
      return { success: true as const, result: { processed, sent, failed, paused, completed, ...reason, skipped, uncertain, deferred } };
    },
  );
}

const controls = {
  start: (ref: CampaignRef, deps: Deps) => start(ref, { atOnce: true }, deps),
  pause: (ref: CampaignRef, deps: Deps) => pause(ref, { reason: null }, deps),
  resume: (ref: CampaignRef, deps: Deps) => resume(ref, { atOnce: true }, deps),
};

/** A state that does not allow it is told in this document's words, and always with 409. */
async function inBatchWords<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.code === "already_running") throw new Refusal("transition_refused", { ...error.details, state: "RUNNING" });
    const { state } = error.details;
    throw state === undefined ? error : new Refusal(error.code, { ...error.details, state: String(state).toUpperCase() }, error.faults);
  }
}

function registerReads(app: App, { sql, chosenBy }: Deps): void {
  app.get(
    "/api/campaigns/:id",
    { schema: { tags, summary: "Status and figures", params: IdParams, response: { 200: BatchCampaignAnswer } }, config: { right: "read" } },
    async (request) => {
      const { campaign, counters, dailyLimit } = await readProgress(sql, refIn(request), chosenBy);
      return { success: true as const, campaign: batchCampaignOut(campaign, counters, dailyLimit) };
    },
  );
  app.get(
    "/api/campaigns/:id/recipients",
    {
      schema: {
        tags,
        summary: "Recipients by position",
        params: IdParams,
        querystring: BatchRecipientsQuery,
        response: { 200: listOf(BatchRecipient) },
      },
      config: { right: "read" },
    },
    async (request) => {
      const { status, cursor, limit } = request.query;
      const state = status === undefined ? null : batchRecipientStates[status];
      return pageOut(await listRecipients(sql, refIn(request), { state, cursor: cursorIn(cursor), limit }), batchRecipientOut);
    },
  );
}
