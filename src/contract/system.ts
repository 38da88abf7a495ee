import { z } from "zod";
import { CampaignStatus } from "./campaign.ts";
import { Id } from "./wire.ts";

export const Health = z
  .object({
    status: z.enum(["ok", "failing"]),
    checks: z.record(z.string(), z.object({ ok: z.boolean(), detail: z.string() })),
  })
  .meta({ id: "Health" });
export type Health = z.infer<typeof Health>;

const Queued = {
  waiting: z.int().describe("Nobody has begun with them."),
  active: z.int().describe("On their way, and not settled."),
  failed: z.int(),
  messagesPerMinute: z.number().describe("As it was last told; 0 when nothing moved for a while."),
};

export const SystemStats = z
  .object({
    queue: z.object({ ...Queued, campaigns: z.array(z.object({ id: Id, name: z.string(), status: CampaignStatus, ...Queued })) }),
    receipts: z.object({ waiting: z.int().describe("Webhooks that were stored and not yet looked at."), oldestSeconds: z.number() }),
    process: z.object({
      version: z.string(),
      uptimeSeconds: z.int(),
      memoryMb: z.int(),
      cpuPercent: z.number().describe("Of one core, since it began."),
      loopLagMs: z.number().describe("The 99th percentile since it was last asked."),
    }),
  })
  .meta({ id: "SystemStats" });
