import { IN_FLIGHT_MAX, IN_FLIGHT_MIN, RENEW_MS, SEND_TIMEOUT_MS } from "../../rules/limits.ts";
import type { RenderedMessage } from "../../rules/message.ts";
import type { Outcome } from "../../rules/outcome.ts";
import { formatReference } from "../../rules/reference.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Parcel, Provider } from "../provider/port.ts";

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

export function createFlight({ provider, clock, signal, onEnded, inFlightMax }: FlightOptions): Flight {
  const waiting: Marked[] = [];
  const slots: Slot[] = [];
  const ended: Ended[] = [];
  let inFlight = 0;
  let latencyMs = 0;
  let limit = inFlightMax ?? IN_FLIGHT_MIN;
  let leaseUntilMs = 0;
  let halted = false;
  let firstEndedAt = 0;
  let restedAt = clock.monotonicMs();
  let wake = () => {};
  let nudged = false;
  let timer: AbortController | null = null;

  function pump(): void {
    while (waiting.length > 0 && inFlight < limit && !halted) {
      const now = clock.monotonicMs();
      while (slots[0] !== undefined && now > slots[0].until) slots.shift();
      const slot = slots[0];
      if (slot === undefined || now > leaseUntilMs - SEND_TIMEOUT_MS) break;
      if (now < slot.from) {
        sleepUntil(slot.from - now);
        return;
      }
      slots.shift();
      const next = waiting.shift();
      if (next !== undefined) void begin(next, now);
    }
    if (waiting.length > 0 && inFlight >= limit && inFlightMax === undefined) limit = Math.min(IN_FLIGHT_MAX, limit + 1);
    wake();
  }

  function sleepUntil(ms: number): void {
    if (timer !== null) return;
    const mine = new AbortController();
    timer = mine;
    void clock.sleep(Math.ceil(ms), mine.signal).then(() => {
      if (timer === mine) timer = null;
      pump();
    });
  }

  async function begin(marked: Marked, begunAt: number): Promise<void> {
    inFlight++;
    const parcel = { reference: formatReference(marked), address: marked.address, message: marked.message };
    const outcome = await handOver(provider, parcel, signal);
    const now = clock.monotonicMs();
    inFlight--;
    latencyMs += (now - begunAt - latencyMs) / LATENCY_CALLS;
    if (ended.length === 0) firstEndedAt = now;
    const one = { marked, outcome };
    ended.push(one);
    if (onEnded(one)) halted = true;
    pump();
  }

  /** Milliseconds until a turn is wanted; 0: now. */
  function untilTurn(moreAt: number | null, flushMs: number): number {
    const now = clock.monotonicMs();
    const idle = inFlight === 0 && (waiting.length === 0 || slots.length === 0 || halted);
    if (idle || nudged) return 0;
    const times = [restedAt + RENEW_MS];
    if (ended.length > 0) times.push(firstEndedAt + flushMs);
    if (moreAt !== null && slots.length === 0) times.push(moreAt);
    return Math.max(0, Math.min(...times) - now);
  }

  return {
    waiting,
    ended,
    get inFlight() {
      return inFlight;
    },
    get latencyMs() {
      return latencyMs;
    },
    add(marked, granted) {
      waiting.push(...marked);
      slots.push(...granted);
      pump();
    },
    leaseUntil(ms) {
      leaseUntilMs = ms;
      pump();
    },
    takeMissed() {
      const now = clock.monotonicMs();
      while (slots[0] !== undefined && (halted || now > slots[0].until)) slots.shift();
      halted = false;
      return waiting.splice(slots.length);
    },
    drop() {
      slots.length = 0;
      return waiting.splice(0);
    },
    nudge() {
      nudged = true;
      wake();
    },
    forget(count) {
      ended.splice(0, count);
      if (ended.length > 0) firstEndedAt = clock.monotonicMs();
    },
    async rest({ moreAt, flushMs }) {
      restedAt = clock.monotonicMs();
      for (let ms = untilTurn(moreAt, flushMs); ms > 0; ms = untilTurn(moreAt, flushMs)) {
        const sleep = new AbortController();
        const woken = new Promise<void>((resolve) => {
          wake = resolve;
        });
        await Promise.race([woken, clock.sleep(Math.ceil(ms), sleep.signal)]);
        sleep.abort();
      }
      nudged = false;
    },
  };
}

/** The port says that a provider never throws. If one does, nobody knows what left. */
async function handOver(provider: Provider, parcel: Parcel, signal: AbortSignal): Promise<Outcome> {
  try {
    return await provider.send(parcel, signal);
  } catch (error) {
    return { kind: "uncertain", code: "provider_threw", cause: error instanceof Error ? error.message : String(error) };
  }
}
