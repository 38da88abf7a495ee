import { z } from "zod";
import { SenderCreate, SenderEdit, SenderHealth, Sender as SenderOut, SenderUsage } from "../../contract/sender.ts";
import { answerOf, listOf, PageQuery } from "../../contract/wire.ts";
import { connectSender, createSender, deleteSender, readSender, senderHealth, senderUsage, updateSender } from "../../flow/provider/sender.ts";
import { listSenders, type Sender } from "../../flow/provider/store.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { makeOnce } from "./idempotency.ts";
import { cursorIn, IdParams, idIn, instant, instantOrNull, ok, pageOf, pageOut, refIn } from "./wire.ts";

const tags = ["Senders"];

const senderOut = (sender: Sender): z.infer<typeof SenderOut> => ({
  id: sender.id,
  name: sender.name,
  channel: sender.channel,
  provider: sender.provider,
  phoneNumberId: sender.externalId,
  wabaId: sender.settings.wabaId ?? null,
  apiBase: sender.settings.apiBase ?? null,
  apiVersion: sender.settings.apiVersion ?? null,
  path: sender.settings.path ?? null,
  connectedAt: instantOrNull(sender.connectedAt),
  blockedReason: sender.blockedReason,
  account: sender.settings.account ? { ...sender.settings.account } : null,
  createdAt: instant(sender.createdAt),
});

export function registerSenders(app: App, deps: Deps): void {
  registerReads(app, deps);
  registerWrites(app, deps);
}

function registerReads(app: App, deps: Deps): void {
  const { sql } = deps;
  app.get(
    "/api/v1/senders",
    { schema: { tags, summary: "All senders", querystring: PageQuery, response: { 200: listOf(SenderOut) } }, config: { right: "read" } },
    async (request) => {
      const { limit, cursor } = request.query;
      const afterId = cursor === undefined ? null : idIn(cursorIn(cursor) ?? "", "page with the cursor");
      const rows = await listSenders(sql, { workspaceId: callerIn(request).workspaceId, afterId, limit: limit + 1 });
      return pageOut(
        pageOf(rows, limit, ({ id }) => id),
        senderOut,
      );
    },
  );
  app.get(
    "/api/v1/senders/:id",
    { schema: { tags, summary: "One sender", params: IdParams, response: { 200: answerOf(SenderOut) } }, config: { right: "read" } },
    async (request) => ok(senderOut(await readSender(senderIn(request), deps))),
  );
  app.get(
    "/api/v1/senders/:id/usage",
    {
      schema: { tags, summary: "How much of its pace and cap it has used", params: IdParams, response: { 200: answerOf(SenderUsage) } },
      config: { right: "read" },
    },
    async (request) => {
      const usage = await senderUsage(senderIn(request), deps);
      return ok({ ...usage, holdUntil: instantOrNull(usage.holdUntil), nextFreeAt: instantOrNull(usage.nextFreeAt) });
    },
  );
  app.get(
    "/api/v1/senders/:id/health",
    {
      schema: { tags, summary: "What the provider says keeps it from sending", params: IdParams, response: { 200: answerOf(SenderHealth) } },
      config: { right: "read" },
    },
    async (request) => {
      const { canSendMessage, entities } = await senderHealth(senderIn(request), deps);
      return ok({ canSendMessage, entities: entities.map((entity) => ({ ...entity, notes: [...entity.notes] })) });
    },
  );
}

function registerWrites(app: App, deps: Deps): void {
  app.post(
    "/api/v1/senders",
    { schema: { tags, summary: "Enter a WhatsApp number", body: SenderCreate, response: { 201: answerOf(SenderOut) } }, config: { right: "admin" } },
    async (request, reply) => {
      const { workspaceId } = callerIn(request);
      const { name, phoneNumberId: externalId, wabaId, path, accessToken, perSecond, portfolio, ...given } = request.body;
      const {
        apiBase = deps.config.apiBase,
        apiVersion = deps.config.apiVersion,
        cap = deps.config.dailyCap,
        calendarZone = deps.config.capCalendarZone,
      } = given;
      const settings = { apiBase, apiVersion, wabaId, path };
      const input = {
        workspaceId,
        provider: "whatsapp_cloud" as const,
        name,
        externalId,
        settings,
        accessToken,
        perSecond,
        portfolio,
        cap,
        calendarZone,
      };
      const sender = await makeOnce(request, deps.luck, {
        make: (luck) => createSender(input, { ...deps, luck }),
        find: (id) => readSender({ workspaceId, id }, deps),
      });
      return reply.code(201).send(ok(senderOut(sender)));
    },
  );
  app.patch(
    "/api/v1/senders/:id",
    {
      schema: { tags, summary: "Change what is given", params: IdParams, body: SenderEdit, response: { 200: answerOf(SenderOut) } },
      config: { right: "admin" },
    },
    async (request) => {
      const { name, accessToken, perSecond, cap, ...settings } = request.body;
      return ok(senderOut(await updateSender(senderIn(request), { name, accessToken, perSecond, cap, settings }, deps)));
    },
  );
  app.delete(
    "/api/v1/senders/:id",
    {
      schema: { tags, summary: "Remove a sender", params: IdParams, response: { 200: answerOf(z.object({ id: z.string() })) } },
      config: { right: "admin" },
    },
    async (request) => {
      const sender = senderIn(request);
      await deleteSender(sender, deps);
      return ok({ id: sender.id });
    },
  );
  app.post(
    "/api/v1/senders/:id/connect",
    {
      schema: { tags, summary: "Ask the provider whether it can send", params: IdParams, response: { 200: answerOf(SenderOut) } },
      config: { right: "admin" },
    },
    async (request) => ok(senderOut(await connectSender(senderIn(request), deps))),
  );
}

const senderIn = (request: Parameters<typeof refIn>[0]) => {
  const { workspaceId, id } = refIn(request);
  return { workspaceId, id: idIn(id, "sender") };
};
