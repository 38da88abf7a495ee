import type { z } from "zod";
import { Template, TemplatePreview, TemplatePreviewed, TemplateSync, TemplatesQuery, TemplatesSynced } from "../../contract/template.ts";
import { answerOf, listOf } from "../../contract/wire.ts";
import { previewMessage } from "../../flow/campaign/preview.ts";
import { readSender, syncTemplates } from "../../flow/provider/sender.ts";
import { listTemplates, type TemplateRow } from "../../flow/provider/store.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { cursorIn, instant, ok, pageOf, pageOut } from "./wire.ts";

const tags = ["Templates"];
/** A portfolio has 6,000 templates at most, read 100 at a time. */
const SYNC_TIMEOUT_MS = 5 * 60_000;

const templateOut = ({ externalId: _, ...template }: TemplateRow): z.infer<typeof Template> => ({
  ...template,
  components: template.components.map((component) => ({ ...(component as object) })),
  syncedAt: instant(template.syncedAt),
});

const placeOf = ({ name, language }: TemplateRow): string => `${name} ${language}`;

export function registerTemplates(app: App, deps: Deps): void {
  app.get(
    "/api/v1/templates",
    {
      schema: { tags, summary: "A sender's templates by name and language", querystring: TemplatesQuery, response: { 200: listOf(Template) } },
      config: { right: "read" },
    },
    async (request) => {
      const { accountId, limit, cursor } = request.query;
      const sender = await readSender({ workspaceId: callerIn(request).workspaceId, id: accountId }, deps);
      const after = cursorIn(cursor);
      const rows = await listTemplates(deps.sql, sender);
      const at = after === null ? 0 : rows.findIndex((row) => placeOf(row) === after) + 1;
      return pageOut(pageOf(rows.slice(at, at + limit + 1), limit, placeOf), templateOut);
    },
  );
  app.post(
    "/api/v1/templates/sync",
    {
      schema: { tags, summary: "Read a sender's templates from WhatsApp", body: TemplateSync, response: { 200: answerOf(TemplatesSynced) } },
      config: { right: "write" },
      handlerTimeout: SYNC_TIMEOUT_MS,
    },
    async (request) => ok({ templates: await syncTemplates({ workspaceId: callerIn(request).workspaceId, id: request.body.accountId }, deps) }),
  );
  app.post(
    "/api/v1/templates/preview",
    {
      schema: {
        tags,
        summary: "A message as one person would get it",
        description: "Nothing is stored or sent.",
        body: TemplatePreview,
        response: { 200: answerOf(TemplatePreviewed) },
      },
      config: { right: "read" },
    },
    async (request) => {
      const { accountId: senderId, messageContent: text = "", template, templateVariables: variables, contactId, contact = {} } = request.body;
      const message = template ? { type: "template" as const, ...template } : { type: "text" as const, text };
      const to = contactId === undefined ? { person: contact } : { contactId };
      const rendering = await previewMessage(deps.sql, { workspaceId: callerIn(request).workspaceId, senderId, message, variables, to });
      return ok(rendering.ok ? { ok: true, message: { ...rendering.message } } : { ok: false, reason: rendering.reason, detail: rendering.detail });
    },
  );
}
