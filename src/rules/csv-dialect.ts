import { countRevealing } from "./csv-columns.ts";
import { countLineEnds, csvReader } from "./csv-reader.ts";
import { Refusal } from "./refusal.ts";

export interface Dialect {
  readonly delimiter: string;
  /** Characters before the first row: Excel's `sep=;` line. */
  readonly skip: number;
  /** The line of the file on which the first row begins. */
  readonly line: number;
}

const delimiters = [",", ";", "\t", "|"] as const;
const ROWS_LOOKED_AT = 20;

/**
 * How the rows of a file are cut into cells, from its beginning: the delimiter a `sep=` line names; else the one that reveals most
 * columns in the first row; else the one that gives the first rows the same number of cells. A comma when nothing tells.
 */
export function detectDialect(sample: string): Dialect {
  const named = /^"?sep=([,;\t|])"?[ \t]*(?:\r\n|\n|\r|$)/i.exec(sample);
  if (named?.[1] !== undefined) return { delimiter: named[1], skip: named[0].length, line: 1 + countLineEnds(named[0]) };
  const scored = delimiters.map((delimiter) => ({ delimiter, score: score(sample, delimiter) }));
  const best = scored.reduce((one, other) => (other.score > one.score ? other : one));
  return { delimiter: best.delimiter, skip: 0, line: 1 };
}

function score(sample: string, delimiter: string): number {
  const rows = firstRows(sample, delimiter);
  const [first] = rows;
  if (first === undefined) return 0;
  const alike = rows.filter((cells) => cells.length === first.length).length / rows.length;
  return countRevealing(first) + (first.length > 1 ? alike / 2 : 0);
}

function firstRows(sample: string, delimiter: string): readonly (readonly string[])[] {
  const reader = csvReader(delimiter);
  try {
    const whole = reader.push(sample);
    const rows = whole.length > 0 ? whole : reader.end();
    return rows
      .map(({ cells }) => cells)
      .filter((cells) => cells.some((cell) => cell.trim() !== ""))
      .slice(0, ROWS_LOOKED_AT);
  } catch (error) {
    // Read so, the file is damaged: not with this delimiter. Damaged with each, it is refused when it is read.
    if (error instanceof Refusal) return [];
    throw error;
  }
}
