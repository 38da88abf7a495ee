import { z } from "zod";
import { PersonGiven, VariableValues } from "./recipient.ts";
import { Id, Instant, Text } from "./wire.ts";

export const CampaignStatus = z.enum(["draft", "scheduled", "preparing", "running", "paused", "completed", "stopped", "failed"]);

const Liquid = z.string().min(1).max(4096).describe('A Liquid text: {{firstName}}, {{ firstName | default: "there" }}.');

const TemplateGiven = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9_]{1,512}$/, "Expected the name of a WhatsApp template: a-z, 0-9 and _"),
    language: z
      .string()
      .regex(/^[a-z]{2,3}(_[A-Z]{2,3})?$/, "Expected a language as WhatsApp writes it, such as en_US")
      .optional()
      .describe("Default: the only approved language, else en_US."),
    components: z
      .strictObject({
        header: z
          .array(Liquid)
          .max(2)
          .optional()
          .describe("The header's text, or the https address of its medium; a document's file name as second."),
        body: z
          .union([z.array(Liquid).max(100), z.record(z.string().max(100), Liquid)])
          .optional()
          .describe("By position, or by name."),
        buttons: z
          .array(z.strictObject({ index: z.int().min(0).max(9), value: Liquid }))
          .max(10)
          .optional(),
      })
      .optional()
      .describe("Without it the parameters are filled from templateVariables."),
  })
  .meta({ id: "TemplateGiven" });

const Throttle = z
  .strictObject({
    messagesPerMinute: z
      .number()
      .min(0.01, "Expected at least 0.01 messages a minute")
      .max(1_000_000)
      .nullable()
      .optional()
      .describe("Default 20; null: the sender's pace only."),
    batchSize: z.int().min(1).max(1_000).nullable().optional().describe("Default 100."),
    delayBetweenBatches: z.int().min(0).max(86_400_000).optional().describe("Milliseconds; default 0."),
  })
  .meta({ id: "ThrottleConfig" });

/** In the spelling in which they are stored and compared. */
const StoredId = Id.toLowerCase();
const Ids = z.array(StoredId).max(20).optional();
const Exclude = z
  .strictObject({ segmentIds: Ids, listIds: Ids, campaignIds: Ids })
  .meta({ id: "Exclude", description: "Whose people are left out. Of a campaign: whoever was accepted there." });
const AudienceConfig = z
  .strictObject({
    listId: Id.optional(),
    segmentId: StoredId.optional(),
    recipients: z.array(PersonGiven).min(1).max(10_000).optional(),
    exclude: Exclude.optional(),
  })
  .describe("listId for list, segmentId for segment, recipients for inline; nothing of these for csv and all. exclude for any of them.");

/** Which field of audienceConfig each type of audience needs; the others it must not have. */
const needs = { list: "listId", segment: "segmentId", inline: "recipients", csv: null, all: null } as const;

interface Crossed {
  readonly messageType?: "text" | "template" | undefined;
  readonly messageContent?: string | undefined;
  readonly template?: unknown;
  readonly audienceType?: keyof typeof needs | undefined;
  readonly audienceConfig?: Readonly<Record<string, unknown>> | undefined;
  readonly scheduleType?: string | undefined;
  readonly scheduledAt?: string | undefined;
}

/** Fields that must fit one another, each fault told at the field to change. */
function crossCheck(campaign: Crossed, context: z.RefinementCtx): void {
  const wrong = (message: string, ...path: string[]) => context.addIssue({ code: "custom", message, path });
  const { messageType, messageContent, template, audienceType, audienceConfig = {}, scheduleType, scheduledAt } = campaign;
  if (messageType === "text" && messageContent === undefined) wrong("A text message needs messageContent", "messageContent");
  if (messageType === "text" && template !== undefined) wrong("A text message has no template", "template");
  if (messageType === "template" && template === undefined) wrong("A template message needs a template", "template");
  if (messageType === "template" && messageContent !== undefined) wrong("A template message takes its text from the template", "messageContent");
  const field = audienceType === undefined ? undefined : needs[audienceType];
  if (field && audienceConfig[field] === undefined) wrong(`An audience of type ${audienceType} needs it`, "audienceConfig", field);
  if (field !== undefined) {
    for (const other of Object.keys(audienceConfig).filter((name) => name !== field && name !== "exclude"))
      wrong(`An audience of type ${audienceType} has no ${other}`, "audienceConfig", other);
  }
  if (scheduleType === "scheduled" && scheduledAt === undefined) wrong("A scheduled campaign needs the instant", "scheduledAt");
  if (scheduleType !== undefined && scheduleType !== "scheduled" && scheduledAt !== undefined)
    wrong(`A campaign of scheduleType ${scheduleType} has no scheduledAt`, "scheduledAt");
}

