import type { TcpProxy } from "../support/proxy.ts";
import { type Child, type LogBook, type Program, start } from "./program.ts";
import type { Hands, Witness } from "./witness.ts";

const blows = ["KILL", "TERM", "STOP"] as const;
type Blow = (typeof blows)[number];

/** One engine that was hit. */
export interface Hit {
  readonly atMs: number;
  readonly engine: string;
  /** END: it stood still, goes on, and is told to end; part of its STOP. */
  readonly how: Blow | "END";
  /** What it had on its hands: KILL and STOP, when it ended or stood still; TERM, when it was told. */
  readonly had: Hands;
  /** What it left for others to recover. */
  readonly left: Hands;
  /** TERM: how long it took to end. */
  readonly tookMs: number;
}

interface Engine {
  readonly name: string;
  readonly child: Child;
  /** Null: not yet at work. */
  readyAt: number | null;
  isDoomed: boolean;
}

export interface Crew {
  readonly hits: readonly Hit[];
  /** What an engine did that it must not, in words. */
  readonly faults: readonly string[];
  /** Engines that ended before they worked, for the database was away. */
  readonly stillborn: number;
  /** Engines that work now. */
  readonly ready: number;
  /** At least half of the places have an engine that works. */
  readonly isAtWork: boolean;
  /**
   * Hits an engine that has marked positions at this moment, or, when it is `blind`, any that works; `which` in [0, 1) says which of
   * them. False when there is none.
   */
  hit(how: Blow, by: { readonly which: number; readonly blind: boolean }): Promise<boolean>;
  /** Every engine that stands still goes on. */
  thaw(): void;
  /** Waits for what is known of every hit. */
  accounted(): Promise<void>;
  /** Kills all, and starts as many anew. */
  renew(between: () => Promise<void>): Promise<void>;
  /** Tells all to end. */
  stop(): Promise<void>;
}

export interface CrewOptions {
  readonly program: Program;
  readonly witness: Witness;
  readonly log: LogBook;
  /** Each place has its own line to the database. */
  readonly lines: readonly TcpProxy[];
  readonly envOf: (line: TcpProxy, name: string) => Readonly<Record<string, string>>;
  readonly frozenMs: () => number;
  readonly clockMs: () => number;
}

