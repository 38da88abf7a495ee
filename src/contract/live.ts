import type { z } from "zod";
import type { Campaign, CampaignStats } from "./campaign.ts";

/** What every event of a campaign says. `seq` counts its events from 1 without a gap: whoever sees one missing fetches the campaign. */
interface CampaignEventBody {
  readonly campaignId: string;
  readonly seq: number;
  /** ISO 8601, UTC. */
  readonly at: string;
}

export interface CampaignProgress extends CampaignEventBody {
  /** Percent with one decimal; 100 when nobody is left. */
  readonly progress: number;
  readonly processedCount: number;
  readonly totalRecipients: number;
  readonly sent: number;
  readonly failed: number;
  readonly skipped: number;
  readonly uncertain: number;
  readonly delivered: number;
  readonly read: number;
  readonly replied: number;
  readonly messagesPerMinute: number;
  /** ISO 8601, UTC; null when nothing moves, or nobody is left. */
  readonly eta: string | null;
}

/** The figures of a campaign that was subscribed to. */
interface CampaignFigures {
  readonly campaignId: string;
  readonly stats: z.infer<typeof CampaignStats>;
}

/**
 * What a socket.io client of this server hears. The last argument of each is its place among all events; a client that connects again
 * gives it back by itself, and is told what it missed.
 */
export interface CampaignEvents {
  ready(body: { readonly position: number }, position: string): void;
  /** Too much was missed to be told. */
  resync(body: { readonly reason: string }, position: string): void;
  "campaign:started"(body: CampaignEventBody & { readonly totalRecipients: number }, position: string): void;
  "campaign:progress"(body: CampaignProgress, position: string): void;
  "campaign:completed"(body: CampaignEventBody & { readonly campaign: z.infer<typeof Campaign> }, position: string): void;
  "campaign:failed"(body: CampaignEventBody & { readonly error: string }, position: string): void;
  "campaign:paused"(body: CampaignEventBody & { readonly reason: string | null }, position: string): void;
  "campaign:resumed"(body: CampaignEventBody, position: string): void;
  "campaign:stopped"(body: CampaignEventBody & { readonly inFlight: number }, position: string): void;
  "campaign:stats"(body: CampaignFigures): void;
}

export type Subscribed =
  | { readonly success: true; readonly data: { readonly campaign: z.infer<typeof Campaign>; readonly stats: z.infer<typeof CampaignStats> } }
  | { readonly success: false; readonly code: string; readonly message: string };

/** What it may ask for. */
export interface ClientEvents {
  /** One campaign's figures from now on, as `campaign:stats`. */
  subscribe(given: { readonly campaignId: string }, ack?: (answer: Subscribed) => void): void;
  unsubscribe(given: { readonly campaignId: string }, ack?: (answer: { readonly success: true }) => void): void;
}
