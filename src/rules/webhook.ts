/** What an outgoing webhook may tell of: the names of a campaign's events. */
export const webhookEvents = [
  "campaign:started",
  "campaign:progress",
  "campaign:paused",
  "campaign:resumed",
  "campaign:completed",
  "campaign:stopped",
  "campaign:failed",
] as const;

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Between one try and the next: ten tries in some 76 hours. */
const WAITS_MS = [
  5 * SECOND_MS,
  5 * MINUTE_MS,
  30 * MINUTE_MS,
  2 * HOUR_MS,
  5 * HOUR_MS,
  10 * HOUR_MS,
  14 * HOUR_MS,
  20 * HOUR_MS,
  24 * HOUR_MS,
] as const;
/** A receiver may ask for so much patience. */
const RETRY_AFTER_MAX_MS = 24 * HOUR_MS;
/** What failed together is not tried again together. */
const JITTER = 0.2;

/**
 * How long to wait after the `attempts`th try has failed, in milliseconds; null: that was the last. `chance` in [0, 1) spreads it by a
 * tenth in both directions. What the receiver asked for (`askedMs`, null: nothing) is never undercut, but for more than a day.
 */
export function retryWaitMs(attempts: number, { askedMs, chance }: { askedMs: number | null; chance: number }): number | null {
  const wait = WAITS_MS[attempts - 1];
  if (wait === undefined) return null;
  return Math.round(Math.max(wait * (1 + JITTER * (chance - 0.5)), Math.min(askedMs ?? 0, RETRY_AFTER_MAX_MS)));
}

/** The header Retry-After, seconds or a date (RFC 9110, 10.2.3), in milliseconds from `now`; null: it asks for nothing that can be read. */
export function retryAfterMs(header: string, now: Date): number | null {
  if (/^\d{1,9}$/.test(header)) return Number(header) * SECOND_MS;
  const at = /[a-z]/i.test(header) ? Date.parse(header) : Number.NaN;
  return Number.isNaN(at) ? null : Math.max(0, at - now.getTime());
}
