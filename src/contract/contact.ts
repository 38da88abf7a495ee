import { z } from "zod";
import { ExactNumber } from "./recipient.ts";
import { Id, Instant, PageQuery, Text } from "./wire.ts";

const AttributeValue = z.union([z.string().max(4_096), ExactNumber, z.boolean(), z.null()]);
const Tags = z.array(Text(100)).max(200);
const Attributes = z.record(z.string().min(1).max(100), z.union([AttributeValue, Tags])).superRefine((attributes, context) => {
  const lists = Object.entries(attributes).filter(([name, value]) => Array.isArray(value) && name !== "tags");
  for (const [name] of lists) context.addIssue({ code: "custom", path: [name], message: "Only the attribute tags may be a list" });
});
const Name = z.string().trim().max(200);

const given = {
  phone: z.string().max(50).nullable().optional().describe("Any usual spelling, with its country code or with `country`."),
  email: z.string().max(254).nullable().optional(),
  firstName: Name.nullable().optional(),
  lastName: Name.nullable().optional(),
  company: Name.nullable().optional(),
  timeZone: z.string().max(60).nullable().optional().describe("An IANA time zone."),
};
const country = z
  .string()
  .regex(/^[A-Z]{2}$/, "Expected two capital letters as in ISO 3166, such as IN")
  .optional()
  .describe("Where a number without a country code is from.");

/** A contact is its phone; without one, its e-mail address. One that is there already is changed. */
export const ContactGiven = z
  .strictObject({
    ...given,
    attributes: Attributes.optional().describe("Added to those that are known. The attribute tags may be a list of texts."),
    country,
  })
  .meta({ id: "ContactGiven" });
export const ContactEdit = z
  .strictObject({
    ...given,
    attributes: Attributes.optional().describe("Replace all of those that are known. The attribute tags may be a list of texts."),
    country,
  })
  .meta({ id: "ContactEdit", description: "Changes what is given; null empties a field." });

export const Contact = z
  .object({
    id: Id,
    phone: z.string().nullable(),
    email: z.string().nullable(),
    firstName: z.string().nullable(),
    lastName: z.string().nullable(),
    company: z.string().nullable(),
    timeZone: z.string().nullable(),
    attributes: z.record(z.string(), z.unknown()),
    waId: z.string().nullable().describe("How WhatsApp itself writes the number, once it said so."),
    createdAt: Instant,
    updatedAt: Instant,
  })
  .meta({ id: "Contact" });

export const ContactsQuery = PageQuery.extend({ listId: Id.optional(), phone: z.string().max(50).optional(), email: z.string().max(254).optional() });

const Field = /^.{1,200}=.{1,100}$/su;
/** How a CSV file is to be read; what is not said is guessed from its header. */
export const CsvQuery = z.strictObject({
  fileName: z.string().min(1).max(255).optional(),
  country,
  map: z
    .preprocess((value) => (typeof value === "string" ? [value] : value), z.array(z.string().regex(Field, "Expected column=field")).max(200))
    .optional()
    .describe(
      "column=field, repeated. A column is a header or a number from 1; a field is phone, email, firstName, lastName, name, company, timeZone, an attribute or -.",
    ),
});

export const ImportQuery = CsvQuery.extend({
  list: Text(200).optional().describe("Everybody joins the list of this name; it is made when there is none."),
  listId: Id.optional(),
  channel: z.enum(["whatsapp", "email"]).optional().describe("Whose address a row must have; default whatsapp."),
});

export const Import = z
  .object({
    id: Id,
    listId: Id.nullable(),
    fileName: z.string(),
    state: z.enum(["running", "done", "cancelled", "failed"]),
    rows: z.int().describe("stored + merged + rejected, once it is done; read so far, while it runs."),
    stored: z.int(),
    merged: z.int().describe("Rows whose person was there already, or came before in the file."),
    rejected: z.int(),
    bytes: z.int(),
    cause: z.string().nullable().describe("Why it failed. Nothing of a failed or cancelled import is stored."),
    startedAt: Instant,
    finishedAt: Instant.nullable(),
  })
  .meta({ id: "Import" });

export const ListCreate = z.strictObject({ name: Text(200) }).meta({ id: "ListCreate" });
export const List = z.object({ id: Id, name: z.string(), members: z.int(), createdAt: Instant }).meta({ id: "List" });
export const MembersAdd = z.strictObject({ contactIds: z.array(Id).min(1).max(10_000) }).meta({ id: "MembersAdd" });

export const SuppressionCreate = z
  .strictObject({
    channel: z.enum(["whatsapp", "email"]),
    address: z.string().min(1).max(254),
    scope: z.enum(["all", "marketing"]).default("all"),
    reason: Text(500).default("entered by hand"),
    country,
  })
  .meta({ id: "SuppressionCreate" });
export const Suppression = z
  .object({
    channel: z.enum(["whatsapp", "email"]),
    address: z.string(),
    scope: z.enum(["all", "marketing"]),
    reason: z.string(),
    source: z.string(),
    at: Instant,
  })
  .meta({ id: "Suppression" });
export const SuppressionLift = z
  .strictObject({
    channel: z.enum(["whatsapp", "email"]),
    address: z.string().min(1).max(254),
    scope: z.enum(["all", "marketing"]).optional(),
    country,
  })
  .meta({ id: "SuppressionLift" });
export const SuppressionsQuery = PageQuery.extend({ channel: z.enum(["whatsapp", "email"]).optional() });
