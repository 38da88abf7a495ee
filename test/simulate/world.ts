import { setMaxListeners } from "node:events";
import { closeDue } from "../../src/flow/campaign/close.ts";
import { createBreaker } from "../../src/flow/dispatch/breaker.ts";
import type { DispatchDeps } from "../../src/flow/dispatch/deps.ts";
import { startEngine } from "../../src/flow/dispatch/engine.ts";
import { executeBatch } from "../../src/flow/dispatch/execute-batch.ts";
import type { Log } from "../../src/runtime/log.ts";
import { type Running, startLoop } from "../../src/runtime/loop.ts";
import { seededLuck } from "../../src/runtime/luck.ts";
import { type Dice, diceOf } from "./dice.ts";
import { createDriver, type Driver } from "./memory/driver.ts";
import type { Tables } from "./memory/schema.ts";
import { createServer, type Server } from "./memory/server.ts";
import { setSystem } from "./memory/system.ts";
import { ask, forgetTables } from "./memory/twin.ts";
import { type Answer, startOperator } from "./operator.ts";
import { drawPlan, type Plan } from "./plan.ts";
import { populate } from "./populate.ts";
import { createTime, type Process, type Time } from "./time.ts";
import { createTrouble, type Trouble } from "./trouble.ts";
import { createVendor, type ReceiptFact, type SimulatedVendor } from "./vendor.ts";
import { createWitness, type Witness } from "./witness.ts";

/** A world that has come to its end, with all that is known of it. */
export interface Ended {
  readonly plan: Plan;
  readonly tables: Tables;
  readonly campaignIds: readonly string[];
  readonly senderIds: readonly string[];
  readonly vendor: SimulatedVendor;
  readonly witness: Witness;
  readonly trouble: Trouble;
  readonly answers: readonly Answer[];
  /** What the engines logged as an error, or threw. */
  readonly errors: readonly unknown[];
  /** Processes that died, or were ended in the middle: what they knew is lost. */
  readonly silenced: ReadonlySet<string>;
  /** Null: every campaign ended, and every process. */
  readonly stuck: string | null;
  readonly steps: number;
  readonly endedAt: number;
  readonly trace: readonly string[];
}

interface World {
  readonly plan: Plan;
  readonly dice: Dice;
  readonly time: Time;
  readonly server: Server;
  readonly driver: Driver;
  readonly vendor: SimulatedVendor;
  readonly engines: Map<Process, Engine>;
  readonly errors: unknown[];
  readonly silenced: Set<string>;
  /** Engines that were ever started. */
  started: number;
  readonly trace: (process: Process | null, text: () => string) => void;
  /** So many milliseconds while something happens, and longer the longer nothing has: days of waiting take few steps. */
  readonly patient: (ms: number) => number;
}

interface Engine {
  readonly running: readonly Running[];
  readonly kill: AbortController;
}

const HOUR_MS = 3_600_000;
const PATIENCE_MAX_MS = 6 * HOUR_MS;
const STEPS_MAX = 400_000;
/** A call that is on its way when all is over has ended, and is settled, after so long. */
const LAST_CALL_MS = 20_000;
/** A process that is told to stop is told to end at once when it has not stopped after so long (serve.ts), and is gone a little later. */
const STOP_MAX_MS = 15_000;
const END_MAX_MS = 60_000;

