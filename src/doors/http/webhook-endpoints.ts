import { z } from "zod";
import * as shapes from "../../contract/webhook.ts";
import { answerOf, listOf, PageQuery } from "../../contract/wire.ts";
import { testEndpoint } from "../../flow/webhook/deliver.ts";
import { listDeliveries, replayDelivery, replaySince } from "../../flow/webhook/deliveries.ts";
import type { Delivery } from "../../flow/webhook/delivery-store.ts";
import type { WebhookDeps } from "../../flow/webhook/deps.ts";
import { type Endpoint, listEndpoints } from "../../flow/webhook/endpoint-store.ts";
import * as endpoints from "../../flow/webhook/endpoints.ts";
import { openPoster } from "../../flow/webhook/post.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { makeOnce } from "./idempotency.ts";
import { cursorIn, IdParams, idIn, instant, instantOrNull, ok, pageOf, pageOut, refIn } from "./wire.ts";

const tags = ["Webhook endpoints"];
const { WebhookEndpoint, NewWebhookEndpoint } = shapes;

const endpointOut = (endpoint: Endpoint): z.infer<typeof WebhookEndpoint> => ({
  id: endpoint.id,
  url: endpoint.url,
  events: endpoint.events === null ? null : [...endpoint.events],
  previousSecretUntil: instantOrNull(endpoint.previousSecretUntil),
  disabledAt: instantOrNull(endpoint.disabledAt),
  disabledReason: endpoint.disabledReason,
  createdAt: instant(endpoint.createdAt),
});

const deliveryOut = (delivery: Delivery): z.infer<typeof shapes.WebhookDelivery> => ({
  id: delivery.id,
  type: delivery.name,
  campaignId: delivery.campaignId,
  seq: delivery.seq,
  eventAt: instant(delivery.eventAt),
  state: delivery.state,
  attempts: delivery.attempts,
  dueAt: delivery.state === "pending" ? instant(delivery.dueAt) : null,
  lastStatus: delivery.lastStatus,
  lastCause: delivery.lastCause,
  deliveredAt: instantOrNull(delivery.deliveredAt),
});

const endpointIn = (request: Parameters<typeof refIn>[0]) => {
  const { workspaceId, id } = refIn(request);
  return { workspaceId, id: idIn(id, "webhook endpoint") };
};

export function registerWebhookEndpoints(app: App, { sql, clock, luck, keys, config }: Deps): void {
  const allowPrivate = config.webhooksAllowPrivate;
  const deps = { sql, clock, luck, keys, allowPrivate, post: openPoster({ clock, allowPrivate }) };
  registerReads(app, deps);
  registerCreate(app, deps);
  registerChanges(app, deps);
  registerDeliveries(app, deps);
}

function registerReads(app: App, deps: WebhookDeps): void {
  app.get(
    "/api/v1/webhook-endpoints",
    {
      schema: { tags, summary: "All addresses that campaign events are told to", querystring: PageQuery, response: { 200: listOf(WebhookEndpoint) } },
      config: { right: "read" },
    },
    async (request) => {
      const { limit, cursor } = request.query;
      const afterId = cursor === undefined ? null : idIn(cursorIn(cursor) ?? "", "page with the cursor");
      const rows = await listEndpoints(deps.sql, { workspaceId: callerIn(request).workspaceId, afterId, limit: limit + 1 });
      return pageOut(
        pageOf(rows, limit, ({ id }) => id),
        endpointOut,
      );
    },
  );
  app.get(
    "/api/v1/webhook-endpoints/:id",
    { schema: { tags, summary: "One endpoint", params: IdParams, response: { 200: answerOf(WebhookEndpoint) } }, config: { right: "read" } },
    async (request) => ok(endpointOut(await endpoints.readEndpoint(endpointIn(request), deps))),
  );
}

