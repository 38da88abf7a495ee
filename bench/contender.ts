import { extname } from "node:path";

/** In what the same code is run differently. */
export interface Options {
  /** What the vendor takes to answer; 0 unless given. */
  readonly latencyMs?: number;
  /** Calls in flight. */
  readonly inFlight?: number;
  /** Unique people the sender may write to in 24 h; without it none are counted. */
  readonly cap?: number;
  /** The recipients' table has no index but its key. */
  readonly bare?: boolean;
  /** Lots at a time; 1 unless given. */
  readonly lots?: number;
}

/** Where a run happens. */
export interface Place {
  /** The run's own database: a copy of the one that `prepare` filled. While preparing: that one. */
  readonly databaseUrl: string;
  readonly redisUrl: string | null;
  /** A folder for files of this bench; it is gone afterwards. */
  readonly dir: string;
  /** Messages, rows or requests. */
  readonly n: number;
  readonly options: Options;
}

/** One run: everything is open and connected, nothing has begun. Its process has done a smaller one before, for programs like these run for weeks. */
interface Run {
  /** What is measured, from the first to the last of the work durable. */
  readonly work: () => Promise<void>;
  /** How many are really there: counted from rows, or by the vendor. Throws when they contradict each other. */
  readonly count: () => Promise<number>;
  readonly close: () => Promise<void>;
}

export interface Contender {
  /** Stores the recipients, in a process of its own; once for all rounds. */
  readonly prepare?: (place: Place) => Promise<void>;
  /** What a copied database cannot bring along, before each run and its rehearsal, and in a process of its own. */
  readonly fill?: (place: Place) => Promise<void>;
  readonly open: (place: Place) => Promise<Run>;
}

/** What stands in each file of contenders/ and peers/. */
export interface ContenderModule {
  readonly contender: Contender;
}

/** The parent tells a child what to do … */
export type Order =
  | { readonly do: "prepare" | "fill"; readonly file: string; readonly place: Place }
  | { readonly do: "run"; readonly file: string; readonly place: Place; readonly rehearsal: Place }
  | { readonly do: "go" };

/** … and is told how far it is. CPU is user and system time of this one process. */
export type Report =
  | { readonly at: "rehearsed" }
  | { readonly at: "ready" }
  | { readonly at: "worked"; readonly ms: number; readonly cpuUs: number; readonly rssMb: number }
  | { readonly at: "done"; readonly count: number };

/** One person, as every contender stores it. */
export const phoneOf = (position: number): string => `+9198${String(10_000_000 + position)}`;
export const firstNameOf = (position: number): string => `Asha${position % 9_973}`;
export const companyOf = (position: number): string => `Acme ${position % 4_999} Ltd`;

/** What is said to each; the engine renders it by its own means. */
export const MESSAGE = "Hi {{firstName}}, check out {{company}}";
export const textFor = (firstName: string, company: string): string => `Hi ${firstName}, check out ${company}`;

let sent = 0;
/** The contenders' provider: an id at once. As asynchronous as the engine's own rehearsal provider, and as long an id. */
export async function send(phone: string, text: string): Promise<string> {
  if (phone === "" || text === "") throw new Error("there is nobody to send to, or nothing to say");
  sent++;
  return `rehearsal.c1.00000000000040008000000000000001.1.${sent}.1.0a1b2c3d`;
}

/** Where the code of this bench is that is called `file` in its sources: they are built before they run. */
export const codeOf = (file: string): URL => new URL(file.replace(/\.ts$/, extname(import.meta.url)), import.meta.url);
