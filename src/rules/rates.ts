/** Whole numbers of messages, each message counted once per fact. */
export interface Reached {
  readonly recipients: number;
  /** Accepted by the provider. */
  readonly sent: number;
  readonly delivered: number;
  readonly read: number;
  readonly replied: number;
  readonly failed: number;
  /** Accepted at first, reported as failed later. */
  readonly undelivered: number;
}

/** Percentages with one decimal; 0 when there is nothing to divide by. */
export interface Rates {
  readonly deliveryRate: number;
  readonly readRate: number;
  readonly replyRate: number;
  readonly failureRate: number;
}

const percent = (part: number, whole: number): number => (whole === 0 ? 0 : Math.round((part / whole) * 1_000) / 10);

/** The four rates of document 001; the failure rate counts later failures too. */
export const ratesOf = (reached: Reached): Rates => ({
  deliveryRate: percent(reached.delivered, reached.sent),
  readRate: percent(reached.read, reached.delivered),
  replyRate: percent(reached.replied, reached.delivered),
  failureRate: percent(reached.failed + reached.undelivered, reached.recipients),
});

/** How far a campaign is, in percent with one decimal, rounded down: 100 says that nobody is left, never that nearly nobody is. */
export const progressOf = (processed: number, recipients: number): number =>
  recipients === 0 ? 0 : Math.floor((processed / recipients) * 1_000) / 10;
