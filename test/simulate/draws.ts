import type { MessageRow } from "../../src/flow/dispatch/message-store.ts";
import { ATTEMPTS_MAX } from "../../src/rules/limits.ts";
import type { Sql } from "../../src/runtime/postgres.ts";
import type { Dice } from "./dice.ts";
import { type Cast, PEOPLE } from "./rows.ts";
import type * as batches from "./store/batch-store.ts";
import type * as campaigns from "./store/campaign-store.ts";
import type * as closes from "./store/close-store.ts";
import type * as completes from "./store/complete-store.ts";
import type * as dues from "./store/due-store.ts";
import type * as limits from "./store/limits-store.ts";
import type * as lots from "./store/lot-store.ts";
import type * as messages from "./store/message-store.ts";

/** The stores that have twins, as far as they have: the real ones or those in memory. */
export interface Stores {
  readonly batch: typeof batches;
  readonly campaign: typeof campaigns;
  readonly close: typeof closes;
  readonly complete: typeof completes;
  readonly due: typeof dues;
  readonly limits: typeof limits;
  readonly lot: typeof lots;
  readonly message: typeof messages;
}

/** One call of a store, its arguments drawn: the same for Postgres and for memory. */
export type Call = (stores: Stores, sql: Sql) => PromiseLike<unknown>;
export type Draw = (dice: Dice, cast: Cast) => Call;

export const campaignOf = (dice: Dice, { campaignIds }: Cast) => dice.pick(campaignIds);
export const placesOf = (dice: Dice) => positionsOf(dice).map((position) => ({ stage: 1, position }));
export const positionsOf = (dice: Dice) => {
  const chosen = Array.from({ length: PEOPLE }, (_, i) => i + 1).filter(() => dice.chance(0.4));
  return chosen.length > 0 ? chosen : [1];
};
export const someOf = (dice: Dice, { addresses }: Cast) => {
  const chosen = addresses.filter(() => dice.chance(0.5));
  return chosen.length > 0 ? chosen : addresses.slice(0, 1);
};
export const lotOf = (dice: Dice, cast: Cast) => ({
  campaignId: campaignOf(dice, cast),
  first: dice.pick([1, 1, 4]),
  last: 0,
  handed: 0,
  token: dice.whole(0, 2),
});
export const whole = (dice: Dice, cast: Cast) => {
  const lot = lotOf(dice, cast);
  return { ...lot, last: lot.first + 2, handed: dice.whole(lot.first - 1, lot.first + 2) };
};
export const aroundNow = (dice: Dice, { now }: Cast) => new Date(now + dice.pick([-1_000, 0, 5_000]));

export function outcomesOf(dice: Dice): MessageRow[] {
  return positionsOf(dice).map((position): MessageRow => {
    const state = dice.pick(["accepted", "failed", "skipped", "uncertain", "queued"] as const);
    const queued = state === "queued";
    return {
      ...{ stage: 1, position, attempt: dice.whole(1, 3), state, code: state === "accepted" ? null : "code", cause: null },
      ...{ providerRef: state === "accepted" ? `p${position}` : null, delayMs: queued ? dice.pick([0, 1_000]) : null, delays: queued ? 1 : 0 },
      ended: queued && dice.chance(0.5),
    };
  });
}

export const accepted = (dice: Dice) =>
  outcomesOf(dice).map((row): MessageRow => ({ ...row, attempt: 1, state: "accepted", code: null, providerRef: `p${row.position}` }));
export const RECENT = { afterMs: 900_000, attemptsMax: ATTEMPTS_MAX, limit: 3 };
export const STATEMENT = { recipients: 6, accepted: 6, failed: 0, skipped: {}, uncertain: 0, undelivered: 0 };
export const ENDED = { code: "stopped", cause: "stopped" };
