import { z } from "zod";

const rate = z.number().min(0).max(1);
const spanMs = z.tuple([z.number().min(0), z.number().min(0)]).refine(([min, max]) => min <= max, "a span is [min, max]");
/** Error code → weight. The weights need not add up to anything. */
const weights = z.record(z.string().regex(/^\d+$/), z.number().min(0));

/**
 * What may happen to a call besides a proper answer. `rateLimit` and `pairLimit` refuse it a few times, then its fate takes its
 * course. The others exist twice: bare = nothing was accepted; `…Accepted` = accepted and in the ledger, and then this answer.
 */
export const faultNames = [
  "rateLimit",
  "pairLimit",
  "unavailable",
  "unavailableAccepted",
  "timeout",
  "timeoutAccepted",
  "reset",
  "resetAccepted",
  "garbage",
  "garbageAccepted",
  "missingId",
  "missingIdAccepted",
  "flood",
  "floodAccepted",
] as const;
export type FaultName = (typeof faultNames)[number];

/** Everything a message's fate depends on besides its key. Rates are shares in [0, 1]; spans are [min, max]. */
export const Mix = z.strictObject({
  /** Share of messages that are delivered, among those no fault hits. */
  successRate: rate.default(0.9),
  /** Share of the failures told in the answer; the rest is accepted and fails later, by webhook. */
  answerShare: rate.default(0.5),
  answerFailures: weights.default({ "131026": 3, "130472": 1 }),
  laterFailures: weights.default({ "131049": 6, "131026": 3, "131050": 1 }),
  /** Of the delivered. Whoever replies or opts out has read. */
  readRate: rate.default(0.6),
  replyRate: rate.default(0.05),
  /** Replies with an opt-out word (STOP and its like). */
  optOutRate: rate.default(0.01),
  /** Stops marketing messages in WhatsApp's own settings: webhook `user_preferences`. */
  preferenceStopRate: rate.default(0),
  /** Of the readers: delivery and reading coincide, so no `delivered` is told. */
  skipDeliveredRate: rate.default(0.1),
  /** Of the delivered: a second device reports `failed` afterwards. */
  contradictRate: rate.default(0),
  /** Of the accepted: answered `held_for_quality_assessment`; `heldFailShare` of them fail with 132015. */
  heldRate: rate.default(0),
  heldFailShare: rate.default(0.3),
  faults: z.partialRecord(z.enum(faultNames), rate).default({}),
  /** A throttled message is refused 1 to this many times. */
  throttleTimesMax: z.number().int().min(1).default(2),
  latencyMs: spanMs.default([0, 0]),
  slowRate: rate.default(0),
  slowMs: spanMs.default([1_000, 3_000]),
  sentAfterMs: spanMs.default([20, 200]),
  deliveredAfterMs: spanMs.default([100, 800]),
  readAfterMs: spanMs.default([200, 2_000]),
  replyAfterMs: spanMs.default([500, 3_000]),
  failedAfterMs: spanMs.default([100, 1_500]),
  heldForMs: spanMs.default([1_000, 5_000]),
  /** Webhooks told twice, told in the wrong order, told before the answer is written, never told. */
  duplicateRate: rate.default(0),
  reorderRate: rate.default(0),
  earlyRate: rate.default(0),
  loseRate: rate.default(0),
});
export type Mix = z.infer<typeof Mix>;

const Limits = z.strictObject({
  /** Messages per second and phone number; null: unlimited. */
  throughput: z.number().positive().nullable().default(80),
  /** Per (phone number, user): one message each `intervalMs`, `burst` of them at once. Meta's own: 6,000 ms and 45. */
  pair: z
    .strictObject({ intervalMs: z.number().positive(), burst: z.number().int().min(1) })
    .nullable()
    .default(null),
  /** Unique users outside an open window in a moving 24 h, all phone numbers together; null: unlimited. */
  messaging: z.number().int().min(0).nullable().default(null),
});

const Webhook = z.strictObject({
  /** At most this many updates in one POST (Meta: 1,000). */
  batchMax: z.number().int().min(1).max(1_000).default(100),
  /** While time runs, webhooks due within this long share a POST. */
  gatherMs: z.number().min(0).default(50),
  concurrency: z.number().int().min(1).default(4),
  timeoutMs: z.number().positive().default(10_000),
  /** The first retry is immediate, then doubling from `retryMinMs` up to `retryMaxMs`, given up after `retryForMs` (Meta: 7 days). */
  retryMinMs: z.number().positive().default(500),
  retryMaxMs: z.number().positive().default(3_600_000),
  retryForMs: z
    .number()
    .positive()
    .default(7 * 24 * 3_600_000),
  /** Non-ASCII as \uXXXX and / as \/, as Meta writes and signs it. */
  asciiOnly: z.boolean().default(true),
  /** Version of the webhook subscription; below 24 statuses carry `conversation`. */
  version: z.number().int().default(24),
});

export const Settings = z.strictObject({
  seed: z.union([z.number(), z.string()]).default(1),
  mix: Mix.prefault({}),
  limits: Limits.prefault({}),
  webhook: Webhook.prefault({}),
  /** `strict`: free text is refused (131047) unless the user wrote within the last 24 h. */
  windows: z.enum(["open", "strict"]).default("open"),
  /** What Meta does to phone numbers: 52… → 521…, 55DD9… → 55DD…, own country code before a number without +. */
  quirks: z
    .strictObject({
      mexico: z.boolean().default(false),
      brazil: z.boolean().default(false),
      prependCountryCode: z.boolean().default(false),
    })
    .prefault({}),
  /** Price of one delivered message, by category; free text is `service`. */
  prices: z.record(z.string(), z.number().min(0)).default({ marketing: 0.025, utility: 0.004, authentication: 0.004, service: 0 }),
  /** From the `after`-th accepted message on, every send is answered with this code (190, 368, 131031, …). */
  blockAfter: z
    .strictObject({ accepted: z.number().int().min(0), code: z.number().int() })
    .nullable()
    .default(null),
});
export type Settings = z.infer<typeof Settings>;

/** A part of the settings. Sections merge name by name; a value (a span, a table of weights) replaces the old one whole. */
export type SettingsPatch = {
  [Name in keyof Settings]?: Settings[Name] extends Record<string, unknown> ? Partial<Settings[Name]> : Settings[Name];
};

const sections = new Set(["mix", "limits", "webhook", "quirks", "prices"]);

/** The settings after `patch`. Throws a ZodError that names every wrong field. */
export function mergeSettings(current: Settings, patch: unknown): Settings {
  const merged: Record<string, unknown> = { ...current };
  for (const [name, value] of Object.entries(z.record(z.string(), z.unknown()).parse(patch))) {
    const old = merged[name];
    merged[name] = sections.has(name) && value !== null && typeof value === "object" ? { ...(old as object), ...value } : value;
  }
  return Settings.parse(merged);
}
