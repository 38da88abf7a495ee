/** What a known refusal of one attempt asks of us. In each case nothing was sent. */
type Remedy =
  | "retry" // later, as a further attempt; after the last one the recipient fails
  | "fail" // this recipient fails
  | "suppress" // this recipient fails and is not written to again on this channel
  | "block_sender" // nobody fails: the sender is blocked, its campaigns pause, the message waits
  | "pause_campaign"; // nobody fails: the campaign pauses, the message waits

/** What a provider said about one attempt. A provider never throws: silence is `uncertain`. */
export type Outcome =
  | { readonly kind: "accepted"; readonly providerRef: string }
  /** Known not sent; waiting is no failure and no attempt. `scope` says who must slow down. */
  | {
      readonly kind: "throttled";
      readonly code: string;
      readonly cause: string;
      readonly scope: "sender" | "recipient";
      readonly retryAfterMs: number;
    }
  /** Known not sent. `retryAfterMs` overrides the usual delay of `retry`. `suspect`: the campaign's own content may be at fault, not this recipient. */
  | {
      readonly kind: "rejected";
      readonly code: string;
      readonly cause: string;
      readonly remedy: Remedy;
      readonly retryAfterMs?: number;
      readonly suspect?: boolean;
    }
  /** It may have been sent: a lost answer, a reset or time-out after bytes left, a 5xx, a 200 without an id. Never resent blindly. */
  | { readonly kind: "uncertain"; readonly code: string; readonly cause: string };
