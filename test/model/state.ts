import { type Budget, happenings, type Rule, type World } from "./world.ts";

/**
 * What the database holds and what two engines remember, made so small that every state can be visited. Positions count from 0, and
 * `mark` and `end` are the first position behind: those below a lot's mark may have left.
 */

type CampaignState = "running" | "paused" | "stopped" | "completed";

/** `doubted`: uncertain for good; an earlier attempt may have arrived and no further one will be made. */
export type RowState = "none" | "queued" | "handing" | "accepted" | "failed" | "skipped" | "uncertain" | "doubted";

export interface Row {
  state: RowState;
  attempt: number;
  /** Of a message that is handed over: its lease still runs. */
  leased: boolean;
  /** An earlier attempt was in doubt when this one was queued. */
  resent: boolean;
}

export interface Lot {
  first: number;
  end: number;
  mark: number;
  held: boolean;
  /** The holder's lease still runs. */
  leased: boolean;
}

/**
 * What an engine remembers of one message: it asks to be marked, or waits for its slot; it is on its way and the vendor takes it, or
 * will refuse it; or the outcome is known and not stored. `missed`: marked, but its slot went by.
 */
export type Call = "none" | "asks" | "waits" | "taken" | "refusing" | "accepted" | "uncertain" | "refused" | "missed";

/** A lot in an engine's memory. */
export interface Hold {
  first: number;
  end: number;
  mark: number;
  /** Its token is still the lot's; the engine itself learns that only in a transaction. */
  valid: boolean;
  /** It has learnt that the lot is somebody else's. */
  lost: boolean;
  /** A COMMIT was not confirmed, or the lot was just taken: who asks must be read. */
  unsure: boolean;
  calls: Call[];
}

/** A due message in an engine's memory. */
export interface Due {
  position: number;
  attempt: number;
  valid: boolean;
  call: Call;
}

interface Engine {
  hold: Hold | null;
  due: Due | null;
}

/** accepted, failed, skipped, uncertain */
export type Counts = [number, number, number, number];

export interface State {
  readonly world: World;
  campaign: CampaignState;
  /** The closing statement with its amendments. */
  statement: Counts | null;
  counts: Counts;
  rows: Row[];
  lots: Lot[];
  engines: [Engine, Engine];
  /** How often the vendor took a message of this position. */
  sent: number[];
  /** Receipts that will come, and those that are stored: one bit for each attempt, bit 0 for a reply. */
  coming: number[];
  known: number[];
  suppressed: boolean;
  budget: Budget;
  /** Something happened that may leave a message in doubt. */
  excused: boolean;
  /** A message was sent again although a stored receipt said that it had arrived. */
  needless: boolean;
  /** A settlement that has looked at the campaign and is not committed (only without the rule `settlementLocksCampaign`). */
  open: { kind: "prove" | "resend"; position: number; stated: boolean } | null;
}

const nothing = Object.fromEntries(Object.keys(happenings).map((name) => [name, 0])) as Budget;

export function start(world: World): State {
  const each = <T>(make: () => T): T[] => Array.from({ length: world.positions }, make);
  return {
    world,
    campaign: "running",
    statement: null,
    counts: [0, 0, 0, 0],
    rows: each(() => ({ state: world.lots ? "none" : "queued", attempt: world.lots ? 0 : 1, leased: false, resent: false })),
    lots: world.lots ? [{ first: 0, end: world.positions, mark: 0, held: false, leased: false }] : [],
    engines: [
      { hold: null, due: null },
      { hold: null, due: null },
    ],
    sent: each(() => 0),
    coming: each(() => 0),
    known: each(() => 0),
    suppressed: world.suppressed.length > 0 && world.budget.optOut === undefined,
    budget: { ...nothing, ...world.budget },
    excused: false,
    needless: false,
    open: null,
  };
}

export const follows = ({ world }: State, rule: Rule): boolean => !world.off.includes(rule);
export const isSuppressed = (s: State, position: number): boolean => s.suppressed && s.world.suppressed.includes(position);