/** A stop ends within 25 s, whatever hangs. */
const STOP_MAX_MS = 25_000;
/** What was under way at a freeze has reached the database, or never will. */
const STILL_MS = 500;
/** A thawed engine finds out what it lost, and then it is told to end: its place was taken long ago. */
const AWAKE_MS = 3_000;
const STARTS_AGAIN_MS = 300;
/** Whoever has just begun to work is spared, or on a slow machine all would die before they send anything. */
const WORKED_MIN_MS = 500;
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Keeps one engine at work in each place, whatever happens to it. */
export function openCrew(options: CrewOptions): Crew {
  const { lines, witness } = options;
  const working = new Set<Engine>();
  const frozen = new Set<Engine>();
  const accounts = new Set<Promise<void>>();
  const hits: Hit[] = [];
  const faults: string[] = [];
  let [born, stillborn] = [0, 0];
  let isOver = false;

  function launch(place: number): void {
    const line = lines[place];
    if (isOver || line === undefined) return;
    const name = `engine-${place}.${++born}`;
    const child = start(options.program, ["engine"], { env: options.envOf(line, name), log: options.log });
    const engine: Engine = { name, child, readyAt: null, isDoomed: false };
    working.add(engine);
    child.ready.then(
      () => {
        engine.readyAt = performance.now();
      },
      () => {},
    );
    void child.ended.then(async (code) => {
      working.delete(engine);
      if (engine.isDoomed || isOver) return;
      if (engine.readyAt !== null) faults.push(`${name} ended by itself with ${code}: ${child.said.join(" | ")}`);
      else {
        stillborn++;
        options.log.note(JSON.stringify({ level: "stillborn", msg: child.said.slice(-1).join(), err: { message: child.said.join(" | ") } }));
      }
      await pause(STARTS_AGAIN_MS);
      launch(place);
    });
  }

  const ableOnes = () => [...working].filter(({ readyAt, isDoomed }) => !isDoomed && readyAt !== null && performance.now() - readyAt > WORKED_MIN_MS);
  const placeOf = ({ name }: Engine) => Number(/\d+/.exec(name)?.[0]);
  const account = (work: Promise<void>) => {
    const noted = work.catch((error: unknown) => void faults.push(`the witness was lost: ${error}`)).finally(() => accounts.delete(noted));
    accounts.add(noted);
  };

  const blowsOf: Record<Blow, (engine: Engine, atMs: number) => Promise<void>> = {
    async KILL({ name, child }, atMs) {
      child.kill("SIGKILL");
      await child.ended;
      await witness.untilGone(name);
      const had = await witness.hands(name);
      hits.push({ atMs, engine: name, how: "KILL", had, left: had, tookMs: 0 });
    },
    TERM: (engine, atMs) => end(engine, atMs, "TERM"),
    async STOP(engine, atMs) {
      const { name, child } = engine;
      child.kill("SIGSTOP");
      frozen.add(engine);
      await pause(STILL_MS);
      const had = await witness.hands(name);
      hits.push({ atMs, engine: name, how: "STOP", had, left: had, tookMs: 0 });
      const thawAt = performance.now() + options.frozenMs();
      while (frozen.has(engine) && performance.now() < thawAt) await pause(100);
      frozen.delete(engine);
      child.kill("SIGCONT");
      await pause(AWAKE_MS);
      if (child.hasEnded) faults.push(`${name} ended by itself after it had stood still: ${child.said.join(" | ")}`);
      else await end(engine, options.clockMs(), "END");
    },
  };

  async function end({ name, child }: Engine, atMs: number, how: "TERM" | "END"): Promise<void> {
    const had = await witness.hands(name);
    const from = performance.now();
    child.kill("SIGTERM");
    const code = await Promise.race([child.ended, pause(STOP_MAX_MS).then(() => "late" as const)]);
    const tookMs = performance.now() - from;
    if (code === "late") {
      child.kill("SIGKILL");
      await child.ended;
    }
    if (code !== 0)
      faults.push(`${name} was told to end: ${code === "late" ? "it had not after 25 s" : `it ended with ${code}: ${child.said.join(" | ")}`}`);
    await witness.untilGone(name);
    hits.push({ atMs, engine: name, how, had, left: await witness.hands(name), tookMs });
  }

  async function accounted(): Promise<void> {
    while (accounts.size > 0) await Promise.all(accounts);
  }

  lines.forEach((_, place) => void launch(place));
  return {
    hits,
    faults,
    get stillborn() {
      return stillborn;
    },
    get ready() {
      return [...working].filter((engine) => engine.readyAt !== null && !engine.isDoomed).length;
    },
    get isAtWork() {
      return ableOnes().length >= lines.length / 2;
    },
    async hit(how, { which, blind }) {
      const busy = blind ? null : await witness.busy();
      const able = ableOnes().filter(({ name }) => busy === null || busy.has(name));
      const victim = able[Math.floor(which * able.length)];
      if (victim === undefined) return false;
      victim.isDoomed = true;
      account(blowsOf[how](victim, options.clockMs()));
      // The next one is there at once, beside one that takes its time to end.
      launch(placeOf(victim));
      return true;
    },
    thaw: () => frozen.clear(),
    accounted,
    async renew(between) {
      const all = [...working].filter(({ isDoomed }) => !isDoomed);
      for (const engine of all) engine.isDoomed = true;
      frozen.clear();
      // Those that were hit before end in their own way.
      await Promise.all([...all.map((engine) => blowsOf.KILL(engine, options.clockMs())), accounted()]);
      await between();
      lines.forEach((_, place) => void launch(place));
    },
    async stop() {
      isOver = true;
      const all = [...working];
      for (const { child } of all) child.kill("SIGTERM");
      await Promise.all(all.map(({ child }) => Promise.race([child.ended, pause(STOP_MAX_MS).then(() => child.kill("SIGKILL"))])));
    },
  };
}