export const fields = {
  name: Text(200),
  accountId: Id.describe("The sender."),
  messageType: z.enum(["text", "template"]),
  messageContent: Liquid.optional(),
  template: TemplateGiven.optional(),
  audienceType: z.enum(["segment", "list", "csv", "inline", "all"]),
  audienceConfig: AudienceConfig.optional(),
  scheduleType: z.enum(["now", "scheduled", "manual"]),
  scheduledAt: Instant.optional(),
  throttleConfig: Throttle.optional(),
  templateVariables: VariableValues.optional().describe("Values every recipient has beside its own."),
  onUncertain: z.enum(["hold", "resend"]).optional().describe("What becomes of messages in doubt; default hold."),
  onDailyLimit: z.enum(["pause", "wait"]).optional().describe("Default wait."),
  expiresAt: Instant.nullable().optional().describe("Whoever was not written to by then is skipped."),
};

export const CampaignCreate = z
  .strictObject({ ...fields, scheduleType: fields.scheduleType.default("manual") })
  .superRefine(crossCheck)
  .meta({ id: "CampaignCreate" });
export type CampaignCreate = z.infer<typeof CampaignCreate>;

export const CampaignEdit = z
  .strictObject({
    name: fields.name.optional(),
    messageType: fields.messageType.optional(),
    messageContent: fields.messageContent,
    template: fields.template,
    scheduleType: z.enum(["scheduled", "manual"]).optional(),
    scheduledAt: fields.scheduledAt,
    throttleConfig: fields.throttleConfig,
    templateVariables: fields.templateVariables,
    onUncertain: fields.onUncertain,
    onDailyLimit: fields.onDailyLimit,
    expiresAt: fields.expiresAt,
  })
  .superRefine((edit, context) => {
    const { messageContent, template, scheduledAt } = edit;
    if (edit.messageType === undefined && (messageContent !== undefined || template !== undefined)) {
      context.addIssue({ code: "custom", path: ["messageType"], message: "A new message needs its type" });
    }
    if (edit.scheduleType === undefined && scheduledAt !== undefined) {
      context.addIssue({ code: "custom", path: ["scheduleType"], message: "A new instant needs scheduleType scheduled" });
    }
    crossCheck(edit, context);
  })
  .meta({ id: "CampaignEdit", description: "Changes what is given. A message or a schedule is given whole." });

const ResendScope = z
  .discriminatedUnion("of", [
    z
      .strictObject({ of: z.literal("failed"), codes: z.array(z.string().min(1).max(100)).min(1).max(50).readonly().optional() })
      .describe("Whom the provider refused, at once or later; with codes, for one of these reasons only (stats.byCode lists them)."),
    z.strictObject({ of: z.literal("uncertain") }).describe("Who may have got it or not: they may get it twice."),
    z
      .strictObject({ of: z.literal("not_delivered"), afterMinutes: z.int().min(1).max(43_200) })
      .describe("Who was sent it so long ago without any receipt of delivery, reading, answer or failure since: they may get it twice."),
  ])
  .meta({ id: "ResendScope" });
export const Resend = z.strictObject({ scope: ResendScope }).meta({ id: "Resend" });

const Counts = z.object({ accepted: z.int(), failed: z.int(), skipped: z.int(), uncertain: z.int() });

const Skips = z.record(z.string(), z.int()).describe("How many by reason.");
const Statement = z
  .object({
    recipients: z.int(),
    accepted: z.int(),
    failed: z.int(),
    skipped: Skips,
    uncertain: z.int(),
    undelivered: z.int(),
    amendments: z.array(z.record(z.string(), z.unknown())).optional(),
  })
  .meta({ id: "Statement", description: "What became of everybody: accepted + failed + skipped + uncertain = recipients." });

