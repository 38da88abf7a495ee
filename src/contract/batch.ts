import { z } from "zod";
import { RecipientsAdded, VariableValues } from "./recipient.ts";
import { Id, Instant, PageQuery, Text } from "./wire.ts";

/** The words of the stateless executor (`/api/campaigns`): upper-case states, ids that begin with cmp_, phones without `+`. */
export const BatchCampaignStatus = z.enum(["DRAFT", "SCHEDULED", "PREPARING", "RUNNING", "PAUSED", "COMPLETED", "STOPPED", "FAILED"]);
const BatchRecipientStatus = z.enum(["PENDING", "SENT", "FAILED", "SKIPPED", "UNKNOWN"]);

export const BatchCreate = z
  .strictObject({
    name: Text(200),
    templateName: z.string().regex(/^[a-z0-9_]{1,512}$/, "Expected the name of a WhatsApp template: a-z, 0-9 and _"),
    channel: z.literal("WHATSAPP"),
    audienceType: z.literal("CSV"),
    language: z
      .string()
      .regex(/^[a-z]{2,3}(_[A-Z]{2})?$/, "Expected a language as WhatsApp writes it, such as en_US")
      .optional()
      .describe("Default: the only approved language of the template, else en_US."),
    variables: VariableValues.optional().describe("Values for the template's parameters, by name or position; each a Liquid text."),
    accountId: Id.optional().describe("The sender. Default: the only WhatsApp sender."),
    engine: z.boolean().default(false).describe("true: the engine sends it after start; false: only execute-batch does."),
  })
  .meta({ id: "BatchCreate" });

export const BatchCreated = z.object({ success: z.literal(true), campaignId: z.string().regex(/^cmp_/) }).meta({ id: "BatchCreated" });

export const BatchPopulated = z.object({ success: z.literal(true), ...RecipientsAdded.shape }).meta({ id: "BatchPopulated" });

export const BatchControl = z.strictObject({ action: z.enum(["start", "pause", "resume"]) }).meta({ id: "BatchControl" });
export const BatchControlled = z.object({ success: z.literal(true), newStatus: BatchCampaignStatus }).meta({ id: "BatchControlled" });

export const BatchResult = z
  .object({
    processed: z.int().describe("sent + failed + skipped + uncertain + deferred"),
    sent: z.int(),
    failed: z.int(),
    paused: z.boolean(),
    completed: z.boolean(),
    pauseReason: z.string().optional(),
    skipped: z.int(),
    uncertain: z.int(),
    deferred: z.int().describe("Tried without success and due again later."),
  })
  .meta({ id: "BatchResult" });
export const BatchExecuted = z.object({ success: z.literal(true), result: BatchResult }).meta({ id: "BatchExecuted" });

export const BatchCampaign = z
  .object({
    id: z.string(),
    name: z.string(),
    templateName: z.string().nullable(),
    status: BatchCampaignStatus,
    sent: z.int(),
    failed: z.int(),
    pending: z.int(),
    skipped: z.int(),
    uncertain: z.int(),
    progress: z.number().describe("Per cent of the recipients whose outcome is known, one decimal."),
    pauseReason: z.string().nullable(),
    createdAt: Instant,
    startedAt: Instant.nullable(),
    pausedAt: Instant.nullable(),
    completedAt: Instant.nullable(),
    dailyLimit: z.object({
      used: z.int(),
      cap: z.int().nullable().describe("Null: no limit."),
      nextFreeAt: Instant.nullable().describe("When the first of the used ones is free again; null while there is room."),
    }),
    lastBatch: BatchResult.extend({ at: Instant }).nullable(),
    engine: z.boolean().describe("True: the engine sends it, execute-batch does not."),
  })
  .meta({ id: "BatchCampaign" });
export const BatchCampaignAnswer = z.object({ success: z.literal(true), campaign: BatchCampaign }).meta({ id: "BatchCampaignAnswer" });

export const BatchRecipient = z
  .object({
    phone: z.string().nullable().describe("E.164 digits without +."),
    status: BatchRecipientStatus,
    attempts: z.int(),
    messageId: z.string().nullable(),
    errorCode: z.string().nullable().describe("META_ and the code WhatsApp gave, or the reason it was skipped."),
    position: z.int(),
  })
  .meta({ id: "BatchRecipient" });

export const BatchRecipientsQuery = PageQuery.extend({ status: z.string().toUpperCase().pipe(BatchRecipientStatus).optional() });
