import { z } from "zod";
import { Id, Instant, Text } from "./wire.ts";

export const Right = z.enum(["read", "write", "send", "admin"]);
export type Right = z.infer<typeof Right>;

export const KeyCreate = z
  .strictObject({
    name: Text(100),
    rights: z
      .array(Right)
      .min(1)
      .max(4)
      .refine((rights) => new Set(rights).size === rights.length, "Each right once")
      .describe("No right includes another."),
  })
  .meta({ id: "KeyCreate" });

export const Key = z
  .object({
    id: Id,
    name: z.string(),
    prefix: z.string().describe("How the key begins."),
    rights: z.array(Right),
    createdAt: Instant,
    lastUsedAt: Instant.nullable().describe("To the minute."),
    revokedAt: Instant.nullable(),
  })
  .meta({ id: "Key" });

export const NewKey = Key.extend({
  key: z.string().optional().describe("The key itself, shown in this one answer; absent when the answer is repeated for an Idempotency-Key."),
}).meta({ id: "NewKey" });
