import { LEASE_MS, WINDOW_MAX } from "../../rules/limits.ts";
import type { RenderedMessage } from "../../rules/message.ts";
import type { Outcome } from "../../rules/outcome.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Provider } from "../provider/port.ts";
import { type CampaignFacts, campaignFacts } from "./campaign-facts.ts";
import type { DispatchDeps } from "./deps.ts";
import { createFlight, type Ended, type Flight, type Marked } from "./flight.ts";
import { type RecipientRow, readRecipients, type TakenLot } from "./lot-store.ts";
import type { Asking } from "./settle.ts";

/** A message of the lot that asks to be sent next, rendered. */
export interface Queued extends Asking {
  readonly message: RenderedMessage | null;
}

/** A lot in the hands of this engine. Its memory, not the database, is the truth about what was begun. */
export interface HeldLot {
  readonly facts: CampaignFacts;
  readonly campaignId: string;
  readonly first: number;
  readonly token: number;
  readonly flight: Flight;
  last: number;
  /** The mark as this holder knows it: everything up to here has begun, waits in `flight`, or has a row. */
  handed: number;
  /** Those who come next, in order; a part of the lot, read when the part before is used up. */
  queue: Queued[];
  /** All that is left of the lot is in `queue`. */
  readAll: boolean;
  /** A COMMIT was not confirmed: which positions beyond the mark have rows must be read again. */
  unsure: boolean;
  /** Given back in a turn that is not committed yet. */
  dropped: readonly Marked[];
  /** The breaker tripped on this lot's outcomes; the sender is not held yet. */
  tripped: boolean;
  /** A pace binds this lot; null before its first turn. One lot of a paced campaign is enough. */
  paced: boolean | null;
}

export async function holdLot(taken: TakenLot, leasedAt: number, deps: DispatchDeps, inFlightMax?: number): Promise<HeldLot> {
  const facts = await campaignFacts(deps, taken.campaignId);
  const { campaignId, first, last, handed, token } = taken;
  const sending = { tripped: false };
  const flight = await openFlight(facts, sending, deps, inFlightMax);
  flight.leaseUntil(leasedAt + LEASE_MS);
  return Object.assign(sending, {
    facts,
    campaignId,
    first,
    last,
    handed,
    token,
    flight,
    queue: [],
    readAll: false,
    unsure: true,
    dropped: [],
    paced: null,
  });
}

/** A sending loop of one campaign. It stops by itself when its sender is refused, told to slow down, or not to be understood. */
export async function openFlight(facts: CampaignFacts, sending: { tripped: boolean }, deps: DispatchDeps, inFlightMax?: number): Promise<Flight> {
  const { clock, signal, breaker } = deps;
  const provider = await deps.openProvider(facts.senderId).catch(unusable);
  const onEnded = ({ outcome }: Ended): boolean => {
    if (breaker.note(facts.senderId, outcome.kind === "uncertain")) sending.tripped = true;
    return sending.tripped || stopsSender(outcome);
  };
  return createFlight({ provider, clock, signal, onEnded, ...(inFlightMax === undefined ? {} : { inFlightMax }) });
}

/** A sender that is gone, or whose credentials cannot be read, is a refused sender: its campaigns pause with the reason. */
function unusable(error: unknown): Provider {
  if (!(error instanceof Refusal)) throw error;
  return { name: "unusable", send: async () => ({ kind: "rejected", code: "sender_unusable", cause: error.message, remedy: "block_sender" }) };
}

const stopsSender = (outcome: Outcome): boolean =>
  (outcome.kind === "throttled" && outcome.scope === "sender") ||
  (outcome.kind === "rejected" && (outcome.remedy === "block_sender" || outcome.remedy === "pause_campaign"));

/** A costly template must not keep the process from its leases, its receipts and its other campaigns. */
const RENDER_RUN_MAX_MS = 20;

/** Reads who comes next, a window at a time, and renders their messages. */
export async function refill(lot: HeldLot, deps: DispatchDeps): Promise<void> {
  const rows = await readRecipients(deps.sql, { campaignId: lot.campaignId, from: lot.handed + 1, to: lot.last, limit: WINDOW_MAX });
  lot.queue = [];
  let since = deps.clock.monotonicMs();
  for (const row of rows) {
    lot.queue.push(queued(row, lot.facts));
    if (deps.clock.monotonicMs() - since < RENDER_RUN_MAX_MS) continue;
    await deps.clock.sleep(0);
    since = deps.clock.monotonicMs();
  }
  lot.readAll = rows.length < WINDOW_MAX;
  lot.unsure = false;
}

const queued = (row: RecipientRow, facts: CampaignFacts): Queued => ({
  stage: 1,
  position: row.position,
  attempt: 1,
  delays: 0,
  address: row.address,
  ...rendered(row, facts),
});

/** The recipient's message, or why there is none. A campaign's variables stand in where the recipient has no value. */
export function rendered({ variables }: Pick<RecipientRow, "variables">, facts: CampaignFacts): Pick<Queued, "message" | "skip"> {
  const rendering = facts.message.render({ ...facts.variables, ...variables });
  return rendering.ok ? { message: rendering.message, skip: null } : { message: null, skip: { reason: rendering.reason, detail: rendering.detail } };
}

/** Messages that were marked and not begun ask again. The mark goes back to what was begun; only then may a transaction write it. */
export function takeBack(lot: HeldLot, marked: readonly Marked[]): void {
  const [earliest] = marked;
  if (earliest === undefined) return;
  lot.queue.unshift(...marked.map((one) => ({ ...one, skip: null })));
  lot.handed = earliest.position - 1;
}
