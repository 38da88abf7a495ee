import { IN_FLIGHT_FIRST, IN_FLIGHT_MAX, IN_FLIGHT_MIN, RENEW_MS, SEND_TIMEOUT_MS } from "../../rules/limits.ts";
import type { RenderedMessage } from "../../rules/message.ts";
import type { Outcome } from "../../rules/outcome.ts";
import { formatReference } from "../../rules/reference.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Provider } from "../provider/port.ts";

/** A message that is marked: it may be handed over. */
export interface Marked {
  readonly campaignId: string;
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly delays: number;
  readonly address: string;
  readonly message: RenderedMessage;
  /** Set when this very message opened its address under the cap: what to take back if it is known not to have been sent. */
  readonly openedUntil: Date | null;
}

export interface Ended {
  readonly marked: Marked;
  readonly outcome: Outcome;
}

/** When one call may begin, in monotonic milliseconds of this process: not before `from`, not after `until`. */
export interface Slot {
  readonly from: number;
  readonly until: number;
}

/**
 * The sending loop of one holder: begins marked messages in order, each at a slot, a bounded number at once, and collects outcomes.
 * What it has begun is known here and nowhere else.
 */
export interface Flight {
  readonly provider: Provider;
  /** Marked, not begun. */
  readonly waiting: readonly Marked[];
  readonly inFlight: number;
  /** Outcomes that are not yet stored. They stay until `forget`. */
  readonly ended: readonly Ended[];
  readonly latencyMs: number;
  add(marked: readonly Marked[], slots: readonly Slot[]): void;
  /** Calls begin only while the lease outlives their time-out. Monotonic milliseconds. */
  leaseUntil(ms: number): void;
  /** Removes the last of the waiting, for whom no slot is left (all of them after a halt, which ends here), and gives them back. */
  takeMissed(): readonly Marked[];
  /** The same with all that is not begun. */
  drop(): readonly Marked[];
  /** Ends a rest at once. */
  nudge(): void;
  /** The first `count` outcomes are stored. */
  forget(count: number): void;
  /**
   * Waits until a turn has something to do: nothing is left to wait for, outcomes have been collected for a while, the lease wants
   * renewal, or, from `moreAt` on (null: there are no more), further messages can be marked.
   */
  rest(by: { readonly moreAt: number | null; readonly flushMs: number }): Promise<void>;
}

export interface FlightOptions {
  readonly provider: Provider;
  readonly clock: Clock;
  /** Aborted when the process must end now: what is on its way becomes uncertain. */
  readonly signal: AbortSignal;
  /** Called with each outcome as it comes. True stops the flight: no further call begins. */
  readonly onEnded: (ended: Ended) => boolean;
  readonly inFlightMax?: number;
}

/** Latency is a moving average over about so many calls. */
const LATENCY_CALLS = 20;

/** A reason of our own: without one Node makes an error for each rest that ends early. */
const WOKEN = "woken";

/** What a turn waits for; see `Flight.rest`. */
type Rest = Parameters<Flight["rest"]>[0];

/** What all flights to one provider have learned of the way there. */
interface Way {
  /** The shortest call so far that was accepted; a refusal comes sooner. */
  fastestMs: number;
  /** Calls of one flight at once. */
  limit: number;
  /** Flights with calls on their way. */
  busy: number;
}

const ways = new WeakMap<Provider, Way>();

function wayTo(provider: Provider): Way {
  const way = ways.get(provider) ?? { fastestMs: Number.POSITIVE_INFINITY, limit: IN_FLIGHT_FIRST, busy: 0 };
  ways.set(provider, way);
  return way;
}

interface State extends FlightOptions {
  readonly waiting: Marked[];
  readonly slots: Slot[];
  readonly ended: Ended[];
  inFlight: number;
  latencyMs: number;
  readonly way: Way;
  leaseUntilMs: number;
  halted: boolean;
  nudged: boolean;
  firstEndedAt: number;
  restedAt: number;
  /** Set while a turn is waited for. */
  resting: (Rest & { readonly wake: () => void }) | null;
  /** A sleep until the next slot is under way. */
  dozing: boolean;
}

export function createFlight(options: FlightOptions): Flight {
  const { clock, provider, inFlightMax } = options;
  const way = inFlightMax === undefined ? wayTo(provider) : { fastestMs: 0, limit: inFlightMax, busy: 0 };
  const idle = { inFlight: 0, latencyMs: 0, leaseUntilMs: 0, firstEndedAt: 0, restedAt: 0 };
  const state: State = { ...options, ...idle, way, waiting: [], slots: [], ended: [], halted: false, nudged: false, resting: null, dozing: false };
  return {
    provider: state.provider,
    waiting: state.waiting,
    ended: state.ended,
    get inFlight() {
      return state.inFlight;
    },
    get latencyMs() {
      return state.latencyMs;
    },
    add(marked, granted) {
      state.waiting.push(...marked);
      state.slots.push(...granted);
      pump(state);
    },
    leaseUntil(ms) {
      state.leaseUntilMs = ms;
      pump(state);
    },
    takeMissed() {
      dropMissed(state, clock.monotonicMs());
      if (state.halted) state.slots.length = 0;
      state.halted = false;
      return state.waiting.splice(state.slots.length);
    },
    drop() {
      state.slots.length = 0;
      return state.waiting.splice(0);
    },
    nudge() {
      state.nudged = true;
      state.resting?.wake();
    },
    forget(count) {
      state.ended.splice(0, count);
      state.firstEndedAt = clock.monotonicMs();
    },
    rest: (until) => rest(state, until),
  };
}

