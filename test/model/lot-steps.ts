import { append, merge } from "./message-rows.ts";
import { at, type Call, follows, type Hold, isSuppressed, type Lot, type State } from "./state.ts";
import { answer, begin, commit, nameOf, type Out, type Place, step } from "./step.ts";

function holdOf(s: State, engine: Place): Hold {
  const { hold } = s.engines[engine];
  if (hold === null) throw new Error("the model's engine holds no lot");
  return hold;
}
const lotOf = (s: State, first: number): Lot | undefined => s.lots.find((lot) => lot.first === first);
const positionsOf = (hold: Hold, ...calls: Call[]): number[] => hold.calls.flatMap((call, p) => (calls.includes(call) ? [p] : []));
const endedOf = (hold: Hold): { p: number; outcome: "accepted" | "uncertain" | "refused" }[] =>
  hold.calls.flatMap((call, p) => (call === "accepted" || call === "uncertain" || call === "refused" ? [{ p, outcome: call }] : []));

/** All that one engine can do next with lots. */
export function lotSteps(s: State, engine: Place, out: Out): void {
  const { hold } = s.engines[engine];
  if (hold === null) {
    take(s, engine, out);
    return;
  }
  const name = nameOf(engine);
  const setter = (p: number) => (t: State, call: Call) => {
    holdOf(t, engine).calls[p] = call;
  };
  for (const [p, call] of hold.calls.entries())
    if (call === "taken" || call === "refusing") answer({ s, out, name }, { position: p, is: call, set: setter(p) });
  if (hold.lost) {
    mergeLate(s, engine, out);
    return;
  }
  const [next] = positionsOf(hold, "waits");
  if (next !== undefined) begin({ s, out, name }, { position: next, attempt: 1, set: setter(next) });
  miss(s, engine, out);
  if (hold.unsure) read(s, engine, out);
  else turn(s, engine, out);
  if (s.world.cuts && hold.unsure && hold.calls.every((call) => call === "none")) cut(s, engine, out);
}

/**
 * Leases a lot that is free, or whose lease ran out; what its former holder left without a row is in doubt. A forsaken lot of a
 * campaign that rests is free at once.
 */
function take(s: State, engine: Place, out: Out): void {
  const runs = s.campaign === "running";
  for (const { first, held, leased, mark, end } of s.lots) {
    if (held ? leased : !runs) continue;
    commit(
      { s, out, name: `${nameOf(engine)} ${runs ? "takes" : "recovers"} the lot ${first}–${end - 1}` },
      {
        write: (t) => {
          for (const { hold } of t.engines) if (hold?.first === first) hold.valid = false;
          Object.assign(lotOf(t, first) ?? {}, { held: runs, leased: runs });
          if (!follows(s, "recovery")) return;
          for (let p = first; p < mark; p++) if (at(t.rows, p).state === "none") append(t, p, "uncertain");
        },
        learn: (t) => {
          if (runs) t.engines[engine].hold = { first, end, mark, valid: true, lost: false, unsure: true, calls: s.rows.map(() => "none") };
        },
      },
    );
  }
}

/** Slots of the last of those who wait went by: they ask again, and the mark in memory goes back. */
function miss(s: State, engine: Place, out: Out): void {
  for (const from of positionsOf(holdOf(s, engine), "waits"))
    step({ s, out, name: `${nameOf(engine)} misses the slots from ${from}` }, (t) => dropWaiting(holdOf(t, engine), from));
}

function dropWaiting(hold: Hold, from = 0): void {
  const dropped = positionsOf(hold, "waits").filter((p) => p >= from);
  for (const p of dropped) hold.calls[p] = "asks";
  hold.mark = dropped[0] ?? hold.mark;
}

/** Reads who comes next. */
function read(s: State, engine: Place, out: Out): void {
  step({ s, out, name: `${nameOf(engine)} reads who is left` }, (t) => {
    const hold = holdOf(t, engine);
    const lot = lotOf(t, hold.first);
    if (!follows(s, "memoryIsTruth") && hold.valid && lot !== undefined) hold.mark = lot.mark;
    for (const p of positionsOf(hold, "asks")) hold.calls[p] = "none";
    for (let p = hold.mark; p < hold.end; p++) hold.calls[p] = at(t.rows, p).state === "none" || !follows(s, "readsRows") ? "asks" : "none";
    hold.unsure = false;
  });
}

function turn(s: State, engine: Place, out: Out): void {
  const hold = holdOf(s, engine);
  const lot = lotOf(s, hold.first);
  if (follows(s, "fencing") ? !hold.valid || lot?.held !== true : lot === undefined) {
    step({ s, out, name: `${nameOf(engine)} learns that the lot is lost` }, (t) => abandon(t, engine));
    return;
  }
  if (s.budget.error > 0)
    step({ s, out, name: `${nameOf(engine)} gives the lot up after an error` }, (t) => {
      t.budget.error--;
      t.excused = true;
      abandon(t, engine);
    });
  if (s.campaign !== "running" && follows(s, "looksAtCampaign")) giveBack(s, engine, { out, shutdown: false });
  else {
    mark(s, engine, { out, limited: false });
    if (s.budget.limit > 0) mark(s, engine, { out, limited: true });
    if (s.budget.shutdown > 0) giveBack(s, engine, { out, shutdown: true });
  }
}

/** Begins nothing more; answers that still come are merged. */
function abandon(t: State, engine: Place): void {
  const hold = holdOf(t, engine);
  hold.lost = true;
  for (const p of positionsOf(hold, "asks", "waits")) hold.calls[p] = "none";
  leaveIfIdle(t, engine);
}

