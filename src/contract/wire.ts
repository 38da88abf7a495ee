import { z } from "zod";

/** Text a person wrote: trimmed, not empty. */
export const Text = (max: number) => z.string().trim().min(1).max(max);

/** An instant with its offset, as ISO 8601 writes it. Answers are always UTC. */
export const Instant = z.iso
  .datetime({ offset: true })
  .meta({ id: "Instant", description: "ISO 8601 with an offset; answers are in UTC.", example: "2026-03-01T09:00:00Z" });

export const Id = z.uuid();

/** The highest number of entries one answer of a list holds. */
export const PAGE_MAX = 500;

/** `?limit=&cursor=` of every list. */
export const PageQuery = z.strictObject({
  limit: z.coerce.number().int().min(1).max(PAGE_MAX).default(50),
  cursor: z.string().max(500).optional().describe("nextCursor of the page before."),
});

export const answerOf = <Data extends z.ZodType>(data: Data) => z.object({ success: z.literal(true), data });

export const listOf = <Entry extends z.ZodType>(entry: Entry) =>
  z.object({ success: z.literal(true), data: z.array(entry), nextCursor: z.string().nullable().describe("Null on the last page.") });

/** RFC 9457, with our own fields. `code` is stable and means the same everywhere; `message` repeats `detail`. */
export const Problem = z
  .object({
    success: z.literal(false),
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    message: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
    requestId: z.string(),
  })
  .meta({ id: "Problem", description: "Why a request was refused. Nothing of it was stored." });
export type Problem = z.infer<typeof Problem>;
