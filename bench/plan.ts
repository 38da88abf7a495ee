import type { Options } from "./contender.ts";
import type { Task } from "./trial.ts";

/** One contender: where its code is, how much it does in a full and in a quick run, and what it is called. */
export interface Entry {
  readonly label: string;
  readonly file: string;
  readonly full: number;
  readonly quick: number;
  readonly options?: Options;
  readonly needsRedis?: true;
}

/** In the order of a round. The slow ones do less: what they do in a second does not grow with it. http0 and http50 share a size, and so a database. */
export const entries = {
  engine: { label: "Campanile", file: "contenders/engine.ts", full: 100_000, quick: 30_000 },
  floor: { label: "The floor: a bare append pipeline", file: "contenders/floor.ts", full: 100_000, quick: 30_000 },
  bullmqChunk: { label: "BullMQ, a job per 1,000", file: "peers/bullmq-chunk.ts", full: 100_000, quick: 30_000, needsRedis: true },
  floor4: { label: "The floor, four lots at a time", file: "contenders/floor.ts", full: 100_000, quick: 30_000, options: { lots: 4 } },
  engineCapped: {
    label: "Campanile, each person counted under a cap",
    file: "contenders/engine.ts",
    full: 100_000,
    quick: 30_000,
    options: { cap: 10_000_000 },
  },
  bullmqChunkBare: {
    label: "BullMQ, a job per 1,000, no index but the key",
    file: "peers/bullmq-chunk.ts",
    full: 100_000,
    quick: 30_000,
    options: { bare: true },
    needsRedis: true,
  },
  pgboss: { label: "pg-boss, 1,000 at a time", file: "peers/pgboss.ts", full: 100_000, quick: 10_000 },
  graphile: { label: "graphile-worker", file: "peers/graphile.ts", full: 20_000, quick: 4_000 },
  bullmq: { label: "BullMQ, a job per message", file: "peers/bullmq.ts", full: 20_000, quick: 4_000, needsRedis: true },
  http0Engine: { label: "Campanile, instant vendor", file: "contenders/http-engine.ts", full: 30_000, quick: 8_000 },
  http0Raw: { label: "undici, 50 in flight", file: "contenders/http-raw.ts", full: 30_000, quick: 8_000, options: { inFlight: 50 } },
  http50Engine: { label: "Campanile, vendor of 50 ms", file: "contenders/http-engine.ts", full: 30_000, quick: 8_000, options: { latencyMs: 50 } },
  http50Raw: {
    label: "undici, 500 in flight",
    file: "contenders/http-raw.ts",
    full: 30_000,
    quick: 8_000,
    options: { latencyMs: 50, inFlight: 500 },
  },
  importDoor: { label: "Campanile, CSV over its API", file: "contenders/import-door.ts", full: 200_000, quick: 50_000 },
  importCopy: { label: "\\copy and merge, one key", file: "contenders/import-copy.ts", full: 200_000, quick: 50_000 },
  importContact: { label: "\\copy and merge into our own table", file: "contenders/import-contact.ts", full: 200_000, quick: 50_000 },
  intakeDoor: { label: "Campanile: verified, durable", file: "contenders/intake-door.ts", full: 30_000, quick: 8_000 },
  intakeBare: { label: "A bare fastify route", file: "contenders/intake-bare.ts", full: 30_000, quick: 8_000 },
} as const satisfies Record<string, Entry>;

export type EntryName = keyof typeof entries;

/** Ours against theirs, within each round. */
export interface Comparison {
  readonly ours: EntryName;
  readonly theirs: EntryName;
}

/** Those of the JSON line, in its order. */
export const comparisons = {
  bullmq: { ours: "engine", theirs: "bullmq" },
  bullmqChunk: { ours: "engine", theirs: "bullmqChunk" },
  graphile: { ours: "engine", theirs: "graphile" },
  pgboss: { ours: "engine", theirs: "pgboss" },
  floor: { ours: "engine", theirs: "floor" },
  http0: { ours: "http0Engine", theirs: "http0Raw" },
  http50: { ours: "http50Engine", theirs: "http50Raw" },
  import: { ours: "importDoor", theirs: "importContact" },
  intake: { ours: "intakeDoor", theirs: "intakeBare" },
} as const satisfies Record<string, Comparison>;

/** Those that only explain: not in a quick run. */
const explanations = {
  bullmqChunkBare: { ours: "engine", theirs: "bullmqChunkBare" },
  floor4: { ours: "engine", theirs: "floor4" },
  capped: { ours: "engineCapped", theirs: "engine" },
  importBare: { ours: "importDoor", theirs: "importCopy" },
} as const satisfies Record<string, Comparison>;

export const allComparisons: Readonly<Record<string, Comparison>> = { ...comparisons, ...explanations };

/** Recipients whose time and memory are compared, in a full run. */
export const sizes = [10_000, 100_000, 1_000_000] as const;

export const taskOf = (name: EntryName, size: "full" | "quick" | number): Task => {
  const entry: Entry = entries[name];
  return { name, file: entry.file, n: typeof size === "number" ? size : entry[size], options: entry.options ?? {}, redis: entry.needsRedis ?? false };
};

const names = Object.keys(entries) as EntryName[];

/**
 * Who runs in each round. `only`: names of contenders, or of comparisons for both of them.
 * @throws when there is no such name
 */
export function chosen(only: readonly string[] | null, { quick, redis }: { quick: boolean; redis: boolean }): EntryName[] {
  const of = (name: string): readonly EntryName[] => {
    const pair = allComparisons[name];
    const own = names.filter((one) => one === name);
    if (pair === undefined && own.length === 0) {
      throw new Error(`--only: there is no ${name}. There are: sizes, ${[...new Set([...names, ...Object.keys(allComparisons)])].join(", ")}.`);
    }
    return own.length > 0 || pair === undefined ? own : [pair.ours, pair.theirs];
  };
  const all = Object.values(quick ? comparisons : allComparisons).flatMap(({ ours, theirs }) => [ours, theirs]);
  const wanted = new Set<EntryName>(only === null ? all : only.filter((name) => name !== "sizes").flatMap(of));
  return names.filter((name) => wanted.has(name) && (redis || (entries[name] as Entry).needsRedis === undefined));
}