/** Draws the world of this seed, lets it happen, and returns what is left of it. */
export async function happen(seed: number, traced: boolean): Promise<Ended> {
  const plan = drawPlan(diceOf(seededLuck(seed)));
  const dice = diceOf(seededLuck(seed ^ 0x5bd1e995));
  const lines: string[] = [];
  const trace = (process: Process | null, text: () => string): void => {
    if (traced) lines.push(`${(time.now / 1_000).toFixed(4).padStart(12)} ${(process?.name ?? "").padEnd(4)} ${text()}`);
  };
  let isEnding = false;
  const patient: World["patient"] = (ms) => Math.max(ms, isEnding ? HOUR_MS : Math.min(PATIENCE_MAX_MS, time.now - witness.changedAt));
  const engines: World["engines"] = new Map();
  const trouble = createTrouble({
    plan,
    dice,
    time: () => time,
    isEngine: (process) => engines.has(process),
    onCrash: (process) => crashed(world, process),
    onFreeze: (process) => {
      trace(process, () => `is frozen until ${(process.frozenUntil / 1_000).toFixed(4)}`);
      driver.frozen(process);
    },
    onStop: (process) => void time.after(0, () => void stopEngine(world, process).then(() => replaceLater(world)), process),
  });
  const time = createTime(dice, trouble.strike);
  const witness = createWitness(() => time);
  const tables = forgetTables();
  const server = createServer(time, witness.told);
  const driver = createDriver(server, time, { ...trouble, trace });
  const people = time.process("them");
  setSystem(people.clock, dice);
  const inbox = driver.connect(people, 20);
  const vendor = createVendor({ plan, dice, time, strike: trouble.strike, tell: (fact) => void tell(inbox, tables, fact), trace });
  const world: World = { plan, dice, time, server, driver, vendor, engines, errors: [], silenced: new Set(), started: 0, trace, patient };
  for (const { atMs, forMs } of plan.restarts)
    time.after(atMs, () => {
      trouble.happened.restart++;
      trace(null, () => `Postgres restarts, for ${Math.round(forMs)} ms`);
      driver.restart();
    });

  const { workspaceId, campaignIds, senderIds } = await populate(world, tables);
  const deps = { sql: driver.connect(people, 20), clock: people.clock, luck: dice };
  const answers = startOperator({ plan, time, process: people, deps, workspaceId, campaignIds, mend: vendor.mend, patient, trace });
  for (let i = 0; i < plan.engines; i++) startProcess(world);
  plan.campaigns.forEach(({ engine }, i) => {
    const campaignId = campaignIds[i];
    if (!engine && campaignId !== undefined) void callBatches(world, { workspaceId, campaignId });
  });

  const stuck = await untilOver(world, () => witness.open.size === 0);
  isEnding = true;
  if (stuck === null) await settleDown(world, trouble);
  const left = stuck ?? (await stopAll(world));
  return {
    ...{ plan, tables, campaignIds, senderIds, vendor, witness, trouble, answers, errors: world.errors, silenced: world.silenced, stuck: left },
    ...{ steps: time.steps, endedAt: time.now, trace: lines },
  };
}

async function untilOver({ plan, time }: World, isOver: () => boolean): Promise<string | null> {
  const people = Math.max(...plan.campaigns.map(({ addresses }) => addresses.length));
  const days = plan.cap === null ? 0 : (plan.campaigns.length * people) / plan.cap + 1;
  if (await time.run(isOver, { limitMs: (8 + days * 30) * HOUR_MS, stepsMax: STEPS_MAX })) return null;
  return `after ${time.steps} steps and ${(time.now / HOUR_MS).toFixed(1)} hours`;
}

/** Whatever is on its way when all is over comes in, and is looked at. */
async function settleDown({ time, vendor, engines }: World, { freezes }: Trouble): Promise<void> {
  const cameIn = Math.max(time.now, vendor.lastReceiptAt, ...freezes.map(({ untilMs }) => untilMs)) + LAST_CALL_MS;
  await time.run(() => false, { limitMs: cameIn, stepsMax: STEPS_MAX });
  for (const { running } of engines.values()) for (const one of running) one.nudge();
  await time.run(() => false, { limitMs: cameIn + LAST_CALL_MS, stepsMax: STEPS_MAX });
}

/** Everybody is asked to stop, and must. */
async function stopAll(world: World): Promise<string | null> {
  const { time, engines } = world;
  const stopping = [...engines.keys()].map((process) => stopEngine(world, process));
  let stopped = false;
  void Promise.all(stopping).then(() => {
    stopped = true;
  });
  if (await time.run(() => stopped || engines.size === 0, { limitMs: time.now + END_MAX_MS + HOUR_MS, stepsMax: time.steps + STEPS_MAX }))
    return null;
  return `while stopping, with ${engines.size} engines left`;
}

