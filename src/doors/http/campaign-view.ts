import { z } from "zod";
import { type BatchCampaign, type BatchCampaignStatus, type BatchRecipient, BatchResult } from "../../contract/batch.ts";
import type { Campaign as CampaignOut, CampaignStats as StatsOut } from "../../contract/campaign.ts";
import type { Recipient as RecipientOut, RecipientTimeline as TimelineOut } from "../../contract/recipient.ts";
import type { CampaignStats, Counters } from "../../flow/campaign/read.ts";
import type { Campaign, CapUse } from "../../flow/campaign/read-store.ts";
import type { Recipient, RecipientTimeline } from "../../flow/campaign/recipients.ts";
import { batchCampaignId } from "../../rules/campaign-id.ts";
import type { CampaignState } from "../../rules/campaign-state.ts";
import type { Statement } from "../../rules/statement.ts";
import { instant, instantOrNull } from "./wire.ts";

/** A campaign in the words of /api/v1. */
export function campaignOut(campaign: Campaign): z.infer<typeof CampaignOut> {
  const { message } = campaign;
  return {
    id: campaign.id,
    name: campaign.name,
    status: campaign.state,
    accountId: campaign.senderId,
    channel: campaign.channel,
    messageType: message.type,
    messageContent: message.type === "text" ? message.text : null,
    template:
      message.type === "template"
        ? { name: message.name, language: message.language, components: message.components.map((part) => ({ ...part })) }
        : null,
    audienceType: campaign.audienceType,
    audienceConfig: { ...campaign.audienceConfig, ...(Object.keys(campaign.audienceExclude).length === 0 ? {} : { exclude: excludeOut(campaign) }) },
    scheduleType: campaign.scheduleType,
    scheduledAt: instantOrNull(campaign.scheduledAt),
    throttleConfig: { messagesPerMinute: campaign.perMinute, batchSize: campaign.batchSize, delayBetweenBatches: campaign.delayBetweenBatchesMs },
    templateVariables: { ...campaign.variables },
    onUncertain: campaign.onUncertain,
    onDailyLimit: campaign.onDailyLimit,
    expiresAt: instantOrNull(campaign.expiresAt),
    engine: campaign.engine,
    pauseReason: campaign.pauseReason,
    failure: campaign.failure,
    totalRecipients: campaign.totalRecipients,
    counts: campaign.counts,
    statement: campaign.statement === null ? null : statementOut(campaign.statement),
    createdAt: instant(campaign.createdAt),
    startedAt: instantOrNull(campaign.startedAt),
    pausedAt: instantOrNull(campaign.pausedAt),
    completedAt: instantOrNull(campaign.completedAt),
    scheduled_at: instantOrNull(campaign.scheduledAt),
    paused_at: instantOrNull(campaign.pausedAt),
    total_recipients: campaign.totalRecipients,
  };
}

const excludeOut = ({ audienceExclude: { segmentIds, listIds, campaignIds } }: Campaign) => ({
  ...(segmentIds ? { segmentIds: [...segmentIds] } : {}),
  ...(listIds ? { listIds: [...listIds] } : {}),
  ...(campaignIds ? { campaignIds: [...campaignIds] } : {}),
});

const statementOut = ({ skipped, amendments, ...counts }: Statement) => ({
  ...counts,
  skipped: { ...skipped },
  ...(amendments ? { amendments: amendments.map((amendment) => ({ ...amendment })) } : {}),
});

export const statsOut = ({ statement, byCode, skipped, ...figures }: CampaignStats): z.infer<typeof StatsOut> => ({
  ...figures,
  skipped: { ...skipped },
  byCode: [...byCode],
  ...(statement ? { statement: statementOut(statement) } : {}),
});

const common = (recipient: Recipient | RecipientTimeline) => ({
  position: recipient.position,
  contactId: recipient.contactId,
  address: recipient.address,
  state: recipient.state,
  reason: recipient.reason,
  code: recipient.code,
  cause: recipient.cause,
  providerRef: recipient.providerRef,
  at: instantOrNull(recipient.at),
  dueAt: instantOrNull(recipient.dueAt),
  reach: recipient.reach,
});