/** Stores the outcomes that came back. */
function settle(t: State, hold: Hold): void {
  for (const { p, outcome } of endedOf(hold)) append(t, p, outcome);
}
function forgetSettled(hold: Hold): void {
  for (const { p } of endedOf(hold)) hold.calls[p] = "none";
}

/** Marks nothing more; the lot is left once its last call has ended. */
function giveBack(s: State, engine: Place, { out, shutdown }: { out: Out; shutdown: boolean }): void {
  const left = positionsOf(holdOf(s, engine), "taken", "refusing").length === 0;
  const [earliest] = positionsOf(holdOf(s, engine), "waits");
  const drop = (t: State) => dropWaiting(holdOf(t, engine));
  commit(
    { s, out, name: `${nameOf(engine)} gives back${shutdown ? " as it ends" : ""}` },
    {
      before: (t) => {
        if (shutdown) t.budget.shutdown--;
        if (follows(s, "dropFirst")) drop(t);
      },
      write: (t) => {
        const hold = holdOf(t, engine);
        settle(t, hold);
        Object.assign(lotOf(t, hold.first) ?? {}, { mark: earliest ?? hold.mark, held: !left, leased: !left });
      },
      learn: (t) => {
        drop(t);
        forgetSettled(holdOf(t, engine));
        if (left) t.engines[engine].hold = null;
      },
      unknown: (t) => {
        holdOf(t, engine).unsure = true;
      },
    },
  );
}

interface Volley {
  readonly granted: readonly number[];
  readonly skipped: readonly number[];
  readonly mark: number;
  /** Somebody asks who may not go now. */
  readonly limited: boolean;
}

function admit(s: State, hold: Hold, room: number): Volley {
  const granted: number[] = [];
  const skipped: number[] = [];
  let mark = hold.mark;
  for (const p of positionsOf(hold, "asks")) {
    if (isSuppressed(s, p)) skipped.push(p);
    else if (granted.length < room) granted.push(p);
    else return { granted, skipped, mark, limited: true };
    mark = p + 1;
  }
  return { granted, skipped, mark: hold.end, limited: false };
}

/** Settles, marks the next volley, and leaves the lot when nothing is left to wait for. */
function mark(s: State, engine: Place, { out, limited }: { out: Out; limited: boolean }): void {
  const unsettled = positionsOf(holdOf(s, engine), "waits", "taken", "refusing").length;
  const volley = admit(s, holdOf(s, engine), limited ? 0 : s.world.window - unsettled);
  if (limited && !volley.limited) return;
  const leaves = volley.granted.length === 0 && unsettled === 0;
  const remember = (t: State) => {
    const hold = holdOf(t, engine);
    for (const p of volley.skipped) hold.calls[p] = "none";
    for (const p of volley.granted) hold.calls[p] = "waits";
    hold.mark = volley.mark;
  };
  commit(
    { s, out, name: `${nameOf(engine)} marks [${volley.granted}]${leaves ? " and leaves" : ""}` },
    {
      before: (t) => {
        if (limited) t.budget.limit--;
      },
      write: (t) => {
        const hold = holdOf(t, engine);
        settle(t, hold);
        for (const p of volley.skipped) append(t, p, "skipped");
        const lot = lotOf(t, hold.first);
        if (lot === undefined) return;
        Object.assign(lot, { mark: volley.mark, held: !leaves, leased: !leaves });
        const isFull = t.rows.slice(lot.first, lot.end).every((row) => row.state !== "none");
        if (leaves && !volley.limited && (isFull || !follows(s, "closesFull"))) t.lots.splice(t.lots.indexOf(lot), 1);
      },
      learn: (t) => {
        forgetSettled(holdOf(t, engine));
        remember(t);
        if (leaves) t.engines[engine].hold = null;
      },
      unknown: (t) => {
        holdOf(t, engine).unsure = true;
        if (!follows(s, "markFirst")) remember(t);
      },
    },
  );
}

/** `execute-batch` cuts a lot it has just taken; what is behind the cut is a free lot. */
function cut(s: State, engine: Place, out: Out): void {
  const hold = holdOf(s, engine);
  const end = hold.mark + 1;
  const lot = lotOf(s, hold.first);
  if (end >= hold.end || !hold.valid || lot === undefined || lot.mark > end) return;
  commit(
    { s, out, name: `${nameOf(engine)} cuts the lot at ${end}` },
    {
      write: (t) => {
        Object.assign(lotOf(t, hold.first) ?? {}, { end });
        t.lots.push({ first: end, end: lot.end, mark: end, held: false, leased: false });
        t.lots.sort((a, b) => a.first - b.first);
      },
      learn: (t) => {
        if (follows(s, "cutShortens")) holdOf(t, engine).end = end;
      },
      unknown: (t) => {
        t.engines[engine].hold = null;
      },
    },
  );
}

/** The lot is somebody else's, or nobody's: each answer that still comes is merged by its reference. */
function mergeLate(s: State, engine: Place, out: Out): void {
  for (const { p, outcome } of endedOf(holdOf(s, engine)))
    commit(
      { s, out, name: `${nameOf(engine)} merges its late answer to ${p}` },
      {
        write: (t) => merge(t, p, { attempt: 1, outcome }),
        learn: (t) => {
          holdOf(t, engine).calls[p] = "none";
          leaveIfIdle(t, engine);
        },
      },
    );
}

function leaveIfIdle(t: State, engine: Place): void {
  if (holdOf(t, engine).calls.every((call) => call === "none")) t.engines[engine].hold = null;
}
