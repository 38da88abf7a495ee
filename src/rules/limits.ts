/**
 * Every number that bounds the sending of messages, with its unit, and what must hold between them (limits.test.ts).
 */

/** Positions in one lot. */
export const LOT_RECIPIENTS_MAX = 1_000;
/** Messages marked and not yet settled, per lot: what a crash leaves in doubt. Marking more at once gained nothing (44/73/76/88 thousand messages/s at 50/100/250/500). */
export const WINDOW_MAX = 250;
/** Slots are taken so far ahead, and what is marked begins within so long or not at all. */
export const HORIZON_MS = 250;
/** A slot missed by more is not used: the message takes a new one. */
export const SLOT_LATE_MAX_MS = 50;
/** An HTTP call that takes longer is aborted; its outcome is uncertain. */
export const SEND_TIMEOUT_MS = 10_000;
/** A lot's lease. A call begins only while the lease outlives the call's time-out. */
export const LEASE_MS = 20_000;
/** A held lot's lease is renewed at least so often. */
export const RENEW_MS = 3_000;
/**
 * Lots of one campaign held at a time, by whichever engines: they take turns under the campaign's lock, so more only lengthen its queue,
 * in which a pause stands too. One where a pace or a cap limits it: then what counts is who comes next, not how many ask.
 */
export const HOLDERS_MAX = 8;
/** After an expired lease, before the lot is recovered. Every call of a living holder ended before the lease did. */
export const RECOVERY_MARGIN_MS = 2_000;
/** Outcomes are written together, so long after the first of them: at full speed, and at a pace. */
export const FLUSH_MS = 50;
export const FLUSH_PACED_MS = 100;
/** Tries of one message that the provider refused for the time being. */
export const ATTEMPTS_MAX = 3;
/** Calls in flight per lot: the very first, among which the vendor's own speed can be seen, and the least and the most after that. */
export const IN_FLIGHT_FIRST = 10;
export const IN_FLIGHT_MIN = 20;
export const IN_FLIGHT_MAX = 500;
/** An opening counts for 24 h after the latest instant at which its call can have reached the vendor. */
export const OPENING_MARGIN_MS = SEND_TIMEOUT_MS + 1_000;
/** Uncertain outcomes in a row, and among the last so many, that hold a sender. */
export const BREAKER_ROW = 5;
export const BREAKER_LAST = 50;
export const BREAKER_SHARE = 0.2;
export const BREAKER_HOLD_MS = 30_000;
/** `onUncertain: resend` waits so long for a receipt before it sends again. */
export const RESEND_AFTER_MS = 15 * 60_000;
/** A campaign that could not begin within so long after its time, because nothing ran, does not begin by itself any more. */
export const LATE_START_MAX_MS = 3_600_000;
/** First messages that all fail in a way that may be the campaign's own fault pause it. */
export const FIRST_FAILURES_MAX = 20;
/** `execute-batch` (document 004): recipients per call, one after the other, and the answer's time limit. */
export const BATCH_RECIPIENTS_MAX = 25;
export const BATCH_TIME_MAX_MS = 20_000;
/** Due messages (retries, resends) claimed at once. */
export const DUE_BATCH_MAX = 50;
