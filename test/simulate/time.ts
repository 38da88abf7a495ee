import type { Clock } from "../../src/runtime/clock.ts";
import type { Luck } from "../../src/runtime/luck.ts";

/** Something that will happen at `at` (milliseconds since the world began), to `owner` if it has one. */
interface Coming {
  at: number;
  /** What was planned first happens first when two come at the same instant. */
  readonly order: number;
  readonly act: () => void;
  readonly owner: Process | null;
  cancelled: boolean;
}

/** A process of the world: an engine, the operator, the inbox. While it is frozen nothing happens to it; when it is dead, never again. */
export interface Process {
  readonly name: string;
  readonly clock: Clock;
  dead: boolean;
  frozenUntil: number;
}

export interface Time {
  /** Milliseconds since the world began. */
  readonly now: number;
  /** How many things have happened. */
  readonly steps: number;
  /** Plans `act` in `ms`; to a frozen owner it happens when it thaws, to a dead one not at all. Returns what takes it back. */
  after(ms: number, act: () => void, owner?: Process | null): () => void;
  sleep(ms: number): Promise<void>;
  process(name: string): Process;
  /** Lets time pass until `isOver`, or until nothing is planned, `limitMs` or `stepsMax` is reached. Returns whether it is over. */
  run(isOver: () => boolean, limits: { limitMs: number; stepsMax: number }): Promise<boolean>;
}

/** Asked before something happens to a process: may kill or freeze it. */
export type Fate = (process: Process) => void;

/** Timers fire late: nearly always by less than a millisecond, now and then by as much as the rest of the process keeps the thread. */
const LATE_MS = 0.8;
const BUSY_SHARE = 0.01;
const BUSY_MS = 120;
/** Clocks of two machines run apart by at most so much. */
const DRIFT_MAX = 0.0002;

/**
 * Virtual time. Exactly one thing happens at once; before the next one everything that follows from it has run, for all of it hangs
 * on promises and none of it on the real world. So what happens is a function of the seed.
 */
export function createTime(luck: Luck, fate: Fate): Time {
  const heap: Coming[] = [];
  let now = 0;
  let order = 0;
  let steps = 0;

  function after(ms: number, act: () => void, owner: Process | null = null): () => void {
    const coming: Coming = { at: now + Math.max(0, ms), order: order++, act, owner, cancelled: false };
    push(heap, coming);
    return () => {
      coming.cancelled = true;
    };
  }

  /** The next thing that really happens; what comes to the frozen is put off. */
  function next(limitMs: number): Coming | null {
    for (let coming = pop(heap); coming !== undefined; coming = pop(heap)) {
      const { owner } = coming;
      if (coming.cancelled || owner?.dead === true) continue;
      if (coming.at > limitMs) {
        push(heap, coming);
        return null;
      }
      now = coming.at;
      if (owner !== null) fate(owner);
      if (owner === null || (!owner.dead && owner.frozenUntil <= now)) return coming;
      if (!owner.dead) push(heap, { ...coming, at: owner.frozenUntil });
    }
    return null;
  }

  function process(name: string): Process {
    const origin = luck.next() * 1e6;
    const rate = 1 + (luck.next() * 2 - 1) * DRIFT_MAX;
    const one: Process = {
      name,
      dead: false,
      frozenUntil: 0,
      clock: { now: () => new Date(EPOCH + now), monotonicMs: () => origin + now * rate, sleep },
    };
    function sleep(ms: number, signal?: AbortSignal): Promise<void> {
      if (signal?.aborted === true) return Promise.resolve();
      return new Promise((resolve) => {
        const lateMs = luck.next() * (luck.next() < BUSY_SHARE ? BUSY_MS : LATE_MS);
        const cancel = after(Math.max(0, ms) / rate + lateMs, wake, one);
        function wake(): void {
          cancel();
          signal?.removeEventListener("abort", wake);
          resolve();
        }
        signal?.addEventListener("abort", wake, { once: true });
      });
    }
    return one;
  }

  return {
    get now() {
      return now;
    },
    get steps() {
      return steps;
    },
    after,
    sleep: (ms) => new Promise((resolve) => void after(ms, resolve)),
    process,
    async run(isOver, { limitMs, stepsMax }) {
      await settled();
      while (!isOver()) {
        const coming = steps < stepsMax ? next(limitMs) : null;
        if (coming === null) return false;
        steps++;
        coming.act();
        await settled();
      }
      return true;
    },
  };
}

/** The instant at which every world begins. */
export const EPOCH = Date.parse("2026-03-02T09:00:00.000Z");

/** Every promise that can go on has gone on. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

const isBefore = (a: Coming, b: Coming) => a.at < b.at || (a.at === b.at && a.order < b.order);

function push(heap: Coming[], coming: Coming): void {
  let i = heap.length;
  while (i > 0) {
    const up = (i - 1) >> 1;
    const parent = heap[up];
    if (parent === undefined || isBefore(parent, coming)) break;
    heap[i] = parent;
    i = up;
  }
  heap[i] = coming;
}

function pop(heap: Coming[]): Coming | undefined {
  const [first] = heap;
  const last = heap.pop();
  if (last === undefined || first === undefined || heap.length === 0) return first;
  let i = 0;
  for (;;) {
    const [left, right] = [heap[2 * i + 1], heap[2 * i + 2]];
    if (left === undefined) break;
    const [child, at] = right !== undefined && isBefore(right, left) ? [right, 2 * i + 2] : [left, 2 * i + 1];
    if (isBefore(last, child)) break;
    heap[i] = child;
    i = at;
  }
  heap[i] = last;
  return first;
}
