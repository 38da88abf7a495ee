/**
 * The rules that protect the protocol. Each is obeyed unless a configuration switches it off; then a violation must be found, or the
 * rule, or the model, is worth nothing.
 */
export const rules = {
  markFirst: "what is not marked by a confirmed COMMIT is not begun",
  fencing: "a lot is touched only under its token",
  recovery: "whoever takes a lot puts in doubt what was marked and has no row",
  memoryIsTruth: "after an unconfirmed COMMIT the holder goes on from its own mark, not from the database's",
  dropFirst: "what is given back is dropped from memory before the mark is lowered",
  readsRows: "only positions without a row ask to be marked",
  writesOnce: "only what was really written is counted",
  closesFull: "a lot closes only when each of its positions has a row",
  waitsForOpen: "a campaign completes only when nothing is queued or handed over",
  looksAtCampaign: "each turn and each claim looks at the campaign, under its lock, before it marks",
  closesUnmarked: "what a stopped campaign skips lies beyond the mark",
  mergeCompares: "an answer under a stale token changes only what is in doubt, or has not begun again",
  claimFirst: "a due message is not begun before its claim is confirmed",
  claimFencing: "the outcome of a due message is stored under the token of its claim",
  sweep: "a loop joins what is in doubt with stored receipts",
  settlementLocksCampaign: "what is settled outside of a turn is settled under the campaign's lock",
  amends: "what is settled after the statement is written below it",
  claimReadsReceipts: "a resend of which a receipt speaks is not begun",
  repliesProveNothing: "a reply neither proves a message nor keeps it from being sent again",
  doubtOutlivesResend: "a message that was in doubt, and whose resend was not made or refused, is in doubt for good",
  cutShortens: "who cuts a lot forgets what is behind the cut",
} as const;
export type Rule = keyof typeof rules;

/** What may happen besides work, and how often it may still happen: misfortunes, and what customers and recipients do. */
export const happenings = {
  crash: "an engine is gone, with all it remembered",
  freeze: "a lease runs out although its holder lives: it acts again at any later time",
  error: "an engine gives up a lot after an error it does not know, and lives on",
  lostReply: "a COMMIT is done and not confirmed",
  failedCommit: "a COMMIT is not done, and its engine does not know that either",
  silence: "a call gets no answer",
  refusal: "the vendor refuses a call",
  pause: "the campaign is paused, to go on later",
  stop: "the campaign is stopped for good",
  shutdown: "an engine is told to end in good order",
  limit: "a cap or a pace lets nobody go for now",
  reply: "a recipient answers, which does not prove what it is an answer to",
  optOut: "the suppressed of the world become so",
  optIn: "they may be written to again",
} as const;
export type Budget = Record<keyof typeof happenings, number>;

/** One configuration of the model: what there is, and what may happen. */
export interface World {
  readonly positions: number;
  /** Marked and not settled, at most. */
  readonly window: number;
  readonly onUncertain: "hold" | "resend";
  /** False: every message starts as a due row, and there is no lot. */
  readonly lots: boolean;
  /** A lot may be cut by whoever just took it, as `execute-batch` does. */
  readonly cuts: boolean;
  /** These positions are suppressed; from the start, unless the budget has an `optOut`. */
  readonly suppressed: readonly number[];
  readonly budget: Partial<Budget>;
  readonly off: readonly Rule[];
}
