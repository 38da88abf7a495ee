import { z } from "zod";
import { fields } from "./campaign.ts";
import { PersonGiven } from "./recipient.ts";
import { Id, Instant, PageQuery } from "./wire.ts";

export const Template = z
  .object({
    id: Id,
    name: z.string(),
    language: z.string(),
    category: z.string(),
    status: z.string().describe("WhatsApp sends only APPROVED ones; DELETED: no longer listed there."),
    parameterFormat: z.enum(["POSITIONAL", "NAMED"]),
    components: z.array(z.record(z.string(), z.unknown())).describe("As WhatsApp lists them."),
    syncedAt: Instant,
  })
  .meta({ id: "Template" });

export const TemplatesQuery = PageQuery.extend({ accountId: Id.describe("The sender whose templates these are.") });
export const TemplateSync = z.strictObject({ accountId: Id }).meta({ id: "TemplateSync" });
export const TemplatesSynced = z.object({ templates: z.int().describe("How many WhatsApp lists.") }).meta({ id: "TemplatesSynced" });

export const TemplatePreview = z
  .strictObject({
    accountId: Id,
    messageContent: fields.messageContent,
    template: fields.template,
    templateVariables: fields.templateVariables,
    contactId: Id.optional(),
    contact: PersonGiven.optional().describe("Somebody made up, instead of contactId."),
  })
  .refine((given) => (given.messageContent === undefined) !== (given.template === undefined), {
    path: ["template"],
    message: "Give either messageContent or template",
  })
  .refine((given) => given.contactId === undefined || given.contact === undefined, {
    path: ["contact"],
    message: "Give contactId or contact, not both",
  })
  .meta({ id: "TemplatePreview" });

export const TemplatePreviewed = z
  .object({
    ok: z.boolean().describe("Would this person get it?"),
    reason: z.enum(["missing_variable", "invalid"]).optional().describe("Why this person would be skipped."),
    detail: z.string().optional().describe("The variable that is missing, or what is wrong."),
    message: z.record(z.string(), z.unknown()).optional().describe("The message with this person's values."),
  })
  .meta({ id: "TemplatePreviewed" });
