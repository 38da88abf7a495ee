import { allComparisons, type Comparison, comparisons, type Entry, type EntryName, entries } from "./plan.ts";
import { cpuOf, over, type Round, ratioOf, rounded, type Spread } from "./stats.ts";
import type { Trial } from "./trial.ts";

/** All that a bench found out. */
export interface Findings {
  /** Where and with what, one line each. */
  readonly facts: readonly string[];
  readonly rounds: readonly Round[];
  /** The engine with ever more recipients. */
  readonly grown: readonly { readonly recipients: number; readonly trial: Trial }[];
  readonly sizeOf: (name: EntryName) => number;
}

/** The result for a script. Null: it did not run. */
export function jsonOf({ rounds }: Pick<Findings, "rounds">) {
  const engine = (figure: (trial: Trial) => number) => median(over(rounds, "engine", figure));
  const ratios = Object.entries(comparisons).map(([name, pair]) => [name, median(ratioOf(rounds, pair))]);
  return {
    engine: engine((trial) => trial.perSecond),
    cpuUs: engine(cpuOf),
    walBytes: engine((trial) => trial.walBytes),
    rssMb: engine((trial) => trial.rssMb),
    ratio: Object.fromEntries(ratios) as Record<keyof typeof comparisons, number | null>,
  };
}

const median = (spread: Spread | null) => (spread === null ? null : rounded(spread.median));

const whole = (value: number) => Math.round(value).toLocaleString("en");
const fine = (value: number) => (value < 100 ? value.toFixed(1) : whole(value));
const times = (value: number) => (value < 10 ? value.toFixed(2) : value.toFixed(1));
const spread = (of: Spread | null, write: (value: number) => string) =>
  of === null ? "–" : of.min === of.max ? write(of.median) : `${write(of.median)} <sub>${write(of.min)}–${write(of.max)}</sub>`;
const single = (of: Spread | null, write: (value: number) => string) => (of === null ? "–" : write(of.median));

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map((_, column) => (column === 0 ? "---" : "---:")), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");

const sending: readonly EntryName[] = ["engine", "engineCapped", "floor", "floor4", "bullmqChunk", "pgboss", "graphile", "bullmq"];
const labelOf = (name: EntryName): string => (entries[name] as Entry).label;

function sendingTable({ rounds, sizeOf }: Findings): string {
  const rows = sending
    .filter((name) => over(rounds, name, () => 1) !== null)
    .map((name) => [
      labelOf(name),
      whole(sizeOf(name)),
      spread(
        over(rounds, name, (trial) => trial.perSecond),
        whole,
      ),
      name === "engine" ? "" : spread(ratioOf(rounds, { ours: "engine", theirs: name }), times),
      single(
        over(rounds, name, (trial) => trial.nodeCpuUs),
        fine,
      ),
      single(
        over(rounds, name, (trial) => trial.postgresCpuUs),
        fine,
      ),
      single(
        over(rounds, name, (trial) => trial.redisCpuUs),
        fine,
      ),
      single(
        over(rounds, name, (trial) => trial.walBytes),
        whole,
      ),
      single(
        over(rounds, name, (trial) => trial.rssMb),
        whole,
      ),
    ]);
  const head = ["", "messages", "per second", "Campanile is … times as fast", "Node µs", "Postgres µs", "Redis µs", "WAL bytes", "peak MB"];
  return table(head, rows);
}

const pairs: readonly { readonly name: string; readonly unit: string }[] = [
  { name: "http0", unit: "messages" },
  { name: "http50", unit: "messages" },
  { name: "import", unit: "rows" },
  { name: "importBare", unit: "rows" },
  { name: "intake", unit: "requests" },
];

function pairTable({ rounds, sizeOf }: Findings): string {
  const rows = pairs.flatMap(({ name, unit }) => {
    const pair = allComparisons[name];
    const ratio = pair === undefined ? null : ratioOf(rounds, pair);
    return pair === undefined || ratio === null ? [] : [pairRow({ rounds, sizeOf }, { pair, ratio, unit })];
  });
  return table(["", "ours per second", "against", "theirs per second", "ours / theirs", "our Node µs", "their Node µs"], rows);
}

function pairRow({ rounds, sizeOf }: Pick<Findings, "rounds" | "sizeOf">, row: { pair: Comparison; ratio: Spread; unit: string }): string[] {
  const { ours, theirs } = row.pair;
  const speed = (name: EntryName) =>
    spread(
      over(rounds, name, (trial) => trial.perSecond),
      whole,
    );
  const cpu = (name: EntryName) =>
    single(
      over(rounds, name, (trial) => trial.nodeCpuUs),
      fine,
    );
  return [
    `${labelOf(ours)} (${whole(sizeOf(ours))} ${row.unit})`,
    speed(ours),
    labelOf(theirs),
    speed(theirs),
    spread(row.ratio, times),
    cpu(ours),
    cpu(theirs),
  ];
}

const grownTable = ({ grown }: Findings): string =>
  table(
    ["recipients", "seconds", "per second", "peak MB", "CPU µs per message", "WAL bytes per message"],
    grown.map(({ recipients, trial }) => [
      whole(recipients),
      (trial.ms / 1_000).toFixed(1),
      whole(trial.perSecond),
      whole(trial.rssMb),
      fine(cpuOf(trial)),
      whole(trial.walBytes),
    ]),
  );

/** bench/RESULTS.md. Sections without figures are left out. */
export function reportOf(findings: Findings): string {
  const { rounds, grown, facts } = findings;
  const has = (names: readonly EntryName[]) => names.some((name) => over(rounds, name, () => 1) !== null);
  const sections = [
    `# Results\n\n<!-- Written by \`npm run bench\`; nothing here is written by hand. -->\n\n${facts.map((fact) => `- ${fact}`).join("\n")}`,
    rounds.length > 0
      ? `Medians of ${rounds.length} interleaved ${rounds.length === 1 ? "round" : "rounds"}, the least and the most beside them. Ratios are taken inside each round: absolute figures move with
whatever else the machine does, the ratios less, CPU and WAL per message least. What is compared, and how: [README.md](README.md).`
      : "",
    has(sending) ? `## Sending\n\n![Messages per second, and what each costs](../docs/bench.svg)\n\n${sendingTable(findings)}` : "",
    has(["http0Raw", "importCopy", "intakeBare"]) ? `## Doors\n\n${pairTable(findings)}` : "",
    grown.length > 0
      ? `## Growing audiences\n\nThe engine alone, one run each; time and memory from its start to the stored statement.\n\n${grownTable(findings)}`
      : "",
  ];
  return `${sections.filter((section) => section !== "").join("\n\n")}\n`;
}