export function at<T>(list: readonly T[], index: number): T {
  const value = list[index];
  if (value === undefined) throw new Error(`the model has no ${index} of ${list.length}`);
  return value;
}

export const REPLY = 1;
export const bitOf = (attempt: number): number => 1 << attempt;
/** Bits of the attempts up to this one. */
export const upTo = (attempt: number): number => (1 << (attempt + 1)) - 2;

export function copy(s: State): State {
  return {
    world: s.world,
    campaign: s.campaign,
    statement: s.statement === null ? null : copyCounts(s.statement),
    counts: copyCounts(s.counts),
    rows: s.rows.map(copyRow),
    lots: s.lots.map(copyLot),
    engines: [copyEngine(s.engines[0]), copyEngine(s.engines[1])],
    sent: s.sent.slice(),
    coming: s.coming.slice(),
    known: s.known.slice(),
    suppressed: s.suppressed,
    budget: { ...s.budget },
    excused: s.excused,
    needless: s.needless,
    open: s.open,
  };
}

const copyCounts = ([a, b, c, d]: Counts): Counts => [a, b, c, d];
const copyRow = (row: Row): Row => ({ ...row });
const copyLot = (lot: Lot): Lot => ({ ...lot });
const copyEngine = ({ hold, due }: Engine): Engine => ({
  hold: hold === null ? null : { ...hold, calls: hold.calls.slice() },
  due: due === null ? null : { ...due },
});

const rowLetters: Record<RowState, string> = {
  none: ".",
  queued: "q",
  handing: "h",
  accepted: "A",
  failed: "F",
  skipped: "K",
  uncertain: "U",
  doubted: "D",
};
const callLetters: Record<Call, string> = {
  none: ".",
  asks: "q",
  waits: "w",
  taken: "t",
  refusing: "n",
  accepted: "A",
  uncertain: "U",
  refused: "R",
  missed: "m",
};
const flags = (a: boolean, b: boolean, c = false): number => (a ? 1 : 0) + (b ? 2 : 0) + (c ? 4 : 0);

/** The state as a short string; the two engines are alike, so their order does not matter. All numbers have one digit but the receipts. */
export function keyOf(s: State): string {
  let key = s.campaign.charAt(0);
  if (s.statement !== null) for (const n of s.statement) key += n;
  for (const row of s.rows) key += rowLetters[row.state] + row.attempt + flags(row.leased, row.resent);
  for (const lot of s.lots) key += `|${lot.first}${lot.end}${lot.mark}${flags(lot.held, lot.leased)}`;
  const a = engineKey(s.engines[0]);
  const b = engineKey(s.engines[1]);
  key += a < b ? `/${a}/${b}/` : `/${b}/${a}/`;
  for (const n of s.counts) key += n;
  for (const n of s.sent) key += n;
  for (const n of s.coming) key += `,${n}`;
  for (const n of s.known) key += `,${n}`;
  key += flags(s.suppressed, s.excused, s.needless);
  const { crash, freeze, lostReply, failedCommit, silence, refusal, pause, stop, shutdown, limit, reply, optOut, optIn, error } = s.budget;
  key += crash + 4 * (freeze + 4 * (lostReply + 4 * (failedCommit + 4 * (silence + 4 * (refusal + 4 * pause)))));
  key += `,${stop + 4 * (shutdown + 4 * (limit + 4 * (reply + 4 * (optOut + 4 * (optIn + 4 * error)))))}`;
  return s.open === null ? key : `${key}${s.open.kind}${s.open.position}${s.open.stated}`;
}

function engineKey({ hold, due }: Engine): string {
  let key = "";
  if (hold !== null) {
    key = `${hold.first}${hold.end}${hold.mark}${flags(hold.valid, hold.lost, hold.unsure)}`;
    for (const call of hold.calls) key += callLetters[call];
  }
  return due === null ? key : `${key}+${due.position}${due.attempt}${flags(due.valid, false)}${callLetters[due.call]}`;
}
