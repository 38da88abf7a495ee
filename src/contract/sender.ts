import { z } from "zod";
import { Id, Instant, Text } from "./wire.ts";

const GraphId = z.string().regex(/^\d{5,25}$/, "Expected 5 to 25 digits, as WhatsApp Manager shows it");

const fields = {
  name: Text(200),
  accessToken: z.string().min(1).max(2_000).describe("The system user's token; stored encrypted and never shown."),
  wabaId: GraphId.describe("The WhatsApp Business Account; templates are read from it."),
  apiBase: z.url({ protocol: /^https?$/ }),
  apiVersion: z.string().regex(/^v\d{1,3}\.\d{1,2}$/, "Expected vNN.N, such as v25.0"),
  path: z.enum(["messages", "marketing_messages"]),
  perSecond: z.number().positive().max(10_000).nullable().describe("The sender's own pace; null: no limit."),
  cap: z.int().min(0).nullable().describe("Unique recipients in 24 hours; null: no cap."),
};

export const SenderCreate = z
  .strictObject({
    name: fields.name,
    channel: z.literal("whatsapp").default("whatsapp"),
    phoneNumberId: GraphId.describe("The phone number id (not the number) that sends."),
    accessToken: fields.accessToken.optional(),
    wabaId: fields.wabaId.optional(),
    apiBase: fields.apiBase.optional().describe("Default: META_API_BASE."),
    apiVersion: fields.apiVersion.optional().describe("Default: META_API_VERSION."),
    path: fields.path.optional(),
    perSecond: fields.perSecond.optional().describe("Default 80; null: no limit."),
    cap: fields.cap.optional().describe("Default: DAILY_CAP; null: no cap."),
    calendarZone: Text(60).nullable().optional().describe("Count by the days of this time zone instead of any 24 hours."),
    portfolio: Text(200).optional().describe("Senders of one portfolio share its cap, that of the first of them."),
  })
  .meta({ id: "SenderCreate" });

export const SenderEdit = z
  .strictObject({
    name: fields.name.optional(),
    accessToken: fields.accessToken.optional(),
    wabaId: fields.wabaId.optional(),
    apiBase: fields.apiBase.optional(),
    apiVersion: fields.apiVersion.optional(),
    path: fields.path.optional(),
    perSecond: fields.perSecond.optional(),
    cap: fields.cap.optional().describe("Of the whole portfolio."),
  })
  .meta({ id: "SenderEdit" });

export const Sender = z
  .object({
    id: Id,
    name: z.string(),
    channel: z.enum(["whatsapp", "email"]),
    provider: z.string(),
    phoneNumberId: z.string(),
    wabaId: z.string().nullable(),
    apiBase: z.string().nullable(),
    apiVersion: z.string().nullable(),
    path: z.string().nullable(),
    connectedAt: Instant.nullable().describe("Null: never connected; its campaigns fail when they start."),
    blockedReason: z.string().nullable().describe("Why the provider refuses this sender; its campaigns pause."),
    account: z.record(z.string(), z.string().nullable()).nullable().describe("What the provider says of the number."),
    createdAt: Instant,
  })
  .meta({ id: "Sender" });

export const SenderUsage = z
  .object({
    perSecond: z.number().nullable(),
    currentPerSecond: z.number().nullable().describe("Lowered for the time being; null: it is not."),
    holdUntil: Instant.nullable(),
    holdReason: z.string().nullable(),
    cap: z.int().nullable(),
    used: z.int(),
    calendarZone: z.string().nullable(),
    nextFreeAt: Instant.nullable().describe("When the next recipient may be opened; null: now."),
  })
  .meta({ id: "SenderUsage" });

export const SenderHealth = z
  .object({
    canSendMessage: z.string().describe("AVAILABLE, LIMITED or BLOCKED."),
    entities: z.array(z.object({ type: z.string(), id: z.string(), canSendMessage: z.string(), notes: z.array(z.string()) })),
  })
  .meta({ id: "SenderHealth" });
