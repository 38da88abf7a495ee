import { retryAfterMs, retryWaitMs } from "../../rules/webhook.ts";
import type { Log } from "../../runtime/log.ts";
import { type Running, startLoop } from "../../runtime/loop.ts";
import { isPassing, transaction } from "../../runtime/postgres.ts";
import { ownVersion } from "../../runtime/version.ts";
import * as store from "./delivery-store.ts";
import type { WebhookDeps } from "./deps.ts";
import { disableEndpoint, type EndpointRef, readSecrets } from "./endpoint-store.ts";
import { readEndpoint, secretsOf, unknown } from "./endpoints.ts";
import { POST_TIME_MAX_MS, type Posted } from "./post.ts";
import { signatureHeaders } from "./signature.ts";

/** Under way to one endpoint, from all processes: a slow one delays no other. */
const PER_ENDPOINT_MAX = 4;
/** Under way from this process. */
const IN_FLIGHT_MAX = 256;
/** Longer than a call and the record of it. After that the process that sent has died, and the same is sent again. */
const LEASE_MS = POST_TIME_MAX_MS + 45_000;
/** A stop waits so long for what is under way, and gives back the rest. */
const STOP_WAIT_MS = 3_000;

/** What became of one try. */
export type Result = "delivered" | "retried" | "dead";

export interface DeliverOptions {
  /** How often it looks; a notification wakes it before. */
  readonly pollMs: number;
  readonly report?: (result: Result) => void;
  readonly perEndpointMax?: number;
}

interface DeliverDeps extends WebhookDeps {
  readonly log: Log;
}

/** Delivers what is due until it is stopped. Any number of processes may do so at once. */
export function startDeliveries(deps: DeliverDeps, { pollMs, report = () => {}, perEndpointMax = PER_ENDPOINT_MAX }: DeliverOptions): Running {
  const { sql, clock, log } = deps;
  const underWay = new Set<Promise<void>>();
  const stopping = new AbortController();

  const launch = (leased: store.Leased): void => {
    const ended = deliver(leased, deps, stopping.signal)
      .then((result) => void (result && report(result)))
      // It may have arrived, and will be sent again when its lease is over.
      .catch((error) => log[isPassing(error) ? "warn" : "error"]({ err: error, deliveryId: leased.id }, "a webhook's outcome could not be recorded"))
      .finally(() => {
        underWay.delete(ended);
        loop.nudge();
      });
    underWay.add(ended);
  };
  const step = async (): Promise<number> => {
    const most = IN_FLIGHT_MAX - underWay.size;
    const taken = most === 0 ? [] : await takeDue(sql, { most, perEndpoint: perEndpointMax, leaseMs: LEASE_MS });
    taken.forEach(launch);
    return taken.length;
  };
  const loop = startLoop({ name: "webhooks", step, restMs: () => pollMs }, { clock, log });
  return {
    nudge: loop.nudge,
    async stop() {
      await loop.stop();
      const done = new AbortController();
      const all = Promise.all(underWay).finally(() => done.abort());
      void clock.sleep(STOP_WAIT_MS, done.signal).then(() => stopping.abort());
      await all;
    },
  };
}

/** The same limits hold in every process: an endpoint's deliveries are counted and taken under its lock. */
const takeDue = (sql: WebhookDeps["sql"], limits: Parameters<typeof store.take>[2]): Promise<readonly store.Leased[]> =>
  transaction(sql, async (tx) => {
    const ready = await store.lockReady(tx);
    return ready.length === 0
      ? []
      : store.take(
          tx,
          ready.map(({ id }) => id),
          limits,
        );
  });

/** One try. Null: it was given back, or is somebody else's by now. */
async function deliver(leased: store.Leased, deps: DeliverDeps, signal: AbortSignal): Promise<Result | null> {
  const { id, campaignId, seq, name, body, at } = leased;
  const said = { id, type: name, at, data: { ...body, campaignId, seq } };
  const posted = await post(said, { to: leased, signal }, deps);
  if (posted.kind === "aborted") {
    await store.giveBack(deps.sql, leased);
    return null;
  }
  const tried = outcomeOf(posted, leased.attempts, deps);
  const recorded = await transaction(deps.sql, async (tx) => {
    const { count } = await store.recordTry(tx, leased, tried);
    if (tried.status === GONE && count > 0) await disableEndpoint(tx, { workspaceId: leased.workspaceId, id: leased.endpointId }, GONE_REASON);
    return count > 0;
  });
  if (!recorded) return null;
  if (tried.state === "dead") deps.log.warn({ deliveryId: id, endpointId: leased.endpointId, cause: tried.cause }, "a webhook was given up");
  return tried.state === "pending" ? "retried" : tried.state;
}

