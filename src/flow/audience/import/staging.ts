import type { ContactRow } from "../../../rules/csv-contact.ts";
import type { RowSink } from "./reading.ts";

/** One COPY: ten thousand rows, 20 ms of Postgres. Over TCP each COPY ends with a small packet that Nagle's algorithm keeps for 40 ms. */
const BATCH_BYTES = 1_048_576;

export interface Staging extends RowSink {
  /**
   * To be called after each piece of the file: hands a full batch over, and waits while the one before it is still on its way, so the
   * file is read no faster than Postgres writes.
   */
  readonly drain: () => Promise<void>;
  /** Hands over what is left, and waits until Postgres has everything. */
  readonly end: () => Promise<void>;
}

/**
 * Collects rows as lines of COPY's text format and hands them to `copy` in batches, one on its way while the next is filled. The two take
 * turns in two buffers: with new ones for each batch, a million rows held up to 50 MB more.
 */
export function stagingOf(copy: (batch: Buffer) => Promise<void>): Staging {
  const buffers: [Buffer, Buffer] = [Buffer.allocUnsafeSlow(BATCH_BYTES), Buffer.allocUnsafeSlow(BATCH_BYTES)];
  let filled = 0;
  let lines = "";
  let underWay: Promise<void> = Promise.resolve();
  const start = (batch: Buffer) => {
    underWay = copy(batch);
    // Its failure is thrown to whoever waits for it next; until then it is nobody's unhandled rejection.
    underWay.catch(() => {});
  };
  const handOver = async () => {
    await underWay;
    if (filled === 0) return;
    start(buffers[0].subarray(0, filled));
    buffers.reverse();
    filled = 0;
  };
  // After each piece: text that is kept while more is added to it is a tree of a dozen nodes per row, and outlives two collections.
  const gather = async () => {
    const text = lines;
    lines = "";
    if (text.length * 3 <= BATCH_BYTES - filled) filled += buffers[0].write(text, filled);
    else {
      await handOver();
      if (text.length * 3 <= BATCH_BYTES) filled = buffers[0].write(text);
      else {
        await underWay;
        start(Buffer.from(text));
      }
    }
  };
  return {
    contact: (line, contact) => {
      lines += contactLine(line, contact);
    },
    reject: (line, value, reason) => {
      lines += `${line}\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t${escaped(value)}\t${escaped(reason)}\n`;
    },
    drain: gather,
    end: async () => {
      await gather();
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
