import type { FaultName, Mix } from "./settings.ts";

/** What a message's fate hangs on, and nothing else: not the order of calls, not the time, not what became of others. */
export interface FateKey {
  readonly seed: number | string;
  /** Digits of the recipient's number. */
  readonly phone: string;
  readonly stage: number;
  readonly attempt: number;
}

type UpdateKind = "sent" | "delivered" | "read" | "failed" | "reply" | "optOut" | "preference";

/** One thing the webhook will tell. Times are milliseconds after acceptance. */
export interface PlannedUpdate {
  readonly kind: UpdateKind;
  /** Error code of a `failed`. */
  readonly code?: number;
  /** When it happens: the timestamp it carries. */
  readonly happensMs: number;
  /** When it is told: once, or twice (a duplicate), or never (lost). */
  readonly toldMs: readonly number[];
  /** In [0, 1): which words a reply uses. */
  readonly luck: number;
}

export interface Fate {
  /** Refused this many times with this code before anything else happens. Counted per message by whoever asks. */
  readonly throttle: { readonly code: number; readonly times: number } | null;
  readonly fault: { readonly kind: FaultKind; readonly accepted: boolean; readonly luck: number } | null;
  /** Refused in the answer, for good, with this code. */
  readonly refusal: number | null;
  readonly held: boolean;
  readonly latencyMs: number;
  /** The first status reaches the webhook before the answer is written. */
  readonly early: boolean;
  readonly updates: readonly PlannedUpdate[];
}

type FaultKind = "unavailable" | "timeout" | "reset" | "garbage" | "missingId" | "flood";

const throttleCodes: Partial<Record<FaultName, number>> = { rateLimit: 130429, pairLimit: 131056 };

/** FNV-1a, then murmur3's finaliser once per facet: 32 good bits for each question about one message. */
function dice({ seed, phone, stage, attempt }: FateKey): (facet: number) => number {
  const key = `${seed}|${phone}|${stage}|${attempt}`;
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  return (facet) => {
    let x = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) + Math.imul(facet + 1, 0x9e3779b1);
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return ((x ^ (x >>> 16)) >>> 0) / 0x1_0000_0000;
  };
}

/** Which question a roll answers. Never renumber: a seed must tell the same story in the next version. */
const ask = {
  throttle: 0,
  throttleTimes: 1,
  fault: 2,
  faultVariant: 3,
  success: 4,
  inAnswer: 5,
  code: 6,
  held: 7,
  heldFails: 8,
  latency: 9,
  slow: 10,
  early: 11,
  sent: 12,
  delivered: 13,
  read: 14,
  readLag: 15,
  reply: 16,
  replyLag: 17,
  words: 18,
  optOut: 19,
  preference: 20,
  skipDelivered: 21,
  contradict: 22,
  reorder: 23,
  heldLag: 24,
  failedLag: 25,
  /** These three take one roll per update: base + 0, 1, 2, … */
  duplicate: 32,
  duplicateLag: 48,
  lose: 64,
} as const;

const between = ([min, max]: readonly [number, number], luck: number) => Math.round(min + (max - min) * luck);

function weighted(table: Readonly<Record<string, number>>, luck: number): number | null {
  const entries = Object.entries(table);
  let rest = luck * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [code, weight] of entries) {
    if (rest < weight) return Number(code);
    rest -= weight;
  }
  return null;
}

/** The name of the fault whose share of [0, 1) the roll falls into; none when the shares end before it. */
function pick(faults: Mix["faults"], luck: number, throttles: boolean): FaultName | null {
  let below = 0;
  for (const [name, share] of Object.entries(faults) as [FaultName, number][]) {
    if (name in throttleCodes !== throttles) continue;
    below += share;
    if (luck < below) return name;
  }
  return null;
}

type Roll = (facet: number) => number;
type Happening = Omit<PlannedUpdate, "toldMs" | "luck">;

