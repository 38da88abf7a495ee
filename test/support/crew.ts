import { startEngine } from "../../src/flow/dispatch/engine.ts";
import type { Parcel } from "../../src/flow/provider/port.ts";
import { rehearsalProvider } from "../../src/flow/provider/rehearsal.ts";
import type { Outcome } from "../../src/rules/outcome.ts";
import { parseReference, type Reference } from "../../src/rules/reference.ts";
import type { Running } from "../../src/runtime/loop.ts";
import type { Watcher } from "./effects.ts";
import type { Town, TownEngine } from "./town.ts";

/** One call that left, as the vendor saw it. */
export interface Sent extends Reference {
  readonly atMs: number;
  readonly address: string;
  readonly text: string;
}

export interface Crew {
  /** Everything that left, in order. */
  readonly sent: readonly Sent[];
  readonly engines: readonly TownEngine[];
  /** Stops the loops, gives lots back, closes the connections. */
  stop(): Promise<void>;
}

export interface CrewOptions {
  readonly engines?: number;
  readonly latencyMs?: number;
  readonly watcher?: Watcher;
  /** A story of hours looks up less often. */
  readonly sweepMs?: number;
  readonly outcome?: (reference: Reference, calls: number) => Outcome | "hang" | undefined;
}

/** Engines at work in a town, in front of a provider that does as it is told. */
export function crew(town: Town, { engines: count = 1, latencyMs = 0, sweepMs = 1_000, watcher, outcome }: CrewOptions = {}): Crew {
  const sent: Sent[] = [];
  const referenceOf = ({ reference }: Parcel): Reference => {
    const parsed = parseReference(reference);
    if (parsed === null) throw new Error(`not a reference of ours: ${reference}`);
    return parsed;
  };
  const provider = rehearsalProvider({
    clock: town.clock,
    latencyMs,
    ...(outcome === undefined ? {} : { outcome: (parcel, calls) => outcome(referenceOf(parcel), calls) }),
    witness: (parcel) => {
      const text = parcel.message.type === "text" ? parcel.message.text : parcel.message.name;
      sent.push({ ...referenceOf(parcel), atMs: town.clock.elapsedMs, address: parcel.address, text });
    },
  });
  const engines = Array.from({ length: count }, () => town.engine(provider, watcher));
  const running: Running[] = engines.map((engine) =>
    startEngine(engine, { campaignsMax: 5, lotsPerCampaign: 4, pollMs: Math.max(5_000, sweepMs), sweepMs }),
  );
  return {
    sent,
    engines,
    stop: async () => {
      await town.clock.until(Promise.all(running.map((one) => one.stop())));
      await Promise.all(engines.map((engine) => engine.kill()));
    },
  };
}

/** The most calls that began in any window of `ms`. */
export function busiest(sent: readonly Sent[], ms: number): number {
  const times = sent.map((one) => one.atMs).sort((a, b) => a - b);
  let [from, most] = [0, 0];
  for (const [to, at] of times.entries()) {
    while ((times[from] ?? at) <= at - ms) from++;
    most = Math.max(most, to - from + 1);
  }
  return most;
}
