import type { VendorClock } from "./clock.ts";
import { type DueHeap, dueHeap } from "./due.ts";
import type { Telling } from "./journey.ts";
import { payload, signature, type Update } from "./payload.ts";
import type { Settings } from "./settings.ts";

/** Where webhooks go. Without one nothing is told, as with an app that subscribed to nothing. */
export interface WebhookTarget {
  readonly url: string;
  readonly appSecret: string;
  readonly verifyToken?: string | undefined;
}

/** Sends one webhook POST; resolves to the HTTP status, rejects when there was none. */
export type Post = (target: WebhookTarget, body: string, headers: Readonly<Record<string, string>>) => Promise<number>;

interface DeliveryStats {
  posts: number;
  updates: number;
  failedPosts: number;
  givenUp: number;
}

export interface DeliveryRound {
  /** Updates told now. */
  readonly told: number;
  /** Updates still to be told. */
  readonly pending: number;
}

export interface Deliveries {
  readonly stats: DeliveryStats;
  target(): WebhookTarget | null;
  setTarget(target: WebhookTarget | null): void;
  plan(tellings: readonly Telling[]): void;
  /** Tells these at once, ahead of everything planned, and waits for the attempt (a failed one is retried later). */
  tellNow(updates: readonly Update[]): Promise<void>;
  /** Updates planned, waiting for a retry, or on their way. */
  pending(): number;
  /** Tells all that is due by the vendor's clock; with a manual clock one POST after the other, in order. */
  deliverDue(): Promise<DeliveryRound>;
  /** Tells everything planned now, due or not. What the receiver refuses stays pending. */
  drain(): Promise<DeliveryRound>;
  /** The clock was moved, stopped or set running. */
  clockMoved(): void;
  clear(): void;
  stop(): Promise<void>;
}

export interface DeliveryWorld {
  readonly clock: VendorClock;
  readonly wabaId: () => string;
  readonly settings: () => Settings["webhook"];
  readonly post: Post;
}

/** One POST: built once, so that a retry carries the same bytes. */
interface Parcel {
  readonly body: string;
  readonly updates: number;
  readonly firstAt: number;
  readonly tries: number;
}

interface State extends DeliveryWorld {
  readonly heap: DueHeap<{ readonly update: Update } | { readonly parcel: Parcel }>;
  readonly stats: DeliveryStats;
  target: WebhookTarget | null;
  waiting: number;
  onTheWay: number;
  /** While draining, due means everything: what fails waits here, or it would be tried for ever. */
  aside: Parcel[] | null;
  timer: NodeJS.Timeout | null;
  timerAt: number;
  /** Rounds run one after the other; the last one's end. */
  tail: Promise<unknown>;
  rounds: number;
  stopped: boolean;
}

function parcelOf(state: State, updates: readonly Update[]): Parcel {
  const { version, asciiOnly } = state.settings();
  const body = payload(updates, { wabaId: state.wabaId(), version, asciiOnly });
  return { body, updates: updates.length, firstAt: state.clock.now(), tries: 0 };
}

/** The next POST among what is due by `until`: a retry as it was, or new updates together. */
function nextParcel(state: State, until: number): Parcel | null {
  const updates: Update[] = [];
  const { batchMax } = state.settings();
  while (updates.length < batchMax) {
    const item = state.heap.pop(until);
    if (item === null) break;
    if ("update" in item) updates.push(item.update);
    else if (updates.length === 0) return item.parcel;
    else {
      state.heap.push(Number.NEGATIVE_INFINITY, item);
      break;
    }
  }
  return updates.length === 0 ? null : parcelOf(state, updates);
}

function retryLater(state: State, parcel: Parcel): void {
  const { retryMinMs, retryMaxMs, retryForMs } = state.settings();
  const tries = parcel.tries + 1;
  const now = state.clock.now();
  const delayMs = tries === 1 ? 0 : Math.min(retryMaxMs, retryMinMs * 2 ** (tries - 2));
  if (now + delayMs - parcel.firstAt > retryForMs) {
    state.stats.givenUp += parcel.updates;
    state.waiting -= parcel.updates;
    return;
  }
  const next = { ...parcel, tries };
  if (state.aside) state.aside.push(next);
  else state.heap.push(now + delayMs, { parcel: next });
}

