import type { ContactRow } from "../../../rules/csv-contact.ts";
import type { RowSink } from "./reading.ts";

/** One COPY: some thousand rows, 5 ms of Postgres. Twice as much is in memory at most. */
const BATCH_BYTES = 262_144;

export interface Staging extends RowSink {
  /**
   * To be called after each piece of the file: hands a full batch over, and waits while the one before it is still on its way, so the
   * file is read no faster than Postgres writes.
   */
  readonly drain: () => Promise<void>;
  /** Hands over what is left, and waits until Postgres has everything. */
  readonly end: () => Promise<void>;
}

/** Collects rows as lines of COPY's text format and hands them to `copy` in batches, one on its way while the next is filled. */
export function stagingOf(copy: (batch: readonly Buffer[]) => Promise<void>): Staging {
  let lines = "";
  let batch: Buffer[] = [];
  let bytes = 0;
  let underWay: Promise<void> = Promise.resolve();
  const gather = () => {
    // Text that is kept while more is added to it is a tree of a dozen nodes per row, and outlives two collections: 70 MB more.
    const piece = Buffer.from(lines);
    lines = "";
    batch.push(piece);
    bytes += piece.length;
  };
  const handOver = async () => {
    await underWay;
    if (bytes === 0) return;
    underWay = copy(batch);
    // Its failure is thrown to whoever waits for it next; until then it is nobody's unhandled rejection.
    underWay.catch(() => {});
    batch = [];
    bytes = 0;
  };
  return {
    contact: (line, contact) => {
      lines += contactLine(line, contact);
    },
    reject: (line, value, reason) => {
      lines += `${line}\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t${escaped(value)}\t${escaped(reason)}\n`;
    },
    drain: async () => {
      gather();
      if (bytes >= BATCH_BYTES) await handOver();
    },
    end: async () => {
      gather();
      await handOver();
      await underWay;
    },
  };
}

const contactLine = (line: number, { phone, email, firstName, lastName, company, timeZone, attributes }: ContactRow): string =>
  `${line}\t${field(phone)}\t${field(email)}\t${field(firstName)}\t${field(lastName)}\t${field(company)}\t${field(timeZone)}\t${escaped(attributes)}\t\\N\t\\N\n`;

const field = (text: string | null) => (text === null ? "\\N" : escaped(text));

const escaped = (text: string) => (/[\\\t\n\r]/.test(text) ? text.replace(/[\\\t\n\r]/g, (character) => escapes[character] ?? character) : text);
const escapes: Readonly<Record<string, string>> = { "\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r" };
