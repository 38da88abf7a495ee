import { append, canProve, canResend, count, prove, resend, tally, unsentState, write } from "./message-rows.ts";
import { at, bitOf, follows, REPLY, type State } from "./state.ts";
import { nameOf, type Out, step } from "./step.ts";

/** What time and people do, and the loops that settle, close and complete. */
export function campaignSteps(s: State, out: Out): void {
  crashes(s, out);
  expiries(s, out);
  orders(s, out);
  receipts(s, out);
  settling(s, out);
  closing(s, out);
}

/** What can happen before an open settlement is committed: whatever needs no lock on its row. */
export function openSteps(s: State, out: Out): void {
  if (s.open === null) return;
  const { kind, position, stated } = s.open;
  step({ s, out, name: `… of ${position}: committed` }, (t) => {
    t.open = null;
    if (kind === "prove") prove(t, position, stated);
    else resend(t, position);
  });
  orders(s, out);
  closing(s, out);
}

function crashes(s: State, out: Out): void {
  if (s.budget.crash === 0) return;
  for (const engine of [0, 1] as const) {
    const { hold, due } = s.engines[engine];
    if (hold === null && due === null) continue;
    step({ s, out, name: `${nameOf(engine)} crashes` }, (t) => {
      t.budget.crash--;
      t.excused = true;
      t.engines[engine] = { hold: null, due: null };
    });
  }
}

/** A lease whose holder is gone runs out by itself; the holder of any other must have been frozen. */
function expiries(s: State, out: Out): void {
  const expire = (name: string, lives: boolean, end: (t: State) => void) => {
    if (lives && s.budget.freeze === 0) return;
    step({ s, out, name: `the lease of ${name} runs out` }, (t) => {
      if (lives) t.budget.freeze--;
      t.excused ||= lives;
      end(t);
    });
  };
  for (const [i, { first, held, leased }] of s.lots.entries()) {
    const lives = s.engines.some(({ hold }) => hold?.first === first && hold.valid && !hold.lost);
    if (held && leased) expire(`lot ${first}`, lives, (t) => Object.assign(at(t.lots, i), { leased: false }));
  }
  for (const [p, { state, leased }] of s.rows.entries()) {
    const lives = s.engines.some(({ due }) => due?.position === p && due.valid);
    if (state === "handing" && leased) expire(`message ${p}`, lives, (t) => Object.assign(at(t.rows, p), { leased: false }));
  }
}

function orders(s: State, out: Out): void {
  const { campaign, budget } = s;
  const order = (name: string, kind: "pause" | "stop" | "optOut" | "optIn", change: Partial<State>) => {
    if (budget[kind] === 0) return;
    step({ s, out, name }, (t) => {
      t.budget[kind]--;
      Object.assign(t, change);
    });
  };
  if (campaign === "running") order("the campaign is paused", "pause", { campaign: "paused" });
  if (campaign === "running" || campaign === "paused") order("the campaign is stopped", "stop", { campaign: "stopped" });
  if (campaign === "paused")
    step({ s, out, name: "the campaign goes on" }, (t) => {
      t.campaign = "running";
    });
  if (s.suppressed) order("somebody opts in again", "optIn", { suppressed: false });
  else order("somebody opts out", "optOut", { suppressed: true });
}

function receipts(s: State, out: Out): void {
  for (const [p, coming] of s.coming.entries()) {
    for (let attempt = 1; bitOf(attempt) <= coming; attempt++) {
      if ((coming & bitOf(attempt)) === 0) continue;
      step({ s, out, name: `a receipt of ${p}, attempt ${attempt}, is stored` }, (t) => {
        t.coming[p] = coming & ~bitOf(attempt);
        t.known[p] = at(t.known, p) | bitOf(attempt);
      });
    }
    if (s.budget.reply > 0 && at(s.rows, p).state === "uncertain")
      step({ s, out, name: `${p} replies` }, (t) => {
        t.budget.reply--;
        t.known[p] = at(t.known, p) | REPLY;
      });
  }
}

function settling(s: State, out: Out): void {
  for (const [p, row] of s.rows.entries()) {
    if (row.state === "handing" && !row.leased)
      step({ s, out, name: `${p} is found forsaken` }, (t) => {
        for (const { due } of t.engines) if (due?.position === p) due.valid = false;
        count(t, write(t, p, { state: "uncertain" }));
      });
    if (follows(s, "sweep") && canProve(s, p)) settlement(s, out, { kind: "prove", position: p });
    if (canResend(s, p)) settlement(s, out, { kind: "resend", position: p });
  }
}

/** Without the campaign's lock, what a settlement looked at may be over when it is committed. */
function settlement(s: State, out: Out, { kind, position }: { kind: "prove" | "resend"; position: number }): void {
  const stated = s.statement !== null;
  const name = kind === "prove" ? `a receipt settles ${position}` : `${position} is to be sent again`;
  if (follows(s, "settlementLocksCampaign")) step({ s, out, name }, (t) => (kind === "prove" ? prove(t, position, stated) : resend(t, position)));
  else
    step({ s, out, name: `${name}: begun` }, (t) => {
      t.open = { kind, position, stated };
    });
}

function closing(s: State, out: Out): void {
  if (s.campaign === "running") complete(s, out);
  if (s.campaign !== "stopped" || s.statement !== null) return;
  for (const p of s.rows.keys()) if (s.open?.position !== p) skipRest(s, out, p);
  for (const { first, end, held } of s.lots)
    if (!held && s.rows.slice(first, end).every((row) => row.state !== "none"))
      step({ s, out, name: `the full lot ${first} is dropped` }, (t) => {
        t.lots = t.lots.filter((lot) => lot.first !== first);
      });
  if (s.counts.reduce((sum, n) => sum + n, 0) === s.rows.length)
    step({ s, out, name: "the statement is given" }, (t) => {
      t.statement = tally(t);
    });
}

function skipRest(s: State, out: Out, p: number): void {
  const row = at(s.rows, p);
  const lot = s.lots.find(({ first, end }) => first <= p && p < end);
  const unmarked = lot === undefined || p >= lot.mark || !follows(s, "closesUnmarked");
  if (row.state === "none" && unmarked) step({ s, out, name: `${p} is skipped` }, (t) => append(t, p, "skipped"));
  if (row.state === "queued")
    step({ s, out, name: `${p} is not tried again` }, (t) => count(t, write(t, p, { state: unsentState(t, row, "skipped") })));
}

function complete(s: State, out: Out): void {
  const has = (...states: string[]) => s.rows.some(({ state }) => states.includes(state));
  if (s.lots.length > 0 || has("none") || (has("queued", "handing") && follows(s, "waitsForOpen"))) return;
  if (has("uncertain") && s.world.onUncertain === "resend") return;
  step({ s, out, name: "the campaign completes" }, (t) => {
    t.campaign = "completed";
    t.statement = tally(t);
  });
}
