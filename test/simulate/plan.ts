import type { Dice } from "./dice.ts";

/** What a vendor may do with one call. */
export type VendorFate =
  | "accept"
  /** Accepted; the answer is lost, or comes after the time-out. */
  | "accept_silently"
  /** The request is lost, and so there is no answer. */
  | "lose"
  | "fail_accepted"
  | "fail_unaccepted"
  | "throttle_sender"
  | "throttle_person"
  | "reject"
  | "reject_for_now"
  | "reject_opted_out"
  | "reject_suspect"
  | "block_sender"
  | "pause_campaign"
  | "throw";

export interface CampaignPlan {
  readonly sender: number;
  /** Address by position; null: none. Positions count from 1. */
  readonly addresses: readonly (string | null)[];
  /** Positions that lack the variable which the message needs. */
  readonly lacking: readonly number[];
  readonly lotSize: number;
  readonly perMinute: number | null;
  readonly onUncertain: "hold" | "resend";
  readonly onDailyLimit: "pause" | "wait";
  readonly expiresInMs: number | null;
  readonly delayBetweenBatchesMs: number;
  /** False: no engine drives it, only `execute-batch`. */
  readonly engine: boolean;
}

export interface Deed {
  readonly atMs: number;
  readonly deed: "pause" | "resume" | "stop" | "suppress";
  readonly campaign: number;
  readonly address: string;
}

/** How often each misfortune happens to the engines of a world, at most. */
export interface Misfortunes {
  readonly crash: number;
  readonly freeze: number;
  readonly stop: number;
  readonly lost: number;
  readonly error: number;
}

/** Everything about a world that is drawn before it begins. */
export interface Plan {
  readonly engines: number;
  /** How often engines look up while something happens. */
  readonly loops: { readonly campaignsMax: number; readonly lotsPerCampaign: number; readonly pollMs: number; readonly sweepMs: number };
  readonly connections: number;
  readonly campaigns: readonly CampaignPlan[];
  /** Messages per second; null: unlimited. All of them share one cap. */
  readonly senders: readonly (number | null)[];
  readonly cap: number | null;
  readonly fates: Readonly<Partial<Record<VendorFate, number>>>;
  readonly latencyMs: number;
  /** From one instant to the other nearly nothing is answered. */
  readonly outage: { readonly fromMs: number; readonly untilMs: number } | null;
  readonly receipts: { readonly share: number; readonly early: number; readonly delayMs: number };
  readonly database: { readonly travelMs: number; readonly workMs: number; readonly slow: number };
  readonly restarts: readonly { readonly atMs: number; readonly forMs: number }[];
  readonly misfortunes: Misfortunes;
  /** Effects of an engine between two misfortunes, about. */
  readonly misfortuneEvery: number;
  readonly deeds: readonly Deed[];
  /** How often the operator looks after what is paused, while something happens. */
  readonly careMs: number;
}

const RARE_FATES: readonly VendorFate[] = [
  "accept_silently",
  "lose",
  "fail_accepted",
  "fail_unaccepted",
  "throttle_sender",
  "throttle_person",
  "reject",
  "reject_for_now",
  "reject_opted_out",
  "reject_suspect",
  "block_sender",
  "pause_campaign",
  "throw",
];

/**
 * Draws a world. Each has only some of the features and misfortunes that there are: when all happen at once they hide each other.
 */
