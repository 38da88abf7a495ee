import { Refusal } from "./refusal.ts";

/** A longer record, or a quote that stays open for longer, is a damaged file: nobody's row. In characters. */
export const RECORD_MAX = 1_048_576;
const CELL_MAX = 10_000;
const COLUMNS_MAX = 1_000;

export interface CsvRow {
  /** The line of the file, counted from 1, on which the row begins. */
  readonly line: number;
  readonly cells: readonly string[];
  /** Why this row alone cannot be used; null when it can. */
  readonly fault: string | null;
}

/**
 * Takes a file's text piece by piece and gives its rows. LF, CRLF and CR each end a line, in any mixture; a cell in quotes may hold all
 * of them. Throws a Refusal where everything that follows would be misread: a quote that never closes, a record without an end.
 *
 * csv-parse is no match here (7.0.3): it miscounts lines when a quoted cell holds a CRLF, takes rows it swallowed after an unclosed
 * quote for one row, and stops at the first row with too long a cell. csv-reader.test.ts compares the two on everything else.
 */
export interface CsvReader {
  /** The line on which the text that follows begins. */
  readonly line: () => number;
  readonly push: (text: string) => CsvRow[];
  readonly end: () => CsvRow[];
}

/** What is read now: `text` from the beginning of a record, and where its next quote and line ends are (cached; Infinity: none). */
interface Scan {
  readonly text: string;
  readonly delimiter: string;
  /** No more text will follow. */
  readonly final: boolean;
  quoteAt: number;
  lfAt: number;
  crAt: number;
}

interface Found {
  readonly cells: readonly string[];
  readonly fault: string | null;
  /** Where the next record begins. */
  readonly next: number;
}

export function csvReader(delimiter: string, firstLine = 1): CsvReader {
  let rest = "";
  let line = firstLine;
  const read = (added: string, final: boolean): CsvRow[] => {
    const text = rest + added;
    const scan: Scan = { text, delimiter, final, quoteAt: -1, lfAt: -1, crAt: -1 };
    const rows: CsvRow[] = [];
    let at = 0;
    while (at < text.length) {
      const found = readRecord(scan, at, line);
      if ((found?.next ?? text.length) - at > RECORD_MAX) throw tooLong(line, text.slice(at, at + RECORD_MAX));
      if (found === null) break;
      rows.push({ line, cells: found.cells, fault: found.fault ?? faultOf(found, at) });
      line += lineEndsIn(scan, at, found.next);
      at = found.next;
    }
    rest = text.slice(at);
    return rows;
  };
  return { line: () => line + countLineEnds(rest), push: (text) => read(text, false), end: () => read("", true) };
}

/** The record that begins at `at`; null when its end is yet to come. */
function readRecord(scan: Scan, at: number, line: number): Found | null {
  const end = lineEnd(scan, at);
  if (scan.quoteAt < at) scan.quoteAt = indexOf(scan.text, '"', at);
  if (scan.quoteAt < end) return readQuoted(scan, at, line);
  const next = afterLineEnd(scan, end);
  return next === null ? null : { cells: scan.text.slice(at, Math.min(end, scan.text.length)).split(scan.delimiter), fault: null, next };
}

/** The same, cell by cell, for a record with a quote somewhere. A quote counts only where a cell begins (blanks may stand before it). */
function readQuoted(scan: Scan, at: number, line: number): Found | null {
  const { text, delimiter } = scan;
  const cells: string[] = [];
  let fault: string | null = null;
  for (let from = at; ; ) {
    const opens = afterBlanks(text, from);
    const quoted = text[opens] === '"' ? readQuote(scan, opens) : undefined;
    if (quoted === null && scan.final) throw unclosed(line + countLineEnds(text.slice(at, opens)), "never closed");
    if (quoted === null) return null;
    const after = quoted?.next ?? from;
    const stop = cellEnd(scan, after);
    if (stop === null) return null;
    const tail = text.slice(after, stop);
    const stray = quoted !== undefined && tail.trim() !== "";
    if (stray && countLineEnds(quoted.value) > 0) {
      const opened = line + countLineEnds(text.slice(at, opens));
      throw unclosed(opened, `closed in the middle of a cell on line ${opened + countLineEnds(text.slice(opens, after))}`);
    }
    if (stray) fault ??= `Cell ${cells.length + 1} goes on after its closing quote. Double the quotes inside a quoted cell.`;
    cells.push(quoted === undefined ? tail : quoted.value + (stray ? tail : ""));
    if (text[stop] !== delimiter) {
      const next = afterLineEnd(scan, stop);
      return next === null ? null : { cells, fault, next };
    }
    from = stop + 1;
  }
}

