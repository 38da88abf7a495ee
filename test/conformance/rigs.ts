import { openPool } from "../../src/flow/provider/open.ts";
import type { Parcel, Provider } from "../../src/flow/provider/port.ts";
import { rehearsalProvider } from "../../src/flow/provider/rehearsal.ts";
import { whatsappProvider } from "../../src/flow/provider/whatsapp/send.ts";
import { SEND_TIMEOUT_MS } from "../../src/rules/limits.ts";
import type { Outcome } from "../../src/rules/outcome.ts";
import { openDeadlines } from "../../src/runtime/deadlines.ts";
import { startVendor } from "../../vendor/main.ts";
import type { FaultName } from "../../vendor/settings.ts";
import { type HandClock, handClock } from "./hand-clock.ts";

/** What the world does to a message. The faults exist twice: the vendor has accepted it before, or not. */
export type Fate = "accept" | "refuse" | "throttle" | "throttlePair" | Exclude<FaultName, "rateLimit" | "pairLimit">;

export interface World {
  readonly provider: Provider;
  readonly clock: HandClock;
  /** Decides what becomes of everything said to this address. */
  decide(address: string, fate: Fate): void;
  /** The references of what truly left, in order. */
  left(): Promise<string[]>;
  stop(): Promise<void>;
}

export interface Rig {
  readonly name: string;
  start(): Promise<World>;
}

const mixes: Readonly<Record<Fate, object>> = {
  accept: { successRate: 1 },
  refuse: { successRate: 0, answerShare: 1, answerFailures: { "131026": 1 } },
  throttle: { faults: { rateLimit: 1 } },
  throttlePair: { faults: { pairLimit: 1 } },
  ...Object.fromEntries(
    (["unavailable", "timeout", "reset", "garbage", "missingId", "flood"] as const).flatMap((name) =>
      [name, `${name}Accepted` as const].map((fault) => [fault, { faults: { [fault]: 1 } }]),
    ),
  ),
} as Record<Fate, object>;

export const whatsappRig: Rig = {
  name: "whatsapp",
  async start() {
    const vendor = await startVendor({ fsync: false, settings: { mix: { successRate: 1, latencyMs: [0, 0] } as never } });
    const clock = handClock();
    const deadlines = openDeadlines(clock, SEND_TIMEOUT_MS);
    const pool = openPool(vendor.url);
    return {
      provider: whatsappProvider({ pool, deadlines, path: `/v25.0/${vendor.phoneNumberId}/messages`, accessToken: vendor.token }),
      clock,
      decide: (address, fate) => vendor.script({ phone: address.slice(1), mix: mixes[fate] }),
      left: async () => (await vendor.ledgerLines()).map((line) => line.reference ?? ""),
      async stop() {
        deadlines.close();
        await pool.destroy();
        await vendor.stop();
      },
    };
  },
};

const told: Readonly<Record<Fate, Outcome | "hang" | undefined>> = {
  accept: undefined,
  refuse: { kind: "rejected", code: "131026", cause: "Message undeliverable", remedy: "fail" },
  throttle: { kind: "throttled", code: "130429", cause: "Rate limit hit", scope: "sender", retryAfterMs: 2_000 },
  throttlePair: { kind: "throttled", code: "131056", cause: "Pair limit hit", scope: "recipient", retryAfterMs: 1_000 },
  ...(Object.fromEntries(
    ["unavailable", "reset", "garbage", "missingId", "flood"].flatMap((name) =>
      [name, `${name}Accepted`].map((fault) => [fault, { kind: "uncertain", code: "no_answer", cause: fault }]),
    ),
  ) as Record<Exclude<Fate, "accept" | "refuse" | "throttle" | "throttlePair" | "timeout" | "timeoutAccepted">, Outcome>),
  timeout: "hang",
  timeoutAccepted: "hang",
};

export const rehearsalRig: Rig = {
  name: "rehearsal",
  async start() {
    const clock = handClock();
    const fates = new Map<string, Fate>();
    const left: string[] = [];
    const isAccepted = ({ address }: Parcel) => /accept/i.test(fates.get(address) ?? "accept");
    const provider = rehearsalProvider({
      clock,
      outcome: ({ address }) => told[fates.get(address) ?? "accept"],
      witness: (parcel) => isAccepted(parcel) && left.push(parcel.reference),
    });
    return { provider, clock, decide: (address, fate) => fates.set(address, fate), left: async () => left, stop: async () => {} };
  },
};