function startProcess(world: World): void {
  const { plan, time, dice, driver, vendor, trace } = world;
  const process = time.process(`e${++world.started}`);
  const kill = new AbortController();
  setMaxListeners(0, kill.signal);
  const sql = driver.connect(process, plan.connections);
  const log = logOf(world, process);
  const deps: DispatchDeps = {
    sql,
    clock: process.clock,
    luck: dice,
    log,
    openProvider: async (senderId) => vendor.door(senderId, process),
    breaker: createBreaker(),
    lead: { ms: 0 },
    engineId: dice.uuid(),
    signal: kill.signal,
  };
  world.engines.set(process, { running: [], kill });
  const loops = {
    ...plan.loops,
    get pollMs() {
      return world.patient(plan.loops.pollMs);
    },
    get sweepMs() {
      return world.patient(plan.loops.sweepMs);
    },
  };
  const closing = { name: "closing", step: () => closeDue(10, { sql, clock: process.clock, luck: dice }), restMs: () => loops.sweepMs };
  const running = [startEngine(deps, loops), startLoop(closing, { clock: process.clock, log })];
  world.engines.set(process, { running, kill });
  trace(process, () => "starts");
}

function logOf({ errors, trace }: World, process: Process): Log {
  const note = (level: string) => (fields: { err?: unknown }, text: string) => {
    trace(process, () => `${level}: ${text}${fields.err instanceof Error ? ` (${fields.err.message})` : ""}`);
    if (level === "error" && fields.err !== undefined) errors.push(fields.err);
  };
  const silent = () => {};
  return { error: note("error"), warn: note("warning"), info: silent, debug: silent } as unknown as Log;
}

function crashed(world: World, process: Process): void {
  world.trace(process, () => "dies");
  world.silenced.add(process.name);
  world.engines.delete(process);
  world.driver.died(process);
  replaceLater(world);
}

/** Sooner or later somebody starts another one. */
function replaceLater(world: World): void {
  world.time.after(world.dice.scale(10, 90_000), () => startProcess(world));
}

/** As serve.ts does it: asked to stop, told to end at once when that takes too long, and gone. */
async function stopEngine(world: World, process: Process): Promise<void> {
  const engine = world.engines.get(process);
  if (engine === undefined) return;
  world.trace(process, () => "is asked to stop");
  const kill = () => {
    world.trace(process, () => "is told to end at once");
    world.silenced.add(process.name);
    engine.kill.abort();
  };
  const late = world.time.after(STOP_MAX_MS, kill, process);
  await Promise.all(engine.running.map((one) => one.stop()));
  late();
  world.trace(process, () => "has stopped");
  process.dead = true;
  world.engines.delete(process);
  world.driver.died(process);
}

/** A receipt comes in: stored, and seen by whoever looks after that. */
async function tell(
  sql: ReturnType<Driver["connect"]>,
  tables: Tables,
  { campaignId, stage, position, attempt, kind, providerRef }: ReceiptFact,
): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    try {
      await ask(
        sql,
        "insert receipt",
        async (q) => void (await q.insert(tables.receipt, { campaignId, stage, position, attempt, kind, providerRef })),
      );
      return;
    } catch {
      // The vendor sends it again.
    }
  }
}

/** Somebody calls execute-batch again and again, until the campaign is over. */
async function callBatches(world: World, ref: { workspaceId: string; campaignId: string }): Promise<void> {
  const { plan, time, dice, driver, vendor } = world;
  for (;;) {
    const process = time.process("call");
    const deps: DispatchDeps = {
      sql: driver.connect(process, plan.connections),
      clock: process.clock,
      luck: dice,
      log: logOf(world, process),
      openProvider: async (senderId) => vendor.door(senderId, process),
      breaker: createBreaker(),
      lead: { ms: 0 },
      engineId: dice.uuid(),
      signal: new AbortController().signal,
    };
    try {
      const { completed } = await executeBatch(ref, deps);
      if (completed) return;
    } catch (error) {
      world.errors.push(error);
    }
    await time.sleep(world.patient(dice.scale(100, 60_000)));
  }
}
