import type { IncomingMessage, ServerResponse } from "node:http";
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from "fastify";
import type { ZodTypeProvider } from "fastify-type-provider-zod";
import type { CreateDeps } from "../../flow/campaign/create.ts";
import type { ChosenBy } from "../../flow/campaign/deps.ts";
import type { BatchResult } from "../../flow/dispatch/execute-batch.ts";
import type { Providers } from "../../flow/provider/open.ts";
import type { SenderDeps } from "../../flow/provider/sender.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Config } from "../../runtime/config.ts";
import type { Log } from "../../runtime/log.ts";
import type { Luck } from "../../runtime/luck.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import type { Database } from "../../runtime/postgres.ts";
import type { WhatsappWebhookOptions } from "./whatsapp-webhook.ts";

/** What the door needs of the house. */
export interface Deps {
  readonly sql: Database;
  /** A few connections of their own for what must not wait behind slow queries: keys, control, webhooks. */
  readonly prompt: Database;
  readonly clock: Clock;
  readonly luck: Luck;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly config: Pick<Config, "csvBytesMax" | "apiBase" | "apiVersion" | "dailyCap" | "capCalendarZone" | "webhooksAllowPrivate">;
  /** Credentials are sealed with the first. */
  readonly keys: SenderDeps["keys"];
  readonly providers: Providers;
  readonly enlist: CreateDeps["enlist"];
  readonly chosenBy: ChosenBy;
  /** Sends to the next 25 recipients at most, then ends. */
  readonly executeBatch: (campaign: { workspaceId: string; campaignId: string }) => Promise<BatchResult>;
  /** Why nobody is written to now, whatever the campaigns; null: nothing speaks against it. */
  readonly whySilent?: () => Promise<string | null>;
  /** The key with which this process calls itself (commands), with all rights in that workspace. */
  readonly own?: { readonly key: string; readonly workspaceId: string };
  /** Takes in WhatsApp's webhooks; absent: this server has no address for them. */
  readonly whatsapp?: WhatsappWebhookOptions;
}

/** The server, its routes typed by their shapes. */
export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, ZodTypeProvider>;