export const recipientOut = (recipient: Recipient): z.infer<typeof RecipientOut> => ({
  ...common(recipient),
  attempts: recipient.attempts,
  receipts: Object.fromEntries(Object.entries(recipient.receipts).map(([kind, at]) => [kind, instant(at)])),
});

export const timelineOut = (recipient: RecipientTimeline): z.infer<typeof TimelineOut> => ({
  ...common(recipient),
  variables: { ...recipient.variables },
  audience: recipient.audience,
  attempts: recipient.attempts.map((attempt) => ({ ...attempt, at: instant(attempt.at) })),
  receipts: recipient.receipts.map(({ attempt, kind, at, receivedAt, code, cause }) => ({
    attempt,
    kind,
    at: instant(at),
    receivedAt: instant(receivedAt),
    code,
    cause,
  })),
  story: recipient.told.story.map(({ at, ...words }) => ({ ...words, at: instantOrNull(at) })),
  next: recipient.told.next,
});

/** A state in the words of the stateless executor. */
export const batchStatus = (state: CampaignState): z.infer<typeof BatchCampaignStatus> => upper[state];
const upper = {
  draft: "DRAFT",
  scheduled: "SCHEDULED",
  preparing: "PREPARING",
  running: "RUNNING",
  paused: "PAUSED",
  completed: "COMPLETED",
  stopped: "STOPPED",
  failed: "FAILED",
} as const;

export function batchCampaignOut(campaign: Campaign, counters: Counters, dailyLimit: CapUse): z.infer<typeof BatchCampaign> {
  return {
    id: batchCampaignId(campaign.id),
    name: campaign.name,
    templateName: campaign.message.type === "template" ? campaign.message.name : null,
    status: batchStatus(campaign.state),
    sent: counters.accepted,
    failed: counters.failed,
    pending: counters.pending,
    skipped: counters.skipped,
    uncertain: counters.uncertain,
    progress: counters.progress,
    pauseReason: campaign.pauseReason,
    createdAt: instant(campaign.createdAt),
    startedAt: instantOrNull(campaign.startedAt),
    pausedAt: instantOrNull(campaign.pausedAt),
    completedAt: instantOrNull(campaign.completedAt),
    dailyLimit: { used: dailyLimit.used, cap: dailyLimit.cap, nextFreeAt: instantOrNull(dailyLimit.nextFreeAt) },
    lastBatch: lastBatchOut(campaign.lastBatch),
    engine: campaign.engine,
  };
}

/** Stored as execute-batch answered it, with the instant as Postgres writes it. */
function lastBatchOut(stored: unknown): z.infer<typeof BatchCampaign>["lastBatch"] {
  if (stored === null) return null;
  const { at, ...result } = StoredBatch.parse(stored);
  return { ...result, at: instant(new Date(at)) };
}
const StoredBatch = BatchResult.extend({ at: z.string() });

/** The states of a recipient as the stateless executor names them, and back. */
export const batchRecipientStates = {
  PENDING: "pending",
  SENT: "accepted",
  FAILED: "failed",
  SKIPPED: "skipped",
  UNKNOWN: "uncertain",
} as const;

const batchRecipientStatus = {
  pending: "PENDING",
  handing: "PENDING",
  accepted: "SENT",
  failed: "FAILED",
  skipped: "SKIPPED",
  uncertain: "UNKNOWN",
} as const;

export const batchRecipientOut = (recipient: Recipient): z.infer<typeof BatchRecipient> => ({
  phone: recipient.address?.replace(/^\+/, "") ?? null,
  status: batchRecipientStatus[recipient.state],
  attempts: recipient.attempts,
  messageId: recipient.providerRef,
  errorCode: errorCodeOf(recipient),
  position: recipient.position,
});

/** WhatsApp's codes are numbers and are prefixed; ours are words. */
const errorCodeOf = ({ code }: Recipient): string | null => (code !== null && /^\d+$/.test(code) ? `META_${code}` : code);
