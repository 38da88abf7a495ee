/** What a code asks of us. */
type Verdict =
  | "throttle_sender" // known not sent; the sender waits
  | "throttle_recipient" // known not sent; only this recipient waits, longer each time
  | "retry" // known not sent; a further attempt later
  | "fail" // this recipient fails
  | "suppress" // this recipient fails and does not want to be written to
  | "block_sender" // nobody fails; the sender cannot send until somebody acts
  | "pause_campaign" // nobody fails; the campaign cannot go on until somebody acts
  | "uncertain"; // it may have been sent

/** One error code of the WhatsApp Cloud API. It may come in the answer to a send, or later by webhook. */
export interface CodeEntry {
  /** Meta's; the other texts are our words. */
  readonly title: string;
  readonly verdict: Verdict;
  /** What happened, for somebody who never read an API's documentation. */
  readonly sentence: string;
  /** What to do about it. */
  readonly next: string;
  /** Before the next try: of throttle and retry. */
  readonly retryAfterMs?: number;
  /** The campaign's own content may be at fault: when its first recipients all fail so, it pauses. */
  readonly suspect?: true;
  /** Meta uses it for requests it refused and for faults of its own: definite only with a status below 500. */
  readonly vague?: true;
}

type Words = readonly [title: string, sentence: string, next?: string];
export type Family = Omit<CodeEntry, "title" | "sentence"> & { readonly codes: Readonly<Record<number, Words>> };
