import type { Dice } from "./dice.ts";
import type { Fault, Line } from "./memory/driver.ts";
import type { Misfortunes, Plan } from "./plan.ts";
import type { Process, Time } from "./time.ts";

export type Misfortune = keyof Misfortunes | "restart";

export interface Trouble extends Omit<Line, "trace"> {
  /** How often each misfortune has happened. */
  readonly happened: Record<Misfortune, number>;
  /** When a process was frozen, and until when. */
  readonly freezes: readonly { readonly process: Process; readonly atMs: number; readonly untilMs: number }[];
}

export interface TroubleOptions {
  readonly plan: Plan;
  readonly dice: Dice;
  readonly time: () => Time;
  readonly isEngine: (process: Process) => boolean;
  readonly onCrash: (process: Process) => void;
  readonly onFreeze: (process: Process) => void;
  readonly onStop: (process: Process) => void;
}

/** What Postgres or the system may say instead of an answer; the same may succeed in a moment (runtime/postgres.ts, isPassing). */
const PASSING_CODES = ["57014", "53100", "53200", "40P01", "25006"];

const UNNOTICED_MAX_MS = 10_000;

/** Draws, effect by effect, what goes wrong with the engines and with the line to the database. */
export function createTrouble({ plan, dice, time, isEngine, onCrash, onFreeze, onStop }: TroubleOptions): Trouble {
  const left = { ...plan.misfortunes };
  const happened = { crash: 0, freeze: 0, stop: 0, lost: 0, error: 0, restart: 0 };
  const freezes: { process: Process; atMs: number; untilMs: number }[] = [];
  const gap = () => 1 + Math.floor(dice.between(0, 2) * plan.misfortuneEvery);
  let untilStrike = gap();
  let untilFault = gap();
  /** A fault waits for a COMMIT: that one hurts most. */
  let atCommit = dice.chance(0.5);

  function count(kind: keyof Misfortunes): void {
    left[kind]--;
    happened[kind]++;
  }

  function strike(process: Process): void {
    if (!isEngine(process) || process.dead || process.frozenUntil > time().now || --untilStrike > 0) return;
    untilStrike = gap();
    const { crash, freeze, stop } = left;
    if (crash + freeze + stop === 0) {
      untilStrike = Number.POSITIVE_INFINITY;
      return;
    }
    const kind = dice.weighted({ crash, freeze, stop });
    count(kind);
    if (kind === "crash") {
      process.dead = true;
      onCrash(process);
    } else if (kind === "stop") onStop(process);
    else {
      process.frozenUntil = time().now + freezeMs();
      freezes.push({ process, atMs: time().now, untilMs: process.frozenUntil });
      onFreeze(process);
    }
  }

  /** A moment, nearly a lease, beyond the lease, or for so long that what is in doubt is sent again. */
  function freezeMs(): number {
    const [min, max] = dice.pick([
      [5, 400],
      [3_000, 21_000],
      [20_000, 75_000],
      [960_000, 3_000_000],
    ] as const);
    return dice.between(min, max);
  }

  function faultOf(name: string, process: Process): Fault | null {
    if (!isEngine(process) || --untilFault > 0) return null;
    if (atCommit && name !== "commit") return null;
    untilFault = gap();
    atCommit = dice.chance(0.5);
    const { lost, error } = left;
    if (lost + error === 0) {
      untilFault = Number.POSITIVE_INFINITY;
      return null;
    }
    const kind = dice.weighted({ lost, error });
    count(kind);
    return kind === "lost" ? { kind, when: dice.chance(0.5) ? "before" : "after" } : { kind, code: dice.pick(PASSING_CODES) };
  }

  const { travelMs, workMs, slow } = plan.database;
  return {
    happened,
    freezes,
    strike,
    faultOf,
    travelMs: () => travelMs * dice.between(0.5, 1.5) * (dice.chance(slow) ? 100 : 1),
    workMs: (name) => (name === "commit" ? 4 : 1) * workMs * dice.between(0.3, 1.7) + (dice.chance(slow) ? dice.scale(5, 2_000) : 0),
    gapMs: () => (dice.chance(0.1) ? dice.between(0, 3) : 0),
    noticeMs: () => (dice.chance(0.85) ? dice.between(0, 20) : dice.scale(20, UNNOTICED_MAX_MS)),
    refusesUntil: () => plan.restarts.reduce((until, { atMs, forMs }) => (atMs <= time().now ? Math.max(until, atMs + forMs) : until), 0),
  };
}
