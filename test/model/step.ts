import { at, bitOf, copy, type State } from "./state.ts";

/** The two engines. */
export type Place = 0 | 1;
export const nameOf = (engine: Place): string => (engine === 0 ? "Ann" : "Bob");

/** The successors of a state, each with what happened. */
export type Out = [name: string, next: State][];

export interface Happening {
  readonly s: State;
  readonly out: Out;
  readonly name: string;
}

export function step({ s, out, name }: Happening, change: (t: State) => void): void {
  const t = copy(s);
  change(t);
  out.push([name, t]);
}

export interface Transaction {
  /** What memory gives up before, whatever becomes of the COMMIT. */
  readonly before?: (t: State) => void;
  readonly write: (t: State) => void;
  /** What memory takes over when the COMMIT is confirmed, and when it is not. */
  readonly learn: (t: State) => void;
  readonly unknown?: (t: State) => void;
}

/** One transaction in its three endings: confirmed; done, but its engine does not hear of it; not done. */
export function commit({ s, out, name }: Happening, { before = () => {}, write, learn, unknown = () => {} }: Transaction): void {
  step({ s, out, name }, (t) => {
    before(t);
    write(t);
    learn(t);
  });
  if (s.budget.lostReply > 0)
    step({ s, out, name: `${name}, not confirmed` }, (t) => {
      t.budget.lostReply--;
      before(t);
      write(t);
      unknown(t);
    });
  if (s.budget.failedCommit > 0)
    step({ s, out, name: `${name}, not committed` }, (t) => {
      t.budget.failedCommit--;
      before(t);
      unknown(t);
    });
}

/** A call begins: the vendor takes the message, or will refuse it. */
export function begin(
  { s, out, name }: Happening,
  call: { position: number; attempt: number; set: (t: State, to: "taken" | "refusing") => void },
): void {
  const { position, attempt, set } = call;
  step({ s, out, name: `${name} sends ${position}` }, (t) => {
    t.sent[position] = at(t.sent, position) + 1;
    t.coming[position] = at(t.coming, position) | bitOf(attempt);
    set(t, "taken");
  });
  if (s.budget.refusal > 0)
    step({ s, out, name: `${name} sends ${position}, to be refused` }, (t) => {
      t.budget.refusal--;
      set(t, "refusing");
    });
}

/** A call ends with its answer, or without one. */
export function answer(
  { s, out, name }: Happening,
  call: { position: number; is: "taken" | "refusing"; set: (t: State, to: "accepted" | "refused" | "uncertain") => void },
): void {
  const { position, is, set } = call;
  step({ s, out, name: `${name} hears of ${position}` }, (t) => set(t, is === "taken" ? "accepted" : "refused"));
  if (s.budget.silence > 0)
    step({ s, out, name: `${name} hears nothing of ${position}` }, (t) => {
      t.budget.silence--;
      t.excused = true;
      set(t, "uncertain");
    });
}
