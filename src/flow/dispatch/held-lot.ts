import { LEASE_MS, WINDOW_MAX } from "../../rules/limits.ts";
import type { RenderedMessage } from "../../rules/message.ts";
import type { Outcome } from "../../rules/outcome.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Provider } from "../provider/port.ts";
import type { Expected } from "./admission.ts";
import { type CampaignFacts, campaignFacts } from "./campaign-facts.ts";
import type { DispatchDeps } from "./deps.ts";
import { createFlight, type Ended, type Flight, type Marked } from "./flight.ts";
import { type NextLot, type RecipientRow, readRecipients, readUnwritten, type TakenLot } from "./lot-store.ts";
import type { Asking } from "./settle.ts";

/** A message of the lot that asks to be sent next, rendered. */
export interface Queued extends Asking {
  readonly message: RenderedMessage | null;
}

/** A lot in the hands of this engine. Its memory, not the database, is the truth about what was begun. */
export interface HeldLot {
  readonly facts: CampaignFacts;
  readonly campaignId: string;
  first: number;
  token: number;
  flight: Flight;
  last: number;
  /** The mark as this holder knows it: everything up to here has begun, waits in `flight`, or has a row. */
  handed: number;
  /** Those who come next, in order and rendered: a window of them, taken from `people` when the one before is used up. */
  queue: Queued[];
  /** Those after them, as they were read with the lot; null: they were not read yet. */
  people: RecipientRow[] | null;
  /** All that is left of the lot is in `queue`. */
  readAll: boolean;
  /** A COMMIT was not confirmed: what comes next must be read again. */
  unsure: boolean;
  /** Positions beyond the mark, or outcomes that are not confirmed, may have rows: somebody else held the lot, a COMMIT was not confirmed, or messages were taken back. */
  mayHaveRows: boolean;
  /** Given back in a turn that is not committed yet. */
  dropped: readonly Marked[];
  /** Marked, their slots missed, taken back in a turn that is not committed yet. */
  missed: readonly Marked[];
  /** The breaker tripped on this lot's outcomes; the sender is not held yet. */
  tripped: boolean;
  /** A pace binds this lot; null: that is not known before its first turn. One lot of a paced campaign is enough. */
  paced: boolean | null;
  /** The limits as its last turn found them. */
  expect: Expected;
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
    people: null,
    readAll: false,
    unsure: false,
    mayHaveRows: token > 1,
    dropped: [],
    missed: [],
    paced: facts.unlimited ? false : null,
    expect: { capped: facts.capped, paced: !facts.unlimited, unlimited: facts.unlimited },
  });
}

/** The lot is closed, and the same hands hold the next one: nobody had it before, and what is known of the campaign still holds. */
export async function moveOn(lot: HeldLot, { first, last, token }: NextLot, leasedAt: number, deps: DispatchDeps): Promise<void> {
  // The same, unless the sender was changed meanwhile: it knows how many calls the vendor takes at once.
  const flight = (await openProvider(lot.facts, deps)) === lot.flight.provider ? lot.flight : await openFlight(lot.facts, lot, deps);
  flight.leaseUntil(leasedAt + LEASE_MS);
  Object.assign(lot, { first, last, handed: first - 1, token, flight, queue: [], people: null, readAll: false } satisfies Partial<HeldLot>);
}

/** A sending loop of one campaign. It stops by itself when its sender is refused, told to slow down, or not to be understood. */
export async function openFlight(facts: CampaignFacts, sending: { tripped: boolean }, deps: DispatchDeps, inFlightMax?: number): Promise<Flight> {
  const { clock, signal, breaker } = deps;
  const provider = await openProvider(facts, deps);
  const onEnded = ({ outcome }: Ended): boolean => {
    if (breaker.note(facts.senderId, outcome.kind === "uncertain")) sending.tripped = true;
    return sending.tripped || stopsSender(outcome);
  };
  return createFlight({ provider, clock, signal, onEnded, ...(inFlightMax === undefined ? {} : { inFlightMax }) });
}

const openProvider = ({ senderId }: CampaignFacts, deps: DispatchDeps): Promise<Provider> => deps.openProvider(senderId).catch(unusable);

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

/** Renders the messages of those who come next, a window at a time; reads who is left in the lot when that is not known. */
export async function refill(lot: HeldLot, deps: DispatchDeps): Promise<void> {
  const read = lot.mayHaveRows ? readUnwritten : readRecipients;
  if (lot.unsure || lot.people === null) lot.people = [...(await read(deps.sql, { campaignId: lot.campaignId, from: lot.handed + 1, to: lot.last }))];
  const rows = lot.people.splice(0, WINDOW_MAX);
  lot.queue = [];
  let since = deps.clock.monotonicMs();
  for (const row of rows) {
    lot.queue.push(queued(row, lot.facts));
    if (deps.clock.monotonicMs() - since < RENDER_RUN_MAX_MS) continue;
    await deps.clock.sleep(0);
    since = deps.clock.monotonicMs();
  }
  lot.readAll = lot.people.length === 0;
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
  const rendering = facts.message.render(facts.hasVariables ? { ...facts.variables, ...variables } : variables);
  return rendering.ok ? { message: rendering.message, skip: null } : { message: null, skip: { reason: rendering.reason, detail: rendering.detail } };
}

/** Messages that were marked and not begun ask again. The mark goes back to what was begun; only then may a transaction write it. */
export function takeBack(lot: HeldLot, marked: readonly Marked[]): void {
  const [earliest] = marked;
  if (earliest === undefined) return;
  lot.queue.unshift(...marked.map((one) => ({ ...one, skip: null })));
  lot.handed = earliest.position - 1;
  lot.mayHaveRows = true;
}