/** One POST; false when it has to be tried again. */
async function send(state: State, parcel: Parcel): Promise<boolean> {
  const { target, stats } = state;
  if (target === null) {
    state.waiting -= parcel.updates;
    return false;
  }
  stats.posts++;
  const headers = {
    "content-type": "application/json",
    "user-agent": "facebookexternalua",
    "x-hub-signature-256": signature(parcel.body, target.appSecret),
  };
  state.onTheWay += parcel.updates;
  const status = await state.post(target, parcel.body, headers).catch(() => 0);
  state.onTheWay -= parcel.updates;
  if (status !== 200) {
    stats.failedPosts++;
    retryLater(state, parcel);
    return false;
  }
  stats.updates += parcel.updates;
  state.waiting -= parcel.updates;
  return true;
}

/** Sends all that is due, several POSTs at a time; one at a time by a manual clock, so that the order is the same each time. */
async function round(state: State, until: () => number): Promise<number> {
  let told = 0;
  const lane = async () => {
    while (!state.stopped) {
      const parcel = nextParcel(state, until());
      if (parcel === null) return;
      if (await send(state, parcel)) told += parcel.updates;
    }
  };
  const lanes = state.clock.isManual() ? 1 : state.settings().concurrency;
  await Promise.all(Array.from({ length: lanes }, lane));
  return told;
}

async function drainPass(state: State): Promise<number> {
  const aside: Parcel[] = [];
  state.aside = aside;
  const told = await round(state, () => Number.POSITIVE_INFINITY);
  state.aside = null;
  for (const parcel of aside) state.heap.push(state.clock.now() + state.settings().retryMinMs, { parcel });
  return told;
}

function oneAtATime(state: State, work: () => Promise<number>): Promise<number> {
  state.rounds++;
  const mine = state.tail.then(work).finally(() => {
    state.rounds--;
    arm(state);
  });
  state.tail = mine.catch(() => {});
  return mine;
}

/** Sets the timer for the next due webhook; nothing to do by a manual clock or while a round is under way. */
function arm(state: State): void {
  const next = state.heap.nextAt();
  if (state.stopped || state.rounds > 0 || next === null || state.clock.isManual()) return;
  const now = state.clock.now();
  const dueAt = Math.max(next, now) + state.settings().gatherMs;
  if (state.timer !== null && state.timerAt <= dueAt) return;
  if (state.timer !== null) clearTimeout(state.timer);
  state.timerAt = dueAt;
  state.timer = setTimeout(
    () => {
      state.timer = null;
      void oneAtATime(state, () => round(state, () => state.clock.now()));
    },
    Math.min(dueAt - now, 2 ** 31 - 1),
  );
}

function disarm(state: State): void {
  if (state.timer !== null) clearTimeout(state.timer);
  state.timer = null;
}

export function webhookDeliveries(world: DeliveryWorld): Deliveries {
  const stats = { posts: 0, updates: 0, failedPosts: 0, givenUp: 0 };
  const idle = { target: null, waiting: 0, onTheWay: 0, aside: null, timer: null, timerAt: 0, rounds: 0, stopped: false };
  const state: State = { ...world, ...idle, heap: dueHeap(), stats, tail: Promise.resolve() };
  return {
    stats,
    target: () => state.target,
    setTarget(target) {
      state.target = target;
      arm(state);
    },
    plan(tellings) {
      if (state.target === null) return;
      state.waiting += tellings.length;
      for (const { update, toldAt } of tellings) state.heap.push(toldAt, { update });
      arm(state);
    },
    async tellNow(updates) {
      if (state.target === null || updates.length === 0) return;
      state.waiting += updates.length;
      await send(state, parcelOf(state, updates));
      arm(state);
    },
    pending: () => state.waiting,
    async deliverDue() {
      const told = await oneAtATime(state, () => round(state, () => state.clock.now()));
      return { told, pending: state.waiting };
    },
    async drain() {
      let told = 0;
      for (let more = true; more; more = more && state.heap.size() > 0) {
        const pass = await oneAtATime(state, () => drainPass(state));
        told += pass;
        more = pass > 0;
      }
      return { told, pending: state.waiting };
    },
    clockMoved() {
      disarm(state);
      arm(state);
    },
    clear() {
      state.heap.clear();
      state.waiting = state.onTheWay;
    },
    async stop() {
      state.stopped = true;
      disarm(state);
      await state.tail;
    },
  };
}
