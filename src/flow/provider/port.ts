import type { RenderedMessage } from "../../rules/message.ts";
import type { Outcome } from "../../rules/outcome.ts";

/** One attempt, ready to be handed over. `address` is E.164 with `+`, or an e-mail address; `reference` comes back in receipts. */
export interface Parcel {
  readonly reference: string;
  readonly address: string;
  readonly message: RenderedMessage;
}

/** A sender's open door at its vendor. */
export interface Provider {
  readonly name: string;
  /**
   * Hands over one attempt, once: no retry, whatever happens. Never throws. A vendor that cannot be reached, or an abort
   * before bytes left, is `throttled`: known not sent, and nobody's attempt. After that an abort is `uncertain`.
   */
  send(parcel: Parcel, signal: AbortSignal): Promise<Outcome>;
}

/** The provider of a sender, with its credentials; opened once and kept until the sender changes. */
export type OpenProvider = (senderId: string) => Promise<Provider>;
