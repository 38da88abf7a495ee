import { Refusal } from "../../rules/refusal.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { seal, unseal } from "../../runtime/seal.ts";
import * as deliveries from "./delivery-store.ts";
import type { WebhookDeps } from "./deps.ts";
import * as store from "./endpoint-store.ts";
import { addressOf, isAllowed } from "./guard.ts";
import { newSecret } from "./signature.ts";

/** A new secret as it is shown once, with its endpoint. */
export interface Shown {
  readonly endpoint: store.Endpoint;
  /** `whsec_…` */
  readonly secret: string;
}

export interface NewEndpoint {
  readonly workspaceId: string;
  readonly url: string;
  /** Null: all. */
  readonly events: readonly string[] | null;
}

/** It is told of what happens from now on. @throws {Refusal} malformed (url) */
export async function createEndpoint({ workspaceId, url, events }: NewEndpoint, deps: WebhookDeps): Promise<Shown> {
  assertUrl(url, deps.allowPrivate);
  const id = deps.luck.uuid();
  const { secret, sealed } = makeSecret(id, deps);
  const [endpoint] = await store.insertEndpoint(deps.sql, { workspaceId, id, url, events, secret: sealed });
  if (endpoint === undefined) throw new Error("insert into webhook_endpoint returned nothing");
  return { endpoint, secret };
}

/** What can be seen without asking for the name's addresses, which may be others tomorrow; those are looked at before each connection. */
function assertUrl(text: string, allowPrivate: boolean): void {
  const url = new URL(text);
  const address = addressOf(url);
  const message =
    url.protocol !== "https:" && !allowPrivate
      ? "A webhook goes to an https address, unless WEBHOOKS_ALLOW_PRIVATE is true."
      : url.username !== "" || url.password !== ""
        ? "The address may hold no user and password: who sends is told by the signature."
        : address !== null && !isAllowed(address, allowPrivate)
          ? `${address} is an internal address. Webhooks go to public ones only, unless WEBHOOKS_ALLOW_PRIVATE is true.`
          : null;
  if (message !== null) throw new Refusal("malformed", { cause: message }, [{ path: "url", message }]);
}

const boundTo = (id: string) => `webhook_endpoint ${id}`;

function makeSecret(id: string, { luck, keys: [key] }: WebhookDeps): { secret: string; sealed: Uint8Array } {
  const secret = newSecret(luck);
  return { secret, sealed: seal(secret, { boundTo: boundTo(id), key, luck }) };
}

/** All that sign now, the newest first. Null when the newest does not open. */
export function secretsOf(id: string, { secret, previousSecret }: store.SealedSecrets, { keys }: Pick<WebhookDeps, "keys">): string[] | null {
  const open = (sealed: Uint8Array | null) => (sealed === null ? null : unseal(sealed, { boundTo: boundTo(id), keys }));
  const [newest, previous] = [open(secret), open(previousSecret)];
  if (newest === null) return null;
  return previous === null ? [newest] : [newest, previous];
}

/** @throws {Refusal} not_found */
export async function readEndpoint(ref: store.EndpointRef, { sql }: { sql: Sql }): Promise<store.Endpoint> {
  const [endpoint] = await store.readEndpoint(sql, ref);
  if (endpoint === undefined) throw unknown(ref);
  return endpoint;
}

export const unknown = ({ id }: store.EndpointRef): Refusal => new Refusal("not_found", { what: "webhook endpoint", id });

/** Changes what is given. What waited while it was disabled goes out when it is enabled. @throws {Refusal} not_found, malformed (url) */
export async function updateEndpoint(ref: store.EndpointRef, change: store.EndpointChange, deps: WebhookDeps): Promise<store.Endpoint> {
  if (change.url !== undefined) assertUrl(change.url, deps.allowPrivate);
  const [endpoint] = await store.updateEndpoint(deps.sql, ref, change);
  if (endpoint === undefined) throw unknown(ref);
  await deliveries.wake(deps.sql, ref.id);
  return endpoint;
}

/** Nothing more is sent to it. @throws {Refusal} not_found */
export async function deleteEndpoint(ref: store.EndpointRef, { sql }: WebhookDeps): Promise<void> {
  await transaction(sql, async (tx) => {
    const { count } = await store.deleteEndpoint(tx, ref);
    if (count === 0) throw unknown(ref);
    await store.giveUpPending(tx, ref);
  });
}

const HOUR_MS = 3_600_000;

/** A new secret; for `keepHours` the one before it signs too. @throws {Refusal} not_found */
export async function rotateSecret(ref: store.EndpointRef, keepHours: number, deps: WebhookDeps): Promise<Shown> {
  const { secret, sealed } = makeSecret(ref.id, deps);
  const [endpoint] = await store.rotateSecret(deps.sql, ref, { secret: sealed, keepMs: keepHours * HOUR_MS });
  if (endpoint === undefined) throw unknown(ref);
  return { endpoint, secret };
}
