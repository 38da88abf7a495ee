import type { CampaignState } from "../../rules/campaign-state.ts";
import { LOT_RECIPIENTS_MAX } from "../../rules/limits.ts";
import { refusals } from "../../rules/refusal.ts";
import type { Filter } from "../../rules/segment.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { readChoice } from "./choice.ts";
import { conditionOf, type Gone } from "./choice-store.ts";
import { closeRest, statementOf } from "./close.ts";
import type { CampaignDeps, CampaignRef, ChosenBy } from "./deps.ts";
import * as store from "./plan-store.ts";
import { emit, fail, type LockedCampaign, lockCampaign, pause, preferIndexes } from "./store.ts";

/** Members of the audience looked at in one transaction: 150 ms, for which a pause waits at most. */
const CHUNK_MEMBERS_MAX = 5_000;
/** Steps of one audience: two hundred million contacts. More means that planning makes no progress. */
const STEPS_MAX = 40_000;

const HOUR_MS = 3_600_000;

/** Shown, with status 200, when a campaign has nobody to write to (document 001). */
const NOBODY = "No pending recipients for campaign";

export interface PlanOptions {
  /** Members of the audience looked at in one transaction. */
  readonly chunkMax?: number;
}

/**
 * Does the next step of planning a campaign whose time has come, in one transaction: the sender is looked at, a chunk of the audience is
 * frozen as recipients, and after the last chunk the lots are cut and the campaign runs. Returns the state it is in then; anything
 * but `preparing` says that there is no more to plan. Null: there is no such campaign.
 *
 * The fence is the campaign's own row: state, cursor and recipients change together under its lock, so planners may be many, may die
 * anywhere and may come back late; each takes the next chunk after what is committed. No lease, hence nothing to recover.
 */
export async function planStep(
  ref: CampaignRef,
  deps: CampaignDeps,
  { chunkMax = CHUNK_MEMBERS_MAX }: PlanOptions = {},
): Promise<CampaignState | null> {
  const { state, total } = await transaction(deps.sql, (tx) => step(tx, ref, { chunkMax, chosenBy: deps.chosenBy }), deps);
  if (total > CHUNK_MEMBERS_MAX) await store.analyze(deps.sql);
  if (state === "failed") await closeRest(ref.id, { chunksMax: 1 }, deps);
  return state;
}

/** Plans a campaign to its end; returns the state it is in then: `running`, or `completed`, `failed`, `paused`, or not due yet. */
export async function planNow(ref: CampaignRef, deps: CampaignDeps, options: PlanOptions = {}): Promise<CampaignState> {
  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const state = await planStep(ref, deps, options);
    if (state === null) throw new Error(`campaign ${ref.id} disappeared while it was planned`);
    if (state !== "preparing") return state;
  }
  throw new Error(`planning campaign ${ref.id} does not come to an end`);
}

/**
 * The planning loop's step: one step of each of up to `limit` due campaigns, so a large one does not keep a small one waiting.
 * Returns how many there were. One campaign's error does not stop another; the first is thrown when all had their turn.
 */
export async function planDue(limit: number, deps: CampaignDeps): Promise<number> {
  const due = await store.readDue(deps.sql, limit);
  const errors: unknown[] = [];
  for (const ref of due) {
    try {
      await planStep(ref, deps);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return due.length;
}

/** `total`: how many recipients there are, when this step was the last. */
interface Step {
  readonly state: CampaignState | null;
  readonly total: number;
}

async function step(tx: Sql, ref: CampaignRef, { chunkMax, chosenBy }: { chunkMax: number; chosenBy: ChosenBy | undefined }): Promise<Step> {
  const [campaign] = await lockCampaign(tx, ref);
  if (campaign === undefined) return { state: null, total: 0 };
  const begins = campaign.state === "scheduled" && campaign.due;
  if (!begins && campaign.state !== "preparing") return { state: campaign.state, total: 0 };
  const choice = await readChoice(tx, campaign);
  if (begins) {
    const refused = (await refuseLate(tx, campaign)) ?? (await refuseSender(tx, campaign)) ?? (await begin(tx, campaign.id, choice));
    if (refused !== null) return { state: refused, total: 0 };
  }
  await preferIndexes(tx);
  const [chunk] = await store.freeze(tx, campaign, { max: chunkMax, condition: conditionOf(tx, choice, { chosenBy, extent: "chunk" }) });
  return chunk?.seen === chunkMax ? { state: "preparing", total: 0 } : finish(tx, campaign);
}

/** From here on the campaign keeps its own copy of what its segments say. */
async function begin(tx: Sql, id: string, choice: Filter | null | Gone): Promise<CampaignState | null> {
  if (choice === null || !("goneSegmentId" in choice)) {
    await store.prepare(tx, id, choice);
    return null;
  }
  const error = `Segment ${choice.goneSegmentId} was deleted.`;
  await fail(tx, id, error);
  await emit(tx, id, "campaign:failed", { error });
  return "failed";
}

/** Nobody is written to days after the time that was meant, only because an engine comes back: whoever resumes it wants it all the same. */
async function refuseLate(tx: Sql, { id, scheduledAt, missed, now }: LockedCampaign): Promise<CampaignState | null> {
  if (!missed || scheduledAt === null) return null;
  const hours = Math.floor((now.getTime() - scheduledAt.getTime()) / HOUR_MS);
  const reason = `Nothing ran when its time came, ${scheduledAt.toISOString()}; that is ${hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`} ago. Resume it to send it now all the same, or stop it.`;
  await pause(tx, id, reason);
  await emit(tx, id, "campaign:paused", { reason, inFlight: 0 });
  return "paused";
}

/** A sender that was never connected, or is gone, fails the campaign; one that was and is refused now pauses it. Nobody is lost. */
async function refuseSender(tx: Sql, campaign: LockedCampaign): Promise<CampaignState | null> {
  const { id, senderConnected, senderDeleted, blockedReason } = campaign;
  if (senderDeleted || !senderConnected) {
    const error = senderDeleted ? "The sender was deleted." : refusals.sender_not_connected;
    await fail(tx, id, error);
    await emit(tx, id, "campaign:failed", { error });
    return "failed";
  }
  if (blockedReason === null) return null;
  await pause(tx, id, blockedReason);
  await emit(tx, id, "campaign:paused", { reason: blockedReason, inFlight: 0 });
  return "paused";
}

async function finish(tx: Sql, campaign: LockedCampaign): Promise<Step> {
  const { id, batchSize, delayBetweenBatchesMs } = campaign;
  const [planned] = await store.countPlanned(tx, id);
  if (planned === undefined || planned.last !== planned.rows)
    throw new Error(`campaign ${id}: positions have gaps: last ${planned?.last}, rows ${planned?.rows}`);
  const total = planned.rows;
  if (total === 0) {
    const statement = await statementOf(tx, id);
    await store.completeEmpty(tx, id, statement);
    await emit(tx, id, "campaign:completed", { statement, warning: NOBODY });
    return { state: "completed", total };
  }
  await store.insertLots(tx, id, {
    total,
    size: Math.min(batchSize ?? LOT_RECIPIENTS_MAX, LOT_RECIPIENTS_MAX),
    oneByOne: delayBetweenBatchesMs > 0,
  });
  await store.run(tx, id, total);
  await emit(tx, id, "campaign:started", { totalRecipients: total });
  return { state: "running", total };
}