function registerCreate(app: App, deps: WebhookDeps): void {
  app.post(
    "/api/v1/webhook-endpoints",
    {
      schema: {
        tags,
        summary: "Tell campaign events to an address",
        description:
          "Each event is sent as a POST of {type, timestamp, data}, signed as standardwebhooks.com describes. 2xx is delivered; anything else is tried " +
          "again for some 76 hours. The same webhook-id may come more than once, and events may come in another order than their seq. 410 disables the endpoint.",
        body: shapes.WebhookEndpointCreate,
        response: { 201: answerOf(NewWebhookEndpoint) },
      },
      config: { right: "admin", shownOnce: "secret" },
    },
    async (request, reply) => {
      const { workspaceId } = callerIn(request);
      const { endpoint, ...shown } = await makeOnce<{ endpoint: Endpoint; secret?: string }>(request, deps.luck, {
        make: (luck) => endpoints.createEndpoint({ workspaceId, ...request.body }, { ...deps, luck }),
        find: async (id) => ({ endpoint: await endpoints.readEndpoint({ workspaceId, id }, deps) }),
      });
      return reply.code(201).send(ok({ ...endpointOut(endpoint), ...shown }));
    },
  );
}

function registerChanges(app: App, deps: WebhookDeps): void {
  app.patch(
    "/api/v1/webhook-endpoints/:id",
    {
      schema: {
        tags,
        summary: "Change what is given",
        params: IdParams,
        body: shapes.WebhookEndpointEdit,
        response: { 200: answerOf(WebhookEndpoint) },
      },
      config: { right: "admin" },
    },
    async (request) => ok(endpointOut(await endpoints.updateEndpoint(endpointIn(request), request.body, deps))),
  );
  app.delete(
    "/api/v1/webhook-endpoints/:id",
    {
      schema: { tags, summary: "Tell it nothing more", params: IdParams, response: { 200: answerOf(z.object({ id: z.string() })) } },
      config: { right: "admin" },
    },
    async (request) => {
      const endpoint = endpointIn(request);
      await endpoints.deleteEndpoint(endpoint, deps);
      return ok({ id: endpoint.id });
    },
  );
  app.post(
    "/api/v1/webhook-endpoints/:id/rotate-secret",
    {
      schema: {
        tags,
        summary: "Replace the secret; the new one is shown in this answer and never again",
        description: "For keepHours both sign each webhook, so that a receiver can change over at any moment.",
        params: IdParams,
        body: shapes.SecretRotate,
        response: { 200: answerOf(NewWebhookEndpoint) },
      },
      config: { right: "admin", shownOnce: "secret" },
    },
    async (request) => {
      const { endpoint, secret } = await endpoints.rotateSecret(endpointIn(request), request.body.keepHours, deps);
      return ok({ ...endpointOut(endpoint), secret });
    },
  );
  app.post(
    "/api/v1/webhook-endpoints/:id/test",
    {
      schema: {
        tags,
        summary: "Send a webhook.test now, and say what came back",
        params: IdParams,
        response: { 200: answerOf(shapes.WebhookTested) },
      },
      config: { right: "admin" },
    },
    async (request) => ok(await testEndpoint(endpointIn(request), deps)),
  );
}

function registerDeliveries(app: App, deps: WebhookDeps): void {
  app.get(
    "/api/v1/webhook-endpoints/:id/deliveries",
    {
      schema: {
        tags,
        summary: "What was told to it, the latest first",
        params: IdParams,
        querystring: shapes.DeliveryQuery,
        response: { 200: listOf(shapes.WebhookDelivery) },
      },
      config: { right: "read" },
    },
    async (request) => {
      const { limit, cursor, state } = request.query;
      const rows = await listDeliveries(deps.sql, endpointIn(request), { state, afterId: cursorIn(cursor), limit: limit + 1 });
      return pageOut(
        pageOf(rows, limit, ({ id }) => id),
        deliveryOut,
      );
    },
  );
  app.post(
    "/api/v1/webhook-endpoints/:id/deliveries/:deliveryId/replay",
    {
      schema: {
        tags,
        summary: "Send one delivery again, under the same webhook-id",
        params: IdParams.extend({ deliveryId: z.string().max(100) }),
        response: { 200: answerOf(shapes.WebhookDelivery) },
      },
      config: { right: "admin" },
    },
    async (request) => ok(deliveryOut(await replayDelivery(endpointIn(request), request.params.deliveryId, deps))),
  );
  app.post(
    "/api/v1/webhook-endpoints/:id/replay",
    {
      schema: {
        tags,
        summary: "Send all events since then again",
        description:
          "What was told goes out under its own webhook-id; what happened while the endpoint was disabled, or not there, for the first time.",
        params: IdParams,
        body: shapes.ReplaySince,
        response: { 200: answerOf(z.object({ queued: z.int() })) },
      },
      config: { right: "admin" },
    },
    async (request) => ok({ queued: await replaySince(endpointIn(request), new Date(request.body.since), deps) }),
  );
}
