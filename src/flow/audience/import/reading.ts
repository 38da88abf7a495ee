import { type Columns, resolveColumns } from "../../../rules/csv-columns.ts";
import { type ContactRow, type ContactRowOptions, contactReader, REJECTED_VALUE_MAX } from "../../../rules/csv-contact.ts";
import { detectDialect } from "../../../rules/csv-dialect.ts";
import { type CsvReader, type CsvRow, countLineEnds, csvReader } from "../../../rules/csv-reader.ts";
import { Refusal } from "../../../rules/refusal.ts";
import { type Decoded, type Decoder, decoderOf, type Encoding, foreignFormat } from "./decode.ts";

const ROWS_MAX = 10_000_000;
const COUNTRYLESS_MIN = 20;
const COUNTRYLESS_SHARE_MAX = 0.25;

export interface ReadingOptions extends ContactRowOptions {
  /** Column → field, see rules/csv-columns.ts. */
  readonly map?: Readonly<Record<string, string>>;
}

/** Where rows go. */
export interface RowSink {
  readonly contact: (line: number, contact: ContactRow) => void;
  readonly reject: (line: number, value: string, reason: string) => void;
}

/** What was found out about a file. */
export interface FileFacts {
  readonly encoding: Encoding;
  readonly delimiter: string;
  readonly hasHeader: boolean;
}

export interface Reading {
  readonly push: (piece: Buffer) => void;
  readonly end: () => FileFacts;
  /** Rows and rejected rows so far. */
  readonly counts: () => { readonly rows: number; readonly rejected: number };
}

/**
 * Turns the bytes of a CSV file, piece by piece, into contacts and rejected rows. Empty lines are no rows.
 * @throws {Refusal} import_unreadable, with the line, where the rest could only be misread; file_empty; too_large
 */
export function readingOf(options: ReadingOptions, sink: RowSink): Reading {
  const state: State = { options, sink, rows: 0, rejected: 0, countryless: 0 };
  return {
    push: (piece) => {
      const { decoder, reader } = state;
      if (decoder === undefined || reader === undefined) begin(state, piece);
      else consume(state, reader, decoder.push(piece));
    },
    end: () => {
      const { decoder, reader } = state;
      if (decoder === undefined || reader === undefined) throw new Refusal("file_empty");
      consume(state, reader, decoder.end());
      for (const row of reader.end()) take(state, row);
      if (state.first !== undefined) settleColumns(state, state.first);
      if (state.rows === 0) throw new Refusal("file_empty");
      assertInternational(state);
      return { encoding: decoder.encoding(), delimiter: state.delimiter ?? ",", hasHeader: state.columns?.headerless === false };
    },
    counts: () => ({ rows: state.rows, rejected: state.rejected }),
  };
}

interface State {
  readonly options: ReadingOptions;
  readonly sink: RowSink;
  rows: number;
  rejected: number;
  /** Rows whose phone lacks its country code. */
  countryless: number;
  decoder?: Decoder;
  reader?: CsvReader;
  delimiter?: string;
  /** The first row, until it is known whether it is a header. */
  first?: CsvRow | undefined;
  columns?: Columns;
  contactOf?: ReturnType<typeof contactReader>;
}

function begin(state: State, head: Buffer): void {
  const foreign = foreignFormat(head);
  if (foreign !== null) throw unreadable(foreign);
  const decoder = decoderOf(head);
  const { text, fault } = decoder.push(head);
  if (fault !== null) throw unreadable(`Line ${1 + countLineEnds(text)} has ${fault}.`);
  const { delimiter, skip, line } = detectDialect(text);
  const reader = csvReader(delimiter, line);
  Object.assign(state, { decoder, reader, delimiter });
  consume(state, reader, { text: text.slice(skip), fault });
}

function consume(state: State, reader: CsvReader, { text, fault }: Decoded): void {
  for (const row of reader.push(text)) take(state, row);
  if (fault !== null) throw unreadable(`Line ${reader.line()} has ${fault}.`);
}

function take(state: State, row: CsvRow): void {
  if (row.cells.every(isBlank)) return;
  if (state.contactOf !== undefined) takeData(state, row);
  else if (state.first !== undefined) {
    settleColumns(state, state.first, row);
    takeData(state, row);
  } else if (row.fault !== null) throw unreadable(`Line ${row.line}: ${row.fault}`);
  else state.first = row;
}

const isBlank = (cell: string) => cell === "" || cell.trim() === "";

function settleColumns(state: State, first: CsvRow, second?: CsvRow): void {
  const { map, country } = state.options;
  const hints = { ...(map === undefined ? {} : { map }), ...(country === undefined ? {} : { country }) };
  state.columns = resolveColumns(first.cells, { ...hints, ...(second === undefined ? {} : { second: second.cells }) });
  state.contactOf = contactReader(state.columns.columns, state.options);
  state.first = undefined;
  if (state.columns.headerless) takeData(state, first);
}

function takeData(state: State, { line, cells, fault }: CsvRow): void {
  state.rows++;
  if (state.rows > ROWS_MAX) throw new Refusal("too_large", { what: "The file", size: `longer than ${ROWS_MAX} rows`, max: `${ROWS_MAX}; split it` });
  const result = fault === null ? state.contactOf?.(cells) : rejection(cells, fault);
  if (result?.ok) state.sink.contact(line, result.contact);
  else if (result !== undefined) {
    state.rejected++;
    if (result.countryless) state.countryless++;
    state.sink.reject(line, result.value, result.reason);
  }
}

const rejection = (cells: readonly string[], reason: string) =>
  ({ ok: false, value: cells.join(" | ").slice(0, REJECTED_VALUE_MAX), reason, countryless: false }) as const;

/**
 * Bare digits that are no number with a country code are a row's fault; many of them are the file's, which then has national numbers.
 * Those of its rows that look international by chance are strangers: 6 % of all Indian mobile numbers, 10 % of the American, 25 % of the
 * Brazilian and 51 % of the German ones are valid numbers of other countries.
 */
function assertInternational({ countryless, rows }: State): void {
  if (countryless < COUNTRYLESS_MIN || countryless <= rows * COUNTRYLESS_SHARE_MAX) return;
  throw unreadable(
    `${countryless} of ${rows} rows have a phone without its country code; those that seem to have one may be other people's. Say which country the file is from, or write every number with + and its country code.`,
  );
}

const unreadable = (cause: string) => new Refusal("import_unreadable", { cause: `${cause} Nothing was stored.` });