/** What happens to an accepted message, in the order it happens. */
function journey(mix: Mix, roll: Roll, failure: number | null, held: boolean): Happening[] {
  const heldMs = held ? between(mix.heldForMs, roll(ask.heldLag)) : 0;
  if (held && roll(ask.heldFails) < mix.heldFailShare) return [{ kind: "failed", code: 132015, happensMs: heldMs }];
  if (failure !== null) {
    return [{ kind: "failed", code: failure, happensMs: heldMs + between(mix.failedAfterMs, roll(ask.failedLag)) }];
  }
  const optsOut = roll(ask.optOut) < mix.optOutRate;
  const replies = !optsOut && roll(ask.reply) < mix.replyRate;
  const reads = optsOut || replies || roll(ask.read) < mix.readRate;
  const sentMs = heldMs + between(mix.sentAfterMs, roll(ask.sent));
  const deliveredMs = sentMs + between(mix.deliveredAfterMs, roll(ask.delivered));
  const readMs = deliveredMs + between(mix.readAfterMs, roll(ask.readLag));
  const replyMs = readMs + between(mix.replyAfterMs, roll(ask.replyLag));
  const happenings: Happening[] = [{ kind: "sent", happensMs: sentMs }];
  if (!reads || roll(ask.skipDelivered) >= mix.skipDeliveredRate) happenings.push({ kind: "delivered", happensMs: deliveredMs });
  if (reads) happenings.push({ kind: "read", happensMs: readMs });
  if (replies) happenings.push({ kind: "reply", happensMs: replyMs });
  if (optsOut) happenings.push({ kind: "optOut", happensMs: replyMs });
  if (roll(ask.preference) < mix.preferenceStopRate) happenings.push({ kind: "preference", happensMs: replyMs });
  if (roll(ask.contradict) < mix.contradictRate) happenings.push({ kind: "failed", code: 131026, happensMs: readMs });
  return happenings;
}

/** When each happening is told: in order and once, unless the mix wants the webhook of a bad day. */
function telling(mix: Mix, roll: Roll, happenings: readonly Happening[]): PlannedUpdate[] {
  const times = happenings.map((happening) => happening.happensMs);
  if (roll(ask.reorder) < mix.reorderRate) times.reverse();
  return happenings.map((happening, i) => {
    const told = times[i] ?? happening.happensMs;
    const toldMs = roll(ask.lose + i) < mix.loseRate ? [] : [told];
    if (toldMs.length > 0 && roll(ask.duplicate + i) < mix.duplicateRate) {
      toldMs.push(told + between([1, 2_000], roll(ask.duplicateLag + i)));
    }
    return { ...happening, toldMs, luck: roll(ask.words) };
  });
}

/**
 * The fate of one attempt: a pure function of its key and the mix. The same audience, seed and mix live through the same day
 * whatever the order, speed or number of the engines that send to it.
 */
export function fate(key: FateKey, mix: Mix): Fate {
  const roll = dice(key);
  const throttle = pick(mix.faults, roll(ask.throttle), true);
  const faultName = pick(mix.faults, roll(ask.fault), false);
  const fails = roll(ask.success) >= mix.successRate;
  const inAnswer = roll(ask.inAnswer) < mix.answerShare;
  const refusal = fails && inAnswer && faultName === null ? weighted(mix.answerFailures, roll(ask.code)) : null;
  const failure = fails && !inAnswer ? weighted(mix.laterFailures, roll(ask.code)) : null;
  const held = roll(ask.held) < mix.heldRate;
  const slowMs = roll(ask.slow) < mix.slowRate ? between(mix.slowMs, roll(ask.latency)) : 0;
  return {
    throttle: throttle && {
      code: throttleCodes[throttle] ?? 130429,
      times: 1 + Math.floor(roll(ask.throttleTimes) * mix.throttleTimesMax),
    },
    fault: faultName && {
      kind: faultName.replace("Accepted", "") as FaultKind,
      accepted: faultName.endsWith("Accepted"),
      luck: roll(ask.faultVariant),
    },
    refusal,
    held,
    latencyMs: between(mix.latencyMs, roll(ask.latency)) + slowMs,
    early: roll(ask.early) < mix.earlyRate,
    updates: refusal === null ? telling(mix, roll, journey(mix, roll, failure, held)) : [],
  };
}
