import type { Clock } from "../../runtime/clock.ts";
import type { Luck } from "../../runtime/luck.ts";
import type { Database } from "../../runtime/postgres.ts";
import type { SealKey } from "../../runtime/seal.ts";
import type { Poster } from "./post.ts";

/** What outgoing webhooks have to do with the world. */
export interface WebhookDeps {
  readonly sql: Database;
  readonly clock: Clock;
  readonly luck: Luck;
  /** The current key first, then those it replaced. */
  readonly keys: readonly [SealKey, ...SealKey[]];
  /** Webhooks may go to private addresses, and over plain HTTP. */
  readonly allowPrivate: boolean;
  readonly post: Poster;
}