export const Campaign = z
  .object({
    id: Id,
    name: z.string(),
    status: CampaignStatus,
    accountId: Id,
    channel: z.enum(["whatsapp", "email"]),
    messageType: z.enum(["text", "template"]),
    messageContent: z.string().nullable(),
    template: z
      .object({ name: z.string(), language: z.string(), components: z.array(z.record(z.string(), z.unknown())) })
      .nullable()
      .describe("With its parameters as WhatsApp takes them, still Liquid texts."),
    audienceType: z.enum([...fields.audienceType.options, "resend"]),
    audienceConfig: z.object({
      listId: Id.optional(),
      segmentId: Id.optional(),
      exclude: Exclude.optional(),
      resend: z
        .object({ campaignId: Id, scope: ResendScope })
        .optional()
        .describe("The people of an earlier campaign, by what became of them there."),
    }),
    scheduleType: fields.scheduleType,
    scheduledAt: Instant.nullable(),
    throttleConfig: z.object({ messagesPerMinute: z.number().nullable(), batchSize: z.int().nullable(), delayBetweenBatches: z.int() }),
    templateVariables: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
    onUncertain: z.enum(["hold", "resend"]),
    onDailyLimit: z.enum(["pause", "wait"]),
    expiresAt: Instant.nullable(),
    engine: z.boolean().describe("False: only execute-batch drives it."),
    pauseReason: z.string().nullable(),
    failure: z.string().nullable(),
    totalRecipients: z.int().nullable().describe("Null until the recipients are fixed."),
    counts: Counts,
    statement: Statement.nullable(),
    createdAt: Instant,
    startedAt: Instant.nullable(),
    pausedAt: Instant.nullable(),
    completedAt: Instant.nullable(),
    scheduled_at: Instant.nullable(),
    paused_at: Instant.nullable(),
    total_recipients: z.int().nullable(),
  })
  .meta({ id: "Campaign" });

const told = <Data extends z.ZodType>(message: string, data: Data) => z.object({ success: z.literal(true), message: z.literal(message), data });

export const Started = told("Campaign started successfully", z.object({ id: Id, status: CampaignStatus, scheduled_at: Instant.nullable() })).meta({
  id: "Started",
});
export const Paused = told(
  "Campaign paused successfully",
  z.object({ id: Id, status: z.literal("paused"), paused_at: Instant, inFlight: z.int() }),
).meta({ id: "Paused" });
export const Resumed = told("Campaign resumed successfully", z.object({ id: Id, status: CampaignStatus })).meta({ id: "Resumed" });
export const Stopped = told(
  "Campaign stopped successfully",
  z.object({ id: Id, status: z.literal("stopped"), completedAt: Instant, inFlight: z.int() }),
).meta({ id: "Stopped" });
export const Duplicated = told(
  "Campaign duplicated successfully",
  z.object({ id: Id, name: z.string(), status: CampaignStatus, total_recipients: z.int().nullable() }),
).meta({ id: "Duplicated" });

export const Resent = told(
  "Resend created successfully",
  z.object({ id: Id, name: z.string(), status: CampaignStatus, total_recipients: z.int().nullable() }),
).meta({ id: "Resent" });

const Rate = z.number().describe("Per cent, one decimal; 0 of nothing.");
export const CampaignStats = z
  .object({
    recipients: z.int(),
    pending: z.int(),
    accepted: z.int(),
    failed: z.int(),
    skipped: Skips,
    uncertain: z.int(),
    sent: z.int(),
    delivered: z.int(),
    read: z.int(),
    replied: z.int(),
    undelivered: z.int(),
    deliveryRate: Rate,
    readRate: Rate,
    replyRate: Rate,
    failureRate: Rate,
    byCode: z.array(z.object({ code: z.string(), count: z.int(), cause: z.string().nullable() })),
    statement: Statement.optional(),
  })
  .meta({ id: "CampaignStats" });

export const CampaignEvent = z
  .object({ seq: z.int(), name: z.string(), body: z.record(z.string(), z.unknown()), at: Instant })
  .meta({ id: "CampaignEvent" });
