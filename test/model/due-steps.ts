import { canProve, count, merge, storeDue, unsentState, write } from "./message-rows.ts";
import { at, type Call, type Due, follows, isSuppressed, type State } from "./state.ts";
import { answer, begin, commit, nameOf, type Out, type Place, step } from "./step.ts";

function dueOf(s: State, engine: Place): Due {
  const { due } = s.engines[engine];
  if (due === null) throw new Error("the model's engine has no due message");
  return due;
}

/** All that one engine can do next with due messages: retries and resends. */
export function dueSteps(s: State, engine: Place, out: Out): void {
  const { due } = s.engines[engine];
  if (due === null) {
    for (const position of s.rows.keys()) claim(s, engine, { out, position });
    return;
  }
  const { position, attempt, call } = due;
  const name = nameOf(engine);
  const set = (t: State, to: Call) => {
    dueOf(t, engine).call = to;
  };
  if (call === "waits") {
    begin({ s, out, name }, { position, attempt, set });
    step({ s, out, name: `${name} misses the slot of ${position}` }, (t) => set(t, "missed"));
  } else if (call === "taken" || call === "refusing") answer({ s, out, name }, { position, is: call, set });
  else settle(s, engine, out);
}

/** The mark of a due message; whoever may not be written to any more is skipped instead. */
function claim(s: State, engine: Place, { out, position }: { out: Out; position: number }): void {
  const { state, attempt } = at(s.rows, position);
  const proved = canProve(s, position);
  if (s.campaign !== "running" && follows(s, "looksAtCampaign")) return;
  if (state !== "queued" || (proved && follows(s, "claimReadsReceipts"))) return;
  if (isSuppressed(s, position)) {
    step({ s, out, name: `${nameOf(engine)} skips ${position}` }, (t) =>
      count(t, write(t, position, { state: unsentState(t, at(t.rows, position), "skipped") })),
    );
    return;
  }
  const remember = (t: State) => {
    t.engines[engine].due = { position, attempt, valid: true, call: "waits" };
  };
  commit(
    { s, out, name: `${nameOf(engine)} claims ${position}` },
    {
      write: (t) => {
        Object.assign(at(t.rows, position), { state: "handing", leased: true });
        t.needless ||= proved;
      },
      learn: remember,
      unknown: (t) => {
        t.excused = true;
        if (!follows(s, "claimFirst")) remember(t);
      },
    },
  );
}

/** Stores what came back under the claim's token; under a stale one it is merged. */
function settle(s: State, engine: Place, out: Out): void {
  const { position, attempt, valid, call } = dueOf(s, engine);
  if (call !== "accepted" && call !== "uncertain" && call !== "refused" && call !== "missed") return;
  const holds = at(s.rows, position).state === "handing" && (valid || !follows(s, "claimFencing"));
  commit(
    { s, out, name: `${nameOf(engine)} stores the outcome of ${position}` },
    {
      write: (t) => {
        if (!holds && call !== "missed") merge(t, position, { attempt, outcome: call });
        if (!holds) return;
        for (const { due } of t.engines) if (due?.position === position) due.valid = false;
        storeDue(t, position, { attempt, outcome: call });
      },
      learn: (t) => {
        t.engines[engine].due = null;
      },
    },
  );
}
