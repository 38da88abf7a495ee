import { Refusal } from "../../rules/refusal.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import * as store from "./delivery-store.ts";
import type { WebhookDeps } from "./deps.ts";
import type { EndpointRef } from "./endpoint-store.ts";
import { readEndpoint } from "./endpoints.ts";

const states: readonly store.DeliveryState[] = ["pending", "delivered", "dead"];

export interface DeliveryQuery {
  /** Absent: all. */
  readonly state?: store.DeliveryState | undefined;
  /** The id of the last on the page before; null: the first page. */
  readonly afterId: string | null;
  readonly limit: number;
}

/** What was told to an endpoint, the latest event first. @throws {Refusal} not_found */
export async function listDeliveries(sql: Sql, ref: EndpointRef, { state, afterId, limit }: DeliveryQuery): Promise<store.Delivery[]> {
  const { id } = await readEndpoint(ref, { sql });
  return store.listDeliveries(sql, id, { states: state === undefined ? states : [state], afterId, limit });
}

/** Tells an event once more, under the same id; what is under way at the moment stays as it is. @throws {Refusal} not_found */
export async function replayDelivery(ref: EndpointRef, deliveryId: string, { sql }: WebhookDeps): Promise<store.Delivery> {
  await readEndpoint(ref, { sql });
  await store.replayOne(sql, ref, deliveryId);
  const [delivery] = await store.readDelivery(sql, ref, deliveryId);
  if (delivery === undefined) throw new Refusal("not_found", { what: "delivery", id: deliveryId });
  await store.wake(sql, ref.id);
  return delivery;
}

/**
 * Tells everything since then once more: what was delivered and what died under the same ids, and what happened while the endpoint was
 * disabled, or not there, for the first time. Returns how many. @throws {Refusal} not_found
 */
export async function replaySince(ref: EndpointRef, since: Date, { sql }: WebhookDeps): Promise<number> {
  await readEndpoint(ref, { sql });
  const queued = await transaction(sql, async (tx) => {
    const known = await store.replayKnown(tx, ref, since);
    const missed = await store.addMissed(tx, ref, since);
    return known.count + missed.count;
  });
  await store.wake(sql, ref.id);
  return queued;
}
