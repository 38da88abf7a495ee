import { z } from "zod";
import { Id, Instant, PageQuery } from "./wire.ts";

/** JSON's numbers are read as doubles: of a longer one the last digits are gone before anyone sees it. */
export const ExactNumber = z
  .number()
  .refine((value) => Math.abs(value) <= Number.MAX_SAFE_INTEGER, "A number beyond 9007199254740991 loses digits; send it as text");

/** A value anyone may give a variable. */
const Value = z.union([z.string().max(1024), ExactNumber, z.boolean(), z.null()]);
export const VariableValues = z.record(z.string().min(1).max(100), Value);

/** One person as given; the phone or the e-mail address is normalised. */
export const PersonGiven = z
  .strictObject({
    phone: z.string().max(50).optional(),
    email: z.string().max(254).optional(),
    firstName: z.string().max(200).optional(),
    lastName: z.string().max(200).optional(),
    company: z.string().max(200).optional(),
    attributes: VariableValues.optional(),
  })
  .meta({ id: "PersonGiven" });

const RecipientState = z.enum(["pending", "handing", "accepted", "failed", "skipped", "uncertain"]);
export const RecipientsQuery = PageQuery.extend({ state: RecipientState.optional() });

const Reach = z.enum(["sent", "delivered", "read", "replied", "failed"]);
export const Recipient = z
  .object({
    position: z.int(),
    contactId: Id.nullable(),
    address: z.string().nullable(),
    state: RecipientState,
    reason: z.string().nullable().describe("Why it was skipped."),
    code: z.string().nullable(),
    cause: z.string().nullable(),
    providerRef: z.string().nullable(),
    attempts: z.int(),
    at: Instant.nullable(),
    dueAt: Instant.nullable().describe("When a further attempt is due."),
    reach: Reach.nullable().describe("The furthest receipt."),
    receipts: z.partialRecord(Reach, Instant),
  })
  .meta({ id: "Recipient" });

export const RecipientTimeline = Recipient.omit({ attempts: true, receipts: true })
  .extend({
    variables: z.record(z.string(), z.unknown()),
    audience: z.object({ type: z.string(), listId: Id.nullable(), listName: z.string().nullable() }).describe("Why it is in the audience."),
    attempts: z.array(
      z.object({
        attempt: z.int(),
        outcome: z.string(),
        code: z.string().nullable(),
        cause: z.string().nullable(),
        providerRef: z.string().nullable(),
        at: Instant,
      }),
    ),
    receipts: z.array(
      z.object({ attempt: z.int(), kind: Reach, at: Instant, receivedAt: Instant, code: z.string().nullable(), cause: z.string().nullable() }),
    ),
    story: z
      .array(z.object({ at: Instant.nullable(), text: z.string(), code: z.string().nullable(), advice: z.string().nullable() }))
      .describe("What happened and why, in order and in plain words; advice says what to do about it."),
    next: z.string().describe("What comes next for this person."),
  })
  .meta({ id: "RecipientTimeline" });

const Rejected = z.object({ line: z.int(), value: z.string(), reason: z.string() }).meta({ id: "Rejected" });

/** A draft's recipients as JSON, instead of a CSV file. */
export const RecipientsGiven = z.array(PersonGiven).min(1).max(10_000).meta({ id: "RecipientsGiven" });

/** Rejected rows told in the answer itself; there may be more of them than this. */
export const REJECTED_SHOWN_MAX = 1_000;

export const RecipientsAdded = z
  .object({
    inserted: z.int().describe("Recipients this upload added; who was there already is not counted."),
    rejected: z.array(Rejected).max(REJECTED_SHOWN_MAX).describe(`The first ${REJECTED_SHOWN_MAX} rejected rows.`),
    rejectedCount: z.int(),
  })
  .meta({ id: "RecipientsAdded" });
