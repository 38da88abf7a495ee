import type { VendorClock } from "./clock.ts";
import type { Deliveries } from "./deliveries.ts";
import type { Ledger } from "./ledger.ts";
import type { Limits } from "./limits.ts";
import type { Accepted } from "./payload.ts";
import type { Mix, Settings } from "./settings.ts";
import type { World } from "./world.ts";

const DAY_MS = 24 * 3_600_000;
const GENERATION_MAX = 20_000;

/** A mix of its own for one person, or for one stage or attempt of theirs: how a test says what happens to whom. */
export interface Script {
  /** Digits. */
  readonly phone: string;
  readonly stage?: number | undefined;
  readonly attempt?: number | undefined;
  readonly mix: Partial<Mix>;
}

export interface Stats {
  requests: number;
  accepted: number;
  /** Answers by error code. */
  refused: Record<string, number>;
  /** Faults that hit, by name. */
  faults: Record<string, number>;
  inbound: number;
  costMicros: Record<string, number>;
}

/** All that a running vendor knows. */
export interface VendorState {
  settings: Settings;
  world: World;
  stats: Stats;
  readonly clock: VendorClock;
  readonly limits: Limits;
  readonly ledger: Ledger;
  readonly deliveries: Deliveries;
  readonly scripts: Map<string, Script[]>;
  /** How often a message was throttled so far. */
  readonly throttled: Map<string, number>;
  /** When each user wrote to each number, newest last. */
  readonly windows: Map<string, number[]>;
  /**
   * The latest message to each user, for replies; those before the latest 20,000 to 40,000 are forgotten, a generation at a time
   * (deleting the oldest key of one big Map, message by message, took a quarter of the vendor's time).
   */
  lastSent: { young: Map<string, Accepted>; old: Map<string, Accepted> };
}

export const noStats = (): Stats => ({ requests: 0, accepted: 0, refused: {}, faults: {}, inbound: 0, costMicros: {} });

export function count(table: Record<string, number>, key: string, by = 1): void {
  table[key] = (table[key] ?? 0) + by;
}

const pairKey = (phoneNumberId: string, digits: string) => `${phoneNumberId} ${digits}`;

/** A user's message opens their 24 h window with this number. */
export function openWindow(state: VendorState, { phoneNumberId, digits, at }: { phoneNumberId: string; digits: string; at: number }): void {
  const key = pairKey(phoneNumberId, digits);
  const instants = (state.windows.get(key) ?? []).filter((instant) => instant > at - DAY_MS);
  state.windows.set(key, [...instants, at]);
}

export function windowIsOpen(state: VendorState, { phoneNumberId, digits, at }: { phoneNumberId: string; digits: string; at: number }): boolean {
  return (state.windows.get(pairKey(phoneNumberId, digits)) ?? []).some((instant) => instant <= at && at < instant + DAY_MS);
}

export function remember(state: VendorState, message: Accepted): void {
  const key = pairKey(message.sender.id, message.to);
  const { young } = state.lastSent;
  young.set(key, message);
  if (young.size >= GENERATION_MAX) state.lastSent = { young: new Map(), old: young };
}

export function lastSentTo({ lastSent }: VendorState, phoneNumberId: string, digits: string): Accepted | null {
  const key = pairKey(phoneNumberId, digits);
  return lastSent.young.get(key) ?? lastSent.old.get(key) ?? null;
}

/** The mix that holds for this attempt: the settings' own, changed by every script that names it. */
export function mixFor(state: VendorState, key: { phone: string; stage: number; attempt: number }): Mix {
  let { mix } = state.settings;
  for (const script of state.scripts.get(key.phone) ?? []) {
    const applies = (script.stage ?? key.stage) === key.stage && (script.attempt ?? key.attempt) === key.attempt;
    if (applies) mix = { ...mix, ...script.mix };
  }
  return mix;
}
