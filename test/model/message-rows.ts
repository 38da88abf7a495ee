import { at, type Counts, follows, REPLY, type Row, type RowState, type State, upTo } from "./state.ts";

/** Refusals of one message until it fails. */
const ATTEMPTS_MAX = 2;

const places: Partial<Record<RowState, number>> = { accepted: 0, failed: 1, skipped: 2, uncertain: 3, doubted: 3 };

/** Adds to the campaign's counters what was written; `before` is what was there and counted. */
export function count(t: State, after: RowState, before: RowState = "none"): void {
  const [to, from] = [places[after], places[before]];
  if (to !== undefined) t.counts[to] = at(t.counts, to) + 1;
  if (from !== undefined) t.counts[from] = at(t.counts, from) - 1;
}

/** What the counters and the statement must say. */
export function tally(s: State): Counts {
  const counts: Counts = [0, 0, 0, 0];
  for (const { state } of s.rows) {
    const place = places[state];
    if (place !== undefined) counts[place] = at(counts, place) + 1;
  }
  return counts;
}

/** An amendment, when there is a statement (`stated`: as far as the writer knows). */
function amend(t: State, { after, before, stated }: { after: RowState; before: RowState; stated: boolean }): void {
  if (!stated || t.statement === null || !follows(t, "amends")) return;
  const [to, from] = [places[after], places[before]];
  if (to !== undefined) t.statement[to] = at(t.statement, to) + 1;
  if (from !== undefined) t.statement[from] = at(t.statement, from) - 1;
}

/** The latest attempt up to this one of which a receipt says that the vendor took it; 0: none. */
function provedAttempt(s: State, position: number, attempt: number): number {
  const proofs = at(s.known, position) & upTo(attempt);
  return proofs === 0 ? 0 : 31 - Math.clz32(proofs);
}

/** What came of one attempt. */
export interface Answer {
  readonly attempt: number;
  readonly outcome: "accepted" | "uncertain" | "refused";
}

/** What follows from one attempt's outcome. */
function settled(t: State, row: Row, { attempt, outcome }: Answer): Partial<Row> {
  if (outcome !== "refused") return { state: outcome, attempt };
  if (attempt < ATTEMPTS_MAX) return { state: "queued", attempt: attempt + 1 };
  return { state: unsentState(t, row, "failed"), attempt };
}

/** How a message ends that is known not to go: its earlier attempt may have arrived. */
export const unsentState = (t: State, row: Row, state: "failed" | "skipped"): RowState =>
  row.resent && follows(t, "doubtOutlivesResend") ? "doubted" : state;

/** Writes an outcome into a row that its writer holds; in doubt, it looks for receipts. Returns what it became. */
export function write(t: State, position: number, change: Partial<Row>): RowState {
  const row = Object.assign(at(t.rows, position), { leased: false }, change);
  const proved = row.state === "uncertain" ? provedAttempt(t, position, row.attempt) : 0;
  if (proved > 0) Object.assign(row, { state: "accepted", attempt: proved });
  return row.state;
}

/** Appends the first outcome of a message, unless it has a row. */
export function append(t: State, position: number, outcome: Answer["outcome"] | "skipped"): void {
  const row = at(t.rows, position);
  if (row.state !== "none") {
    if (!follows(t, "writesOnce")) count(t, outcome === "refused" ? "queued" : outcome);
    return;
  }
  count(t, write(t, position, outcome === "skipped" ? { state: "skipped", attempt: 1 } : settled(t, row, { attempt: 1, outcome })));
}

/** Stores the outcome of a due message that is handed over. */
export function storeDue(t: State, position: number, { attempt, outcome }: { attempt: number; outcome: Answer["outcome"] | "missed" }): void {
  const row = at(t.rows, position);
  count(t, write(t, position, outcome === "missed" ? { state: "queued", attempt } : settled(t, row, { attempt, outcome })));
}

/** An answer that came when its sender held the message no longer. */
export function merge(t: State, position: number, late: Answer): void {
  const row = at(t.rows, position);
  const before = row.state;
  const { attempt, outcome } = late;
  if (outcome === "uncertain" || before === "none") return;
  const compares = follows(t, "mergeCompares");
  const isDoubt = before === "uncertain" || before === "doubted";
  if (outcome === "accepted") {
    const lifts = (isDoubt && row.attempt >= attempt) || (before === "queued" && row.attempt > attempt);
    if (compares && !lifts) return;
    Object.assign(row, { state: "accepted", attempt, leased: false });
  } else {
    if (compares && !(before === "uncertain" && row.attempt === attempt)) return;
    const lives = t.campaign === "running" || t.campaign === "paused";
    Object.assign(row, lives ? settled(t, row, late) : { state: unsentState(t, row, "failed") }, { leased: false });
  }
  count(t, row.state, before);
  amend(t, { after: row.state, before, stated: true });
}

export const canProve = (s: State, position: number): boolean => {
  const { state, attempt } = at(s.rows, position);
  return (state === "uncertain" || state === "doubted" || state === "queued") && provedAttempt(s, position, attempt) > 0;
};

/** A receipt lifts what is in doubt, or cancels a resend that has not begun. */
export function prove(t: State, position: number, stated: boolean): void {
  if (!canProve(t, position)) return;
  const row = at(t.rows, position);
  const before = row.state;
  Object.assign(row, { state: "accepted", attempt: provedAttempt(t, position, row.attempt) });
  count(t, "accepted", before);
  amend(t, { after: "accepted", before, stated });
}

export function canResend(s: State, position: number): boolean {
  const { state, attempt } = at(s.rows, position);
  const heard = follows(s, "repliesProveNothing") ? upTo(attempt) : upTo(attempt) | REPLY;
  return s.world.onUncertain === "resend" && state === "uncertain" && s.campaign === "running" && (at(s.known, position) & heard) === 0;
}

export function resend(t: State, position: number): void {
  const row = at(t.rows, position);
  count(t, "queued", row.state);
  Object.assign(row, { state: "queued", attempt: row.attempt + 1, resent: true });
}
