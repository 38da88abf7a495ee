import { Webhook } from "standardwebhooks";
import { onTestFinished, vi } from "vitest";
import { emit } from "../../src/flow/campaign/store.ts";
import { credentialKey } from "../../src/flow/provider/credentials.ts";
import { type DeliverOptions, type Result, startDeliveries } from "../../src/flow/webhook/deliver.ts";
import type { WebhookDeps } from "../../src/flow/webhook/deps.ts";
import { createEndpoint, type Shown } from "../../src/flow/webhook/endpoints.ts";
import { openPoster, type Poster } from "../../src/flow/webhook/post.ts";
import type { Running } from "../../src/runtime/loop.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import type { Watcher } from "./effects.ts";
import { openReceiver, type Received, type Receiver } from "./receiver.ts";
import { type Town, town } from "./town.ts";

/** A process that delivers webhooks. */
interface Postman extends Running {
  readonly results: readonly Result[];
  /** As a power cut would: nothing of it reaches the world any more. */
  kill(): Promise<void>;
}

/** A town whose campaigns' events are told to receivers over real HTTP, under the stopped clock. */
export interface PostOffice {
  readonly place: Town;
  readonly receiver: Receiver;
  readonly deps: WebhookDeps;
  /** An endpoint at the receiver. */
  endpoint(options?: { path?: string; url?: string; events?: readonly string[]; workspaceId?: string }): Promise<Shown>;
  postman(options?: Partial<DeliverOptions> & { watcher?: Watcher }): Postman;
  /** Something happens to a campaign. */
  happens(campaignId: string, name?: string, body?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Lets time pass, and wakes every postman at its end as a notification would. */
  pass(ms: number): Promise<void>;
}

const SLOW = /\/slow\b/;

/** What a receiver does at `/slow` takes time; every other call is over before time goes on. */
export async function openPostOffice(): Promise<PostOffice> {
  const place = await town();
  const receiver = await openReceiver();
  const postmen: Postman[] = [];
  onTestFinished(async () => {
    await place.clock.until(Promise.all(postmen.map((one) => one.stop())));
    await Promise.all(postmen.map((one) => one.kill()));
    await place.close();
    if (place.errors.length > 0) throw new Error(place.errors.join("\n"));
  });
  const really = openPoster({ clock: place.clock, allowPrivate: true });
  const post: Poster = (one, signal) => (SLOW.test(one.url) ? really(one, signal) : place.during(() => really(one, signal)));
  const keys = [credentialKey("a secret of this post office only")] as const;
  const deps = { sql: place.sql, clock: place.clock, luck: systemLuck, keys, allowPrivate: true, post };

  function postman({ watcher, pollMs = 3_600_000, ...options }: Partial<DeliverOptions> & { watcher?: Watcher } = {}): Postman {
    const engine = place.engine(() => () => Promise.reject(new Error("nobody sends here")), watcher);
    const results: Result[] = [];
    const running = startDeliveries({ ...deps, ...engine, luck: systemLuck }, { pollMs, report: (result) => results.push(result), ...options });
    let isDead = false;
    const one: Postman = {
      nudge: () => running.nudge(),
      results,
      stop: async () => (isDead ? undefined : running.stop()),
      async kill() {
        isDead = true;
        engine.forget();
        await engine.kill();
      },
    };
    postmen.push(one);
    return one;
  }

  return {
    place,
    receiver,
    deps,
    endpoint: ({ path = "/", url = receiver.url + path, events, workspaceId = place.workspaceId } = {}) =>
      createEndpoint({ workspaceId, url, events: events ?? null }, deps),
    postman,
    happens: async (campaignId, name = "campaign:progress", body = {}) => void (await emit(place.sql, campaignId, name, body)),
    async pass(ms) {
      await place.clock.pass(ms);
      for (const one of postmen) one.nudge();
      await place.clock.pass(0);
    },
  };
}

/** What the independent package says of a webhook at an instant: its content, or an error. */
export function verified({ body, headers }: Received, secret: string, at: Date): unknown {
  vi.useFakeTimers({ toFake: ["Date"], now: at });
  try {
    return new Webhook(secret).verify(body, headers);
  } finally {
    vi.useRealTimers();
  }
}
