/**
 * The vendor's own clock: limits, service windows, ledger times and webhook times are all judged by it, never by the caller's.
 * It runs with the wall clock (shifted if asked), or stands still and is moved by hand, or is lent by a test.
 */
export interface VendorClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** True while time moves only by hand: then no timer releases a webhook, `deliverDue` does. */
  isManual(): boolean;
  kind(): "running" | "stopped" | "lent";
  /** Stands still at `at` (milliseconds since 1970) from now on. */
  stopAt(at: number): void;
  /** Runs again, `offsetMs` ahead of the wall clock (negative: behind). */
  run(offsetMs: number): void;
  advance(ms: number): void;
}

export function vendorClock(lent?: { now(): Date }): VendorClock {
  let stoppedAt: number | null = null;
  let offsetMs = 0;
  const refuseLent = () => {
    if (lent) throw new Error("This vendor's clock was lent by its starter; only the lender can move it.");
  };
  return {
    now: () => (lent ? lent.now().getTime() : (stoppedAt ?? Date.now() + offsetMs)),
    isManual: () => lent !== undefined || stoppedAt !== null,
    kind: () => (lent ? "lent" : stoppedAt === null ? "running" : "stopped"),
    stopAt(at) {
      refuseLent();
      stoppedAt = at;
    },
    run(ms) {
      refuseLent();
      stoppedAt = null;
      offsetMs = ms;
    },
    advance(ms) {
      refuseLent();
      if (stoppedAt === null) offsetMs += ms;
      else stoppedAt += ms;
    },
  };
}
