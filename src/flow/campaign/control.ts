import { parseCampaignId } from "../../rules/campaign-id.ts";
import { type CampaignEvent, type CampaignState, transitions } from "../../rules/campaign-state.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { closeRest } from "./close.ts";
import type { CampaignDeps, CampaignRef } from "./deps.ts";
import { planNow } from "./plan.ts";
import { openRegression } from "./regression-store.ts";
import * as store from "./store.ts";

/** Chunks of 5,000 recipients that `stop` closes before it answers, about a second's work; the closing loop does the others. */
const CLOSED_AT_ONCE_MAX = 10;

export interface Started {
  readonly id: string;
  readonly state: CampaignState;
  readonly scheduledAt: Date | null;
}

export interface Paused {
  readonly id: string;
  readonly state: "paused";
  readonly pausedAt: Date;
  /** Messages that may still leave, or have left without an answer so far: an upper bound. */
  readonly inFlight: number;
}

export interface Resumed {
  readonly id: string;
  readonly state: CampaignState;
}

export interface Stopped {
  readonly id: string;
  readonly state: "stopped";
  readonly completedAt: Date;
  /** As in `Paused`. Everybody else is skipped(stopped); the statement follows when these have an outcome. */
  readonly inFlight: number;
}

/**
 * Starts a draft: due now, or at its own `scheduledAt` while that lies ahead. `atOnce` also plans it before answering, and completes
 * a start that was interrupted before the campaign ran; a campaign that no engine drives is always planned at once. The state then
 * is `running`, or what planning led to: `completed` (nobody), `failed` (sender never connected), `paused` (sender blocked).
 * @throws {Refusal} campaign_not_found, already_running, transition_refused, database_regressed
 */
export async function start(ref: CampaignRef, options: { atOnce: boolean }, deps: CampaignDeps): Promise<Started> {
  const started = await transaction(
    deps.sql,
    async (tx) => {
      const campaign = await lock(tx, ref);
      const { id, state, due } = campaign;
      const atOnce = options.atOnce || !campaign.engine;
      await assertAccepted(tx);
      if (state === "draft") {
        const { scheduledAt } = one(await store.schedule(tx, id));
        return { id, state: "scheduled" as const, scheduledAt, atOnce };
      }
      const begun = state === "preparing" || (state === "scheduled" && due);
      if (begun && options.atOnce) return { id, state, scheduledAt: campaign.scheduledAt, atOnce };
      if (begun || state === "running") throw new Refusal("already_running", { id });
      throw new Refusal("transition_refused", { id, state });
    },
    deps,
  );
  const { id, scheduledAt } = started;
  const state = started.atOnce ? await planNow({ workspaceId: ref.workspaceId, id }, deps) : started.state;
  return { id, state, scheduledAt };
}

/**
 * Once it answers nothing more is marked; what was marked begins within 250 ms or not at all.
 * @throws {Refusal} campaign_not_found, transition_refused
 */
export const pause = (ref: CampaignRef, options: { reason: string | null }, deps: CampaignDeps): Promise<Paused> =>
  transaction(
    deps.sql,
    async (tx) => {
      const { id } = await lockFor(tx, ref, "pause");
      const { pausedAt } = one(await store.pause(tx, id, options.reason));
      const { inFlight } = one(await store.countInFlight(tx, id));
      await store.emit(tx, id, "campaign:paused", {
        reason: options.reason,
        inFlight,
      });
      return { id, state: "paused" as const, pausedAt, inFlight };
    },
    deps,
  );

/**
 * Goes on: `running`, or `scheduled` when the recipients are not all known yet; planning then goes on where it stood, at once when
 * asked for or when no engine drives the campaign. Whatever waited for a cap is tried again.
 * @throws {Refusal} campaign_not_found, transition_refused, sender_blocked (it would pause again in its first turn), database_regressed
 */
