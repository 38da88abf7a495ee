import { expect, test } from "vitest";
import * as limits from "./limits.ts";

test("the limits fit each other", () => {
  // A call that begins on a good lease ends before the lease does, and renewals come often enough for calls to begin.
  expect(limits.SEND_TIMEOUT_MS + limits.RENEW_MS).toBeLessThan(limits.LEASE_MS);
  expect(limits.WINDOW_MAX).toBeLessThanOrEqual(limits.LOT_RECIPIENTS_MAX);
  expect(limits.SLOT_LATE_MAX_MS).toBeLessThan(limits.HORIZON_MS);
  expect(limits.RESEND_AFTER_MS).toBeGreaterThan(limits.LEASE_MS + limits.SEND_TIMEOUT_MS);
  expect(limits.OPENING_MARGIN_MS).toBeGreaterThan(limits.HORIZON_MS + limits.SEND_TIMEOUT_MS);
  expect(limits.SEND_TIMEOUT_MS * 2).toBeLessThanOrEqual(limits.BATCH_TIME_MAX_MS);
});