export function drawPlan(dice: Dice): Plan {
  const people = Array.from({ length: dice.whole(3, dice.pick([6, 12, 12, 40])) }, (_, i) => `+9198765${String(i).padStart(5, "0")}`);
  const senders = Array.from({ length: dice.chance(0.15) ? 2 : 1 }, () => (dice.chance(0.5) ? null : round(dice.scale(0.5, 80))));
  const campaigns = Array.from({ length: dice.pick([1, 1, 1, 2, 3]) }, () => drawCampaign(dice, people, senders.length));
  const cap = dice.chance(0.25) ? dice.whole(Math.ceil(people.length / 4), Math.ceil(people.length * 1.2)) : null;
  const receipts = {
    share: dice.pick([0, 0.5, 0.9, 1]),
    early: dice.pick([0, 0.1, 0.5]),
    delayMs: round(dice.scale(1, dice.pick([1_000, 1_000, 1_200_000]))),
  };
  const sweepMs = Math.round(dice.scale(800, 16_000));
  return {
    engines: dice.whole(1, 3),
    loops: {
      campaignsMax: dice.pick([1, 5]),
      lotsPerCampaign: dice.pick([1, 2, 4]),
      pollMs: Math.max(5_000, sweepMs),
      sweepMs,
    },
    connections: dice.whole(2, 8),
    campaigns,
    senders,
    cap,
    fates: drawFates(dice),
    latencyMs: round(dice.scale(1, 900)),
    outage: dice.chance(0.1) ? { fromMs: dice.scale(1, 2_000), untilMs: dice.scale(2_000, 200_000) } : null,
    receipts,
    database: { travelMs: dice.scale(0.05, dice.pick([1, 1, 8])), workMs: dice.scale(0.02, 2), slow: dice.pick([0, 0.002, 0.02]) },
    restarts: dice.chance(0.1) ? [{ atMs: dice.scale(5, 20_000), forMs: dice.scale(10, 40_000) }] : [],
    misfortunes: {
      crash: dice.chance(0.4) ? dice.whole(1, 4) : 0,
      freeze: dice.chance(0.35) ? dice.whole(1, 4) : 0,
      stop: dice.chance(0.15) ? dice.whole(1, 3) : 0,
      lost: dice.chance(0.4) ? dice.whole(1, 5) : 0,
      error: dice.chance(0.15) ? dice.whole(1, 4) : 0,
    },
    misfortuneEvery: dice.scale(8, 800),
    deeds: drawDeeds(dice, campaigns, people),
    careMs: round(dice.scale(5_000, 600_000)),
  };
}

const round = (value: number) => (value < 10 ? value : Math.round(value));

function drawCampaign(dice: Dice, people: readonly string[], senders: number): CampaignPlan {
  const share = dice.pick([1, 1, 0.6]);
  const chosen = people.filter(() => dice.chance(share));
  const addresses = (chosen.length > 0 ? chosen : people).map((address) => (dice.chance(0.01) ? null : address));
  return {
    sender: dice.whole(0, senders - 1),
    addresses,
    lacking: dice.chance(0.1) ? [dice.whole(1, addresses.length)] : [],
    lotSize: dice.chance(0.4) ? dice.whole(1, addresses.length) : 1_000,
    perMinute: dice.chance(0.3) ? round(dice.scale(30, 6_000)) : null,
    onUncertain: dice.chance(0.3) ? "resend" : "hold",
    onDailyLimit: dice.chance(0.5) ? "wait" : "pause",
    expiresInMs: dice.chance(0.08) ? round(dice.scale(50, 7_200_000)) : null,
    delayBetweenBatchesMs: dice.chance(0.15) ? round(dice.scale(10, 60_000)) : 0,
    engine: !dice.chance(0.08),
  };
}

function drawFates(dice: Dice): Plan["fates"] {
  const rare = RARE_FATES.filter(() => dice.chance(0.16));
  return Object.fromEntries([["accept", 1], ...rare.map((fate) => [fate, dice.scale(0.02, 0.4)])]);
}

function drawDeeds(dice: Dice, campaigns: readonly CampaignPlan[], people: readonly string[]): Deed[] {
  if (!dice.chance(0.45)) return [];
  const weights = dice.pick([{ pause: 2, resume: 1 }, { suppress: 1 }, { pause: 2, resume: 1, suppress: 2, stop: 0.5 }, { stop: 1 }]);
  const span = dice.scale(30, 60_000);
  const deeds = Array.from({ length: dice.whole(1, 5) }, () => ({
    atMs: dice.between(0, span),
    deed: dice.weighted<Deed["deed"]>(weights),
    campaign: dice.whole(0, campaigns.length - 1),
    address: dice.pick(people),
  }));
  return deeds.sort((a, b) => a.atMs - b.atMs);
}
