import { BREAKER_HOLD_MS } from "../../rules/limits.ts";
import type { DispatchDeps } from "./deps.ts";
import type { Ended } from "./flight.ts";
import type { HeldLot } from "./held-lot.ts";
import { blockSender, holdSender } from "./limits-store.ts";

const BREAKER_REASON = "Too many of this sender's messages got no clear answer; it is tried again one by one.";

/**
 * What the sender itself must suffer for the latest outcomes, written on its own rows in transactions of their own. Each campaign
 * finds it there in its next turn, so no other order of locks exists.
 */
export async function actOnSender(sending: Pick<HeldLot, "facts" | "tripped">, ended: readonly Ended[], { sql, log }: DispatchDeps): Promise<void> {
  const { senderId } = sending.facts;
  const refusal = ended.map(({ outcome }) => outcome).find((outcome) => outcome.kind === "rejected" && outcome.remedy === "block_sender");
  if (refusal?.kind === "rejected") {
    await blockSender(sql, senderId, refusal.cause);
    log.error({ senderId, code: refusal.code }, "the provider refuses this sender; its campaigns pause");
  }
  if (!sending.tripped) return;
  await holdSender(sql, senderId, { forMs: BREAKER_HOLD_MS, reason: BREAKER_REASON });
  sending.tripped = false;
  log.warn({ senderId }, "too many uncertain outcomes; the sender rests");
}
