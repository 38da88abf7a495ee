import type { Parcel, Provider } from "../../src/flow/provider/port.ts";
import { SEND_TIMEOUT_MS } from "../../src/rules/limits.ts";
import type { Outcome } from "../../src/rules/outcome.ts";
import { parseReference, type Reference } from "../../src/rules/reference.ts";
import type { Dice } from "./dice.ts";
import type { Plan, VendorFate } from "./plan.ts";
import type { Process, Time } from "./time.ts";

/** One call as only the simulation knows it. Milliseconds since the world began. */
export interface Call extends Reference {
  readonly sender: string;
  readonly address: string;
  readonly engine: string;
  readonly begunAt: number;
  readonly fate: VendorFate;
  /** The process was frozen after it had decided to begin and before a byte left. */
  late: boolean;
  /** When the vendor took it on; null: it did not. */
  acceptedAt: number | null;
  readonly providerRef: string;
  /** What the engine was told, and when; null: it never heard. */
  outcome: Outcome | null;
  answeredAt: number | null;
}

export interface ReceiptFact extends Reference {
  readonly kind: "sent" | "delivered" | "read" | "replied" | "failed";
  readonly providerRef: string;
}

export interface SimulatedVendor {
  /** Every call that was begun, in order. The witness. */
  readonly calls: readonly Call[];
  /** The latest instant at which a receipt comes. */
  readonly lastReceiptAt: number;
  door(sender: string, process: Process): Provider;
  mend(sender: string): void;
}

export interface VendorOptions {
  readonly plan: Plan;
  readonly dice: Dice;
  readonly time: Time;
  readonly strike: (process: Process) => void;
  readonly tell: (fact: ReceiptFact) => void;
  readonly trace: (process: Process | null, text: () => string) => void;
}

const uncertain = (code: string): Outcome => ({ kind: "uncertain", code, cause: "There was no clear answer." });
const rejected = (code: string, remedy: "retry" | "fail" | "suppress" | "block_sender" | "pause_campaign", suspect = false): Outcome => ({
  kind: "rejected",
  code,
  cause: `The vendor refused (${code}).`,
  remedy,
  suspect,
});

/** A campaign is paused, a sender blocked, so many times at most: the operator must mend it. */
const HALTS_MAX = 2;

/** A vendor that does as its mix says, and keeps a ledger of what it was asked and what it took on. */
export function createVendor({ plan, dice, time, strike, tell, trace }: VendorOptions): SimulatedVendor {
  const calls: Call[] = [];
  const blocked = new Set<string>();
  let halts = 0;
  let lastReceiptAt = 0;

  function fateOf(sender: string): VendorFate {
    if (blocked.has(sender)) return "block_sender";
    const { outage } = plan;
    if (outage !== null && time.now >= outage.fromMs && time.now < outage.untilMs && dice.chance(0.9))
      return dice.pick(["lose", "accept_silently", "fail_accepted", "fail_unaccepted"]);
    const fate = dice.weighted(plan.fates);
    const halting = fate === "block_sender" || fate === "pause_campaign";
    if (!halting) return fate;
    if (++halts > HALTS_MAX) return "accept";
    if (fate === "block_sender") blocked.add(sender);
    return fate;
  }

  function answerOf(call: Call): Outcome | "silence" {
    switch (call.fate) {
      case "accept":
        return { kind: "accepted", providerRef: call.providerRef };
      case "accept_silently":
      case "lose":
        return dice.chance(0.5) ? "silence" : uncertain("connection_reset");
      case "fail_accepted":
      case "fail_unaccepted":
        return uncertain("http_503");
      case "throttle_sender":
        return { kind: "throttled", code: "130429", cause: "Too fast.", scope: "sender", retryAfterMs: dice.scale(100, 30_000) };
      case "throttle_person":
        return { kind: "throttled", code: "131056", cause: "Too fast for this person.", scope: "recipient", retryAfterMs: 1_000 };
      case "reject":
        return rejected("131026", "fail");
      case "reject_suspect":
        return rejected("132000", "fail", true);
      case "reject_for_now":
        return dice.chance(0.5) ? rejected("131000", "retry") : ({ ...rejected("131000", "retry"), retryAfterMs: dice.scale(10, 60_000) } as Outcome);
      case "reject_opted_out":
        return rejected("131050", "suppress");
      case "block_sender":
        return rejected("190", "block_sender");
      case "pause_campaign":
        return rejected("132001", "pause_campaign");
      case "throw":
        return "silence";
    }
  }

  function accept(call: Call): void {
    call.acceptedAt = time.now;
    if (!dice.chance(plan.receipts.share)) return;
    for (const kind of dice.pick([
      ["sent"],
      ["sent", "delivered"],
      ["delivered", "sent"],
      ["failed"],
      ["sent", "failed"],
      ["read", "delivered", "replied"],
    ] as const)) {
      const ms = dice.chance(plan.receipts.early) ? 0.01 : dice.between(0, 2 * plan.receipts.delayMs);
      lastReceiptAt = Math.max(lastReceiptAt, time.now + ms);
      time.after(ms, () => tell({ ...call, kind }));
    }
  }

  function send(sender: string, process: Process, parcel: Parcel, signal: AbortSignal): Promise<Outcome> {
    const reference = parseReference(parcel.reference);
    if (reference === null) throw new Error(`not a reference of ours: ${parcel.reference}`);
    if (signal.aborted) return Promise.resolve({ kind: "throttled", code: "aborted", cause: "Aborted.", scope: "sender", retryAfterMs: 0 });
    strike(process);
    if (process.dead) return new Promise(() => {});
    const fate = fateOf(sender);
    const call: Call = {
      ...reference,
      sender,
      address: parcel.address,
      engine: process.name,
      begunAt: time.now,
      fate,
      late: process.frozenUntil > time.now,
      acceptedAt: null,
      providerRef: `v${calls.length + 1}`,
      outcome: null,
      answeredAt: null,
    };
    calls.push(call);
    trace(process, () => `calls ${call.campaignId.slice(0, 4)} ${call.position}/${call.attempt}: ${fate}`);
    if (fate === "throw" && dice.chance(0.5)) throw new Error("the provider broke its promise");
    return new Promise((resolve) => {
      const end = (outcome: Outcome) => {
        if (call.outcome !== null) return;
        call.outcome = outcome;
        call.answeredAt = time.now;
        signal.removeEventListener("abort", abort);
        cancel();
        trace(process, () => `is told of ${call.campaignId.slice(0, 4)} ${call.position}/${call.attempt}: ${outcome.kind}`);
        resolve(outcome);
      };
      const abort = () => void time.after(0, () => end(uncertain("aborted")), process);
      signal.addEventListener("abort", abort, { once: true });
      const cancel = time.after(SEND_TIMEOUT_MS, () => end(uncertain("timeout")), process);
      const isSlow = dice.chance(0.03);
      const leave = () =>
        void time.after(isSlow ? dice.between(0, SEND_TIMEOUT_MS) : plan.latencyMs * dice.between(0.1, 0.5), () => {
          if (["accept", "accept_silently", "fail_accepted"].includes(fate)) accept(call);
          const answer = answerOf(call);
          if (answer !== "silence") time.after(plan.latencyMs * dice.between(0.3, 1), () => end(answer), process);
        });
      if (call.late) time.after(0, leave, process);
      else leave();
    });
  }

  return {
    calls,
    get lastReceiptAt() {
      return lastReceiptAt;
    },
    door: (sender, process) => ({ name: "simulated", send: async (parcel, signal) => send(sender, process, parcel, signal) }),
    mend: (sender) => void blocked.delete(sender),
  };
}