/** What stands between the quote at `opens` and its closing quote, and the place after that; null when that one is yet to come. */
function readQuote({ text }: Scan, opens: number): { value: string; next: number } | null {
  let value = "";
  for (let from = opens + 1; ; ) {
    const quote = text.indexOf('"', from);
    if (quote < 0) return null;
    if (text[quote + 1] !== '"') return { value: value + text.slice(from, quote), next: quote + 1 };
    value += text.slice(from, quote + 1);
    from = quote + 2;
  }
}

/** Where an unquoted cell, or what follows a quoted one, ends: at a delimiter, a line end or the end of the file. */
function cellEnd(scan: Scan, from: number): number | null {
  const end = Math.min(lineEnd(scan, from), scan.text.length);
  const code = scan.delimiter.charCodeAt(0);
  for (let at = from; at < end; at++) if (scan.text.charCodeAt(at) === code) return at;
  return end < scan.text.length || scan.final ? end : null;
}

function lineEnd(scan: Scan, from: number): number {
  if (scan.lfAt < from) scan.lfAt = indexOf(scan.text, "\n", from);
  if (scan.crAt < from) scan.crAt = indexOf(scan.text, "\r", from);
  return Math.min(scan.lfAt, scan.crAt);
}

/** Where the next line begins; null when that is not known yet (a CR that may be followed by LF counts as not known). */
function afterLineEnd({ text, final }: Scan, end: number): number | null {
  if (end >= text.length) return final ? text.length : null;
  if (text[end] === "\n") return end + 1;
  if (end + 1 === text.length) return final ? end + 1 : null;
  return text[end + 1] === "\n" ? end + 2 : end + 1;
}

function indexOf(text: string, sought: string, from: number): number {
  const at = text.indexOf(sought, from);
  return at < 0 ? Infinity : at;
}

function afterBlanks(text: string, from: number): number {
  let at = from;
  while (text[at] === " ") at++;
  return at;
}

export const countLineEnds = (text: string): number => text.match(/\r\n?|\n/g)?.length ?? 0;

/** A record without quotes is one line; the others are counted. */
const lineEndsIn = (scan: Scan, at: number, next: number): number => (scan.quoteAt >= next ? 1 : countLineEnds(scan.text.slice(at, next)));

function faultOf({ cells, next }: Found, at: number): string | null {
  if (cells.length > COLUMNS_MAX) return `The row has ${cells.length} cells; at most ${COLUMNS_MAX} are read.`;
  if (next - at <= CELL_MAX) return null;
  const long = cells.findIndex((cell) => cell.length > CELL_MAX);
  return long < 0 ? null : `Cell ${long + 1} has ${cells[long]?.length} characters; at most ${CELL_MAX} are stored.`;
}

const unclosed = (line: number, how: string) =>
  new Refusal("import_unreadable", {
    cause: `The quote that opens on line ${line} is ${how}, so the rows after it cannot be told apart. Close it there, or double the quotes inside the cell, and import the file again. Nothing was stored.`,
  });

function tooLong(line: number, start: string): Refusal {
  if (countLineEnds(start) > 0) return unclosed(line, `not closed within ${RECORD_MAX} characters`);
  const cause = `Line ${line} is longer than ${RECORD_MAX} characters: this is not a file with one contact per line. Nothing was stored.`;
  return new Refusal("import_unreadable", { cause });
}