/** Begins what may begin now, and sees to it that it is called again when the next may. */
function pump(state: State): void {
  const { waiting, slots, clock } = state;
  while (waiting.length > 0 && state.inFlight < state.way.limit && !state.halted) {
    const now = clock.monotonicMs();
    dropMissed(state, now);
    const [slot] = slots;
    if (slot === undefined || now > state.leaseUntilMs - SEND_TIMEOUT_MS) break;
    if (now < slot.from) {
      void doze(state, slot.from - now);
      break;
    }
    slots.shift();
    const next = waiting.shift();
    if (next !== undefined) begin(state, next, now);
  }
  if (waiting.length > 0 && state.inFlight >= state.way.limit && state.inFlightMax === undefined) adapt(state);
  const { resting } = state;
  if (resting !== null && (state.ended.length === 1 || untilTurn(state, resting) === 0)) resting.wake();
}

/**
 * More calls at once while that does not make each of them slower: beyond that they only wait for each other, on connections that cost
 * as much again. (A vendor that answers at once is best with some fifty, one that takes 50 ms with as many as there may be.)
 */
function adapt({ way, latencyMs }: State): void {
  const slowed = latencyMs / way.fastestMs;
  const step = 1 / way.busy; // however many flights: at most doubled within one round trip
  if (slowed <= 2) way.limit = Math.min(IN_FLIGHT_MAX, way.limit + step);
  else if (slowed > 4) way.limit = Math.max(IN_FLIGHT_MIN, way.limit - step);
}

function dropMissed({ slots }: State, now: number): void {
  while (slots[0] !== undefined && now > slots[0].until) slots.shift();
}

async function doze(state: State, ms: number): Promise<void> {
  if (state.dozing) return;
  state.dozing = true;
  await state.clock.sleep(Math.ceil(ms));
  state.dozing = false;
  pump(state);
}

/** (Chained and not awaited: an async function for each call costs half a kilobyte more.) */
function begin(state: State, marked: Marked, begunAt: number): void {
  if (state.inFlight++ === 0) state.way.busy++;
  const parcel = { reference: formatReference(marked), address: marked.address, message: marked.message };
  try {
    state.provider.send(parcel, state.signal).then(
      (outcome) => noteEnd(state, { marked, outcome }, begunAt),
      (error) => noteEnd(state, { marked, outcome: threw(error) }, begunAt),
    );
  } catch (error) {
    noteEnd(state, { marked, outcome: threw(error) }, begunAt);
  }
}

/** The port says that a provider never throws. If one does, nobody knows what left. */
const threw = (error: unknown): Outcome => ({
  kind: "uncertain",
  code: "provider_threw",
  cause: error instanceof Error ? error.message : String(error),
});

function noteEnd(state: State, ended: Ended, begunAt: number): void {
  const now = state.clock.monotonicMs();
  if (--state.inFlight === 0) state.way.busy--;
  const tookMs = now - begunAt;
  state.latencyMs += (tookMs - state.latencyMs) / (state.latencyMs === 0 ? 1 : LATENCY_CALLS);
  if (ended.outcome.kind === "accepted") state.way.fastestMs = Math.min(state.way.fastestMs, tookMs);
  if (state.ended.length === 0) state.firstEndedAt = now;
  state.ended.push(ended);
  if (state.onEnded(ended)) state.halted = true;
  pump(state);
}

/** Milliseconds until a turn is wanted; 0: now. */
function untilTurn(state: State, { moreAt, flushMs }: Rest): number {
  const { waiting, slots, ended, inFlight } = state;
  const isIdle = inFlight === 0 && (waiting.length === 0 || slots.length === 0 || state.halted);
  if (isIdle || state.nudged) return 0;
  const flushAt = ended.length > 0 ? state.firstEndedAt + flushMs : Number.POSITIVE_INFINITY;
  const nextAt = slots.length === 0 && moreAt !== null ? moreAt : Number.POSITIVE_INFINITY;
  return Math.max(0, Math.min(state.restedAt + RENEW_MS, flushAt, nextAt) - state.clock.monotonicMs());
}

async function rest(state: State, until: Rest): Promise<void> {
  state.restedAt = state.clock.monotonicMs();
  for (let ms = untilTurn(state, until); ms > 0; ms = untilTurn(state, until)) {
    const sleep = new AbortController();
    const woken = new Promise<void>((resolve) => {
      state.resting = { ...until, wake: resolve };
    });
    await Promise.race([woken, state.clock.sleep(Math.ceil(ms), sleep.signal)]);
    state.resting = null;
    sleep.abort(WOKEN);
  }
  state.nudged = false;
}
