import type { Candidate, Skip } from "../../rules/admission.ts";
import { settle } from "../../rules/settlement.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { lockForGood } from "./complete-store.ts";
import type { Ended } from "./flight.ts";
import {
  acceptByReceipt,
  acceptLate,
  addCounts,
  amendStatement,
  type CountChange,
  insertAccepted,
  insertAttempts,
  insertMessages,
  lockMessage,
  type MessageRow,
  refuseLate,
  type Written,
} from "./message-store.ts";

/** What asks to be sent: one message with its place. */
export interface Asking extends Candidate {
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly delays: number;
}

/** What is stored of one attempt's outcome. */
export function rowOf({ marked, outcome }: Ended, luck: number): MessageRow {
  const { stage, position, attempt, delays } = marked;
  const end = settle(outcome, { attempt, delays, luck });
  const queued = end.state === "queued";
  return {
    stage,
    position,
    attempt,
    state: end.state,
    code: end.state === "accepted" ? null : end.code,
    cause: end.state === "accepted" ? null : end.cause,
    providerRef: end.state === "accepted" ? end.providerRef : null,
    delayMs: queued ? end.delayMs : null,
    delays: queued && !end.ended ? delays + 1 : 0,
    ended: queued && end.ended,
  };
}

export const skipRow = ({ stage, position, attempt }: Asking, skip: Skip): MessageRow => ({
  stage,
  position,
  attempt,
  state: "skipped",
  code: skip.reason,
  cause: skip.detail,
  providerRef: null,
  delayMs: null,
  delays: 0,
  ended: false,
});

/** How the counters change by what was written, stage by stage. */
function countOf(written: readonly Written[]): CountChange[] {
  const byStage = new Map<number, Record<"accepted" | "failed" | "skipped" | "uncertain", number>>();
  for (const { stage, state } of written) {
    const change = byStage.get(stage) ?? { accepted: 0, failed: 0, skipped: 0, uncertain: 0 };
    byStage.set(stage, change);
    if (state !== "queued") change[state]++;
  }
  return [...byStage].map(([stage, change]) => ({ stage, ...change })).sort((a, b) => a.stage - b.stage);
}

/**
 * Appends the first outcomes of messages. What was in the table already stays and is not counted again, so this may be repeated.
 * `isNew`: none of them can be there. A message that becomes uncertain is accepted at once when its receipt came before our own
 * record. Returns what was new.
 */
export async function append(tx: Sql, campaignId: string, rows: readonly MessageRow[], isNew = false): Promise<readonly Written[]> {
  const plain = isNew ? rows.filter(isPlain) : [];
  const others = isNew ? rows.filter((row) => !isPlain(row)) : rows;
  const [, written] = await Promise.all([
    plain.length > 0 ? insertAccepted(tx, campaignId, plain) : null,
    others.length > 0 ? insertMessages(tx, campaignId, others) : [],
  ]);
  if (others.length === 0) return plain;
  await attemptsOf(tx, campaignId, others, written);
  return [...plain, ...(await withReceipts(tx, campaignId, written))];
}

/** As nearly all are: written once, and never looked at again by the engine. */
const isPlain = ({ state, stage, attempt }: MessageRow): boolean => state === "accepted" && stage === 1 && attempt === 1;

/** Keeps the attempts that ended in what was really written, and are followed by another. */
export async function attemptsOf(tx: Sql, campaignId: string, rows: readonly MessageRow[], written: readonly Written[]): Promise<void> {
  const ended = rows.filter((row) => row.ended && written.some((one) => one.stage === row.stage && one.position === row.position));
  if (ended.length > 0) await insertAttempts(tx, campaignId, ended);
}

/** The same list after receipts that were there before have settled what is uncertain in it. */
export async function withReceipts(tx: Sql, campaignId: string, written: readonly Written[]): Promise<Written[]> {
  const doubts = written.filter((one) => one.state === "uncertain").map((one) => one.position);
  if (doubts.length === 0) return [...written];
  const proved = await acceptByReceipt(tx, campaignId, doubts);
  return written.map((one) =>
    proved.some((p) => p.stage === one.stage && p.position === one.position) ? { ...one, state: "accepted" as const } : one,
  );
}

/** Adds what was written to the campaign's counters; the last statement of a turn. Returns the first stage's counters when they changed. */
export async function count(tx: Sql, campaignId: string, written: readonly Written[]): Promise<{ accepted: number; failed: number } | null> {
  let first: { accepted: number; failed: number } | null = null;
  for (const change of countOf(written)) {
    const [now] = await addCounts(tx, campaignId, change);
    if (change.stage === 1 && now !== undefined) first = now;
  }
  return first;
}

/**
 * An answer that came when somebody else held the message: nothing is written under the lot. It may lift a message that was put in
 * doubt, or cancel a further attempt that has not begun.
 */
export async function mergeLate(tx: Sql, ended: Ended, luck: number): Promise<void> {
  const { campaignId, stage, position, attempt } = ended.marked;
  const row = rowOf(ended, luck);
  if (row.state === "uncertain") return;
  if (row.state === "accepted") {
    const changed = await acceptLate(tx, campaignId, { stage, position, attempt, providerRef: row.providerRef ?? "" });
    await addProved(tx, campaignId, changed);
    return;
  }
  await lockMessage(tx, campaignId, row);
  await lockForGood(tx, campaignId);
  for (const { state } of await refuseLate(tx, campaignId, row)) {
    if (row.ended) await insertAttempts(tx, campaignId, [row]);
    await amend(tx, campaignId, { accepted: 0, failed: state === "failed" ? 1 : 0, uncertain: -1 });
    await addCounts(tx, campaignId, { stage, uncertain: -1, failed: state === "failed" ? 1 : 0 });
  }
}

/** Under the campaign's lock: a completion that is under way has counted the change, or its statement is there to be amended. */
async function amend(tx: Sql, campaignId: string, change: { accepted: number; failed: number; uncertain: number }): Promise<void> {
  await lockForGood(tx, campaignId);
  await amendStatement(tx, campaignId, change);
}

/** The counters after messages in doubt, or resends that had not begun, were proved to have been sent. */
export async function addProved(tx: Sql, campaignId: string, changed: readonly { stage: number; before: "uncertain" | "queued" }[]): Promise<void> {
  for (const stage of [...new Set(changed.map((one) => one.stage))].sort((a, b) => a - b)) {
    const here = changed.filter((one) => one.stage === stage);
    const doubts = here.filter((one) => one.before === "uncertain").length;
    await amend(tx, campaignId, { accepted: here.length, failed: 0, uncertain: -doubts });
    await addCounts(tx, campaignId, { stage, accepted: here.length, uncertain: -doubts });
  }
}
