import { z } from "zod";
import { campaignOutcomes, DEPTH_MAX, PARTS_MAX, textFields } from "../rules/segment.ts";
import { Contact } from "./contact.ts";
import { Id, Instant, Text } from "./wire.ts";

/** Its tree is read by `readFilter` (rules/segment.ts), which names the place of each fault. */
const Filter = z.record(z.string(), z.unknown()).meta({
  id: "Filter",
  description: `Which contacts, as a tree of at most ${PARTS_MAX} parts, at most ${DEPTH_MAX} deep. A part is one of
{all: [parts]}, {any: [parts]}, {not: part};
{field, op, value}: field is ${textFields.join(", ")} with op eq, ne, contains, startsWith, in (a list of values) or exists (true or false), or createdAt with op before or after;
{attribute, op, value}: the same, and gt, gte, lt, lte with a number, before and after with a day such as 2026-03-01;
{tag}: of the attribute tags, which is a list of texts or, as a CSV file brings it, one text with commas between them;
{list: id}; {campaign: id, outcome}: outcome is ${campaignOutcomes.join(", ")}.
Letters count as they are written. Who has no value fits only ne and exists false.`,
  example: { all: [{ attribute: "city", op: "eq", value: "Pune" }, { not: { tag: "vip" } }] },
});

export const SegmentCreate = z.strictObject({ name: Text(200), filter: Filter }).meta({ id: "SegmentCreate" });
export const SegmentEdit = z
  .strictObject({ name: Text(200).optional(), filter: Filter.optional() })
  .meta({ id: "SegmentEdit", description: "Changes what is given. A campaign whose recipients are fixed keeps them." });
export const Segment = z.object({ id: Id, name: z.string(), filter: Filter, createdAt: Instant }).meta({ id: "Segment" });

export const SegmentCount = z.strictObject({ filter: Filter }).meta({ id: "SegmentCount" });
export const SegmentCounted = z
  .object({ count: z.int(), sample: z.array(Contact).max(20).describe("The first of them.") })
  .meta({ id: "SegmentCounted" });