export async function resume(ref: CampaignRef, options: { atOnce: boolean }, deps: CampaignDeps): Promise<Resumed> {
  const resumed = await transaction(
    deps.sql,
    async (tx) => {
      // A turn locks its lot first and the campaign then: whoever takes both in the other order ends in a deadlock with it.
      await store.lockLots(tx, { ...ref, id: idOf(ref) });
      const { id, engine, blockedReason, delayBetweenBatchesMs } = await lockFor(tx, ref, "resume");
      if (blockedReason !== null) throw new Refusal("sender_blocked", { reason: blockedReason });
      await assertAccepted(tx);
      await store.wakeLots(tx, id, delayBetweenBatchesMs);
      const { state } = one(await store.resume(tx, id));
      await store.emit(tx, id, "campaign:resumed", { state });
      return {
        id,
        state,
        plan: state === "scheduled" && (options.atOnce || !engine),
      };
    },
    deps,
  );
  const { id, state, plan } = resumed;
  return {
    id,
    state: plan ? await planNow({ workspaceId: ref.workspaceId, id }, deps) : state,
  };
}

/**
 * Ends a campaign for good: nothing more is marked once it answers, and whoever was not marked is skipped(stopped), here or, of a
 * large campaign, by the closing loop.
 * @throws {Refusal} campaign_not_found, transition_refused
 */
export async function stop(ref: CampaignRef, deps: CampaignDeps): Promise<Stopped> {
  const stopped = await transaction(
    deps.sql,
    async (tx) => {
      const { id } = await lockFor(tx, ref, "stop");
      const { completedAt } = one(await store.stop(tx, id));
      const { inFlight } = one(await store.countInFlight(tx, id));
      await store.emit(tx, id, "campaign:stopped", { inFlight });
      return { id, state: "stopped" as const, completedAt, inFlight };
    },
    deps,
  );
  await closeRest(stopped.id, { chunksMax: CLOSED_AT_ONCE_MAX }, deps);
  return stopped;
}

/**
 * Refuses unless the campaign is a draft, and keeps it one until the transaction ends (outside of one, it only looks). For adding
 * recipients: every transaction that adds some must ask.
 * @throws {Refusal} campaign_not_found, not_a_draft
 */
export async function assertDraft(sql: Sql, ref: CampaignRef): Promise<void> {
  const [campaign] = await store.lockDraft(sql, { ...ref, id: idOf(ref) });
  if (campaign === undefined) throw new Refusal("campaign_not_found", { id: ref.id });
  if (campaign.state !== "draft") throw new Refusal("not_a_draft", { state: campaign.state });
}

/** The campaign, locked, when it exists in the workspace. */
async function lock(tx: Sql, ref: CampaignRef): Promise<store.LockedCampaign> {
  const [campaign] = await store.lockCampaign(tx, { ...ref, id: idOf(ref) });
  if (campaign === undefined) throw new Refusal("campaign_not_found", { id: ref.id });
  return campaign;
}

/** … and when `event` may happen to it now. */
async function lockFor(tx: Sql, ref: CampaignRef, event: CampaignEvent): Promise<store.LockedCampaign> {
  const campaign = await lock(tx, ref);
  if (transitions[campaign.state][event] === undefined)
    throw new Refusal("transition_refused", {
      id: campaign.id,
      state: campaign.state,
    });
  return campaign;
}

/** Nothing goes on in a database that went back, until somebody has accepted it as it is. */
async function assertAccepted(tx: Sql): Promise<void> {
  const [regression] = await openRegression(tx);
  if (regression !== undefined) throw new Refusal("database_regressed", { what: regression.what });
}

function idOf(ref: CampaignRef): string {
  const id = parseCampaignId(ref.id);
  if (id === null) throw new Refusal("campaign_not_found", { id: ref.id });
  return id;
}

/** The one row of a statement that must have changed one: the row is locked and its state was looked at. */
function one<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error("a locked campaign did not change as its state allows");
  return row;
}
