/** A model to be explored: a start, what can follow a state, and what may never be true of one. */
export interface Model<S> {
  readonly start: S;
  readonly keyOf: (state: S) => string;
  readonly next: (state: S) => readonly (readonly [name: string, next: S])[];
  /** The name of what is wrong with a state; null: nothing. */
  readonly fault: (state: S) => string | null;
  /** Goals by name, of which each must be within reach of every state. */
  readonly goals: Readonly<Record<string, (state: S) => boolean>>;
}

export interface Explored {
  readonly states: number;
  readonly steps: number;
  /** The first violation found, which is one of the shortest; null: there is none. */
  readonly violation: { readonly name: string; readonly trace: readonly string[] } | null;
}

/**
 * Visits every state, breadth first, and then asks backwards from each goal which states cannot reach it any more: not even going
 * round in circles hides that nothing comes of it.
 */
export function explore<S>({ start, keyOf, next, fault, goals }: Model<S>): Explored {
  const numbers = new Map([[keyOf(start), 0]]);
  const parents = [-1];
  const names = [""];
  const from: number[] = [];
  const to: number[] = [];
  const reached = Object.entries(goals).map(([name, holds]) => ({ name, holds, at: [] as number[] }));
  const trace = (state: number): string[] => (state <= 0 ? [] : [...trace(parents[state] ?? 0), names[state] ?? ""]);
  const found = (name: string, state: number): Explored => ({ states: numbers.size, steps: from.length, violation: { name, trace: trace(state) } });
  let states: (S | undefined)[] = [start];
  for (let i = 0; i < states.length; i++) {
    const state = states[i];
    if (state === undefined) continue;
    states[i] = undefined;
    const name = fault(state);
    if (name !== null) return found(name, i);
    for (const goal of reached) if (goal.holds(state)) goal.at.push(i);
    for (const [step, after] of next(state)) {
      const key = keyOf(after);
      let number = numbers.get(key);
      if (number === undefined) {
        number = states.length;
        numbers.set(key, number);
        states.push(after);
        parents.push(i);
        names.push(step);
      }
      from.push(i);
      to.push(number);
    }
  }
  states = [];
  for (const goal of reached) {
    const lost = firstBeyond(goal.at, { from, to, count: numbers.size });
    if (lost !== null) return found(goal.name, lost);
  }
  return { states: numbers.size, steps: from.length, violation: null };
}

/** The first state from which none of `goals` can be reached; null: there is none. */
function firstBeyond(
  goals: readonly number[],
  { from, to, count }: { from: readonly number[]; to: readonly number[]; count: number },
): number | null {
  const begin = new Int32Array(count + 2);
  for (const state of to) begin[state + 2] = (begin[state + 2] ?? 0) + 1;
  for (let i = 1; i < begin.length; i++) begin[i] = (begin[i] ?? 0) + (begin[i - 1] ?? 0);
  const before = new Int32Array(from.length);
  for (const [i, state] of to.entries()) {
    const place = begin[state + 1] ?? 0;
    before[place] = from[i] ?? 0;
    begin[state + 1] = place + 1;
  }
  const reaches = new Uint8Array(count);
  const stack = [...goals];
  for (const goal of goals) reaches[goal] = 1;
  for (let state = stack.pop(); state !== undefined; state = stack.pop()) {
    for (const previous of before.subarray(begin[state], begin[state + 1])) {
      if (reaches[previous] === 1) continue;
      reaches[previous] = 1;
      stack.push(previous);
    }
  }
  const lost = reaches.indexOf(0);
  return lost === -1 ? null : lost;
}
