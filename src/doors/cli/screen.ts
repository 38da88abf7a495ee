import { type Options, Presets, SingleBar } from "cli-progress";

/** What a command says. `--json`: one JSON object, last, on standard output; everything else goes to standard error. */
export interface Screen {
  readonly json: boolean;
  say(line?: string): void;
  table(rows: readonly (readonly (string | number)[])[]): void;
  /** The result, for scripts; people have read it already. */
  result(value: unknown): void;
  bar(options: BarOptions): Bar;
}

interface BarOptions {
  readonly total: number;
  readonly format: string;
  /** What the format names, as it is at the beginning. */
  readonly shown?: Readonly<Record<string, string | number>>;
}

interface Bar {
  at(value: number, shown?: Readonly<Record<string, string | number>>): void;
  total(value: number): void;
  stop(): void;
}

export function createScreen(json: boolean): Screen {
  const out = json ? process.stderr : process.stdout;
  const say = (line = "") => void out.write(`${line}\n`);
  return {
    json,
    say,
    table(rows) {
      const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? "").length)));
      for (const row of rows) say(`  ${row.map((cell, column) => pad(cell, widths[column] ?? 0)).join("  ")}`.trimEnd());
    },
    result(value) {
      if (json) process.stdout.write(`${JSON.stringify(value)}\n`);
    },
    bar: (options) => createBar(options, say),
  };
}

/** Numbers stand right, words left. */
const pad = (cell: string | number, width: number): string =>
  typeof cell === "number" ? cell.toLocaleString("en").padStart(width) : cell.padEnd(width);

const barOptions: Options = { hideCursor: true, clearOnComplete: false, etaBuffer: 50, forceRedraw: false, barsize: 32, stopOnComplete: false };

/** A progress bar on a terminal; elsewhere a line whenever another tenth is done. */
function createBar({ total, format, shown: atFirst = {} }: BarOptions, say: (line: string) => void): Bar {
  if (!process.stderr.isTTY) return plainBar(total, say);
  const bar = new SingleBar(
    { ...barOptions, format, stream: process.stderr, formatValue: (value) => value.toLocaleString("en") },
    Presets.shades_classic,
  );
  bar.start(total, 0, atFirst);
  return { at: (value, shown = {}) => bar.update(value, shown), total: (value) => bar.setTotal(value), stop: () => bar.stop() };
}

function plainBar(total: number, say: (line: string) => void): Bar {
  let [whole, told] = [total, 0];
  return {
    at(value, shown = {}) {
      const tenth = whole === 0 ? 10 : Math.floor((value / whole) * 10);
      if (tenth <= told) return;
      told = tenth;
      const more = Object.entries(shown).map(([name, count]) => `${name} ${count}`);
      say(`  ${tenth * 10} %  ${value.toLocaleString("en")} of ${whole.toLocaleString("en")}${more.length > 0 ? `  (${more.join(", ")})` : ""}`);
    },
    total(value) {
      whole = value;
    },
    stop() {},
  };
}
