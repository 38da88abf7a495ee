import { z } from "zod";
import { webhookEvents } from "../rules/webhook.ts";
import { Id, Instant, PageQuery } from "./wire.ts";

const fields = {
  url: z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .describe("Where events are sent by POST; a public https address, unless WEBHOOKS_ALLOW_PRIVATE is true."),
  events: z
    .array(z.enum(webhookEvents))
    .min(1)
    .max(webhookEvents.length)
    .refine((names) => new Set(names).size === names.length, "Each event once")
    .nullable()
    .describe("Which events are told; null: all."),
};

export const WebhookEndpointCreate = z.strictObject({ url: fields.url, events: fields.events.default(null) }).meta({ id: "WebhookEndpointCreate" });

export const WebhookEndpointEdit = z
  .strictObject({
    url: fields.url.optional(),
    events: fields.events.optional(),
    disabled: z.boolean().optional().describe("False enables it again: what waited goes out, what happened meanwhile is told by a replay."),
  })
  .meta({ id: "WebhookEndpointEdit" });

export const WebhookEndpoint = z
  .object({
    id: Id,
    url: z.string(),
    events: z.array(z.string()).nullable().describe("Null: all."),
    previousSecretUntil: Instant.nullable().describe("Until then the secret before this one signs too."),
    disabledAt: Instant.nullable().describe("Since then nothing is sent to it."),
    disabledReason: z.string().nullable().describe("Null: it was disabled by hand."),
    createdAt: Instant,
  })
  .meta({ id: "WebhookEndpoint" });

export const NewWebhookEndpoint = WebhookEndpoint.extend({
  secret: z
    .string()
    .optional()
    .describe("whsec_… verifies the signatures; shown in this one answer, and absent when it is repeated for an Idempotency-Key."),
}).meta({ id: "NewWebhookEndpoint" });

/** No body is an empty one. */
export const SecretRotate = z
  .preprocess(
    (body) => body ?? {},
    z.strictObject({ keepHours: z.int().min(0).max(168).default(24).describe("For so long the secret before signs too.") }),
  )
  .meta({ id: "SecretRotate" });

export const WebhookTested = z
  .object({
    messageId: z.string(),
    delivered: z.boolean(),
    status: z.int().nullable().describe("What the endpoint answered; null: no answer came."),
    cause: z.string().nullable().describe("Why it was not delivered."),
    durationMs: z.int(),
  })
  .meta({ id: "WebhookTested" });

const DeliveryState = z.enum(["pending", "delivered", "dead"]);

export const DeliveryQuery = PageQuery.extend({ state: DeliveryState.optional() });

export const WebhookDelivery = z
  .object({
    id: z.string().describe("The webhook-id that the receiver is given, the same for every try and replay."),
    type: z.string(),
    campaignId: Id,
    seq: z.int(),
    eventAt: Instant,
    state: DeliveryState.describe("dead: given up after some 76 hours, or because the endpoint is gone."),
    attempts: z.int().describe("Since the last replay."),
    dueAt: Instant.nullable().describe("When it is tried next; null: never."),
    lastStatus: z.int().nullable(),
    lastCause: z.string().nullable(),
    deliveredAt: Instant.nullable(),
  })
  .meta({ id: "WebhookDelivery" });

export const ReplaySince = z.strictObject({ since: Instant }).meta({ id: "ReplaySince" });