interface Said {
  readonly id: string;
  readonly type: string;
  /** When it happened. */
  readonly at: Date;
  readonly data: Readonly<Record<string, unknown>>;
}

interface Target {
  readonly to: Pick<store.Leased, "endpointId" | "url" | "secret" | "previousSecret">;
  readonly signal: AbortSignal;
}

async function post({ id, type, at, data }: Said, { to, signal }: Target, deps: WebhookDeps): Promise<Posted> {
  const secrets = secretsOf(to.endpointId, to, deps);
  if (secrets === null) return { kind: "failed", cause: "The endpoint's secret does not open with this CAMPANILE_SECRET. Rotate it." };
  const body = JSON.stringify({ type, timestamp: at.toISOString(), data });
  const headers = {
    "content-type": "application/json",
    "user-agent": `Campanile/${ownVersion()}`,
    ...signatureHeaders({ id, body, at: deps.clock.now(), secrets }),
  };
  return deps.post({ url: to.url, headers, body }, signal);
}

const GONE = 410;
const GONE_REASON = "The endpoint answered 410 Gone: it wants no more webhooks.";

/** 2xx is delivered; everything else is tried again, until it was tried for days or the receiver says that it is gone. */
function outcomeOf(posted: Exclude<Posted, { kind: "aborted" }>, attempts: number, { clock, luck }: WebhookDeps): store.Tried {
  const [status, cause] = posted.kind === "answered" ? [posted.status, causeOf(posted.status)] : [null, posted.cause];
  if (cause === null) return { state: "delivered", waitMs: 0, status, cause };
  const askedMs = posted.kind === "answered" ? retryAfterMs(posted.retryAfter, clock.now()) : null;
  const waitMs = status === GONE ? null : retryWaitMs(attempts, { askedMs, chance: luck.next() });
  return { state: waitMs === null ? "dead" : "pending", waitMs: waitMs ?? 0, status, cause };
}

/** Null: it was taken. */
function causeOf(status: number): string | null {
  if (status >= 200 && status < 300) return null;
  if (status === GONE) return GONE_REASON;
  if (status >= 300 && status < 400) return `The endpoint answered ${status}. Redirects are not followed: enter the address it leads to.`;
  return `The endpoint answered ${status}.`;
}

/** What came back for a test. */
export interface Tested {
  readonly messageId: string;
  readonly delivered: boolean;
  readonly status: number | null;
  /** Why it was not delivered. */
  readonly cause: string | null;
  readonly durationMs: number;
}

/** Sends a `webhook.test` now, once, also to a disabled endpoint; nothing of it is kept. @throws {Refusal} not_found */
export async function testEndpoint(ref: EndpointRef, deps: WebhookDeps): Promise<Tested> {
  const { id: endpointId, url } = await readEndpoint(ref, deps);
  const [sealed] = await readSecrets(deps.sql, ref);
  if (sealed === undefined) throw unknown(ref);
  const messageId = `msg_${deps.luck.uuid().replaceAll("-", "")}`;
  const begunMs = deps.clock.monotonicMs();
  const said = { id: messageId, type: "webhook.test", at: deps.clock.now(), data: { endpointId } };
  const posted = await post(said, { to: { ...sealed, endpointId, url }, signal: new AbortController().signal }, deps);
  const durationMs = Math.round(deps.clock.monotonicMs() - begunMs);
  const status = posted.kind === "answered" ? posted.status : null;
  const cause = posted.kind === "answered" ? causeOf(posted.status) : posted.kind === "failed" ? posted.cause : "It was ended.";
  return { messageId, delivered: cause === null, status, cause, durationMs };
}
