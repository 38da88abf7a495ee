import { isAscii, isUtf8 } from "node:buffer";
import iconv from "iconv-lite";

export type Encoding = "UTF-8" | "UTF-16LE" | "UTF-16BE" | "Windows-1252";

/** The text of a piece. With a `fault`, the text ends before it, and nothing after it can be read. */
export interface Decoded {
  readonly text: string;
  /** What is there instead, to be continued from "Line 7 has …". */
  readonly fault: string | null;
}

export interface Decoder {
  /** UTF-8 also while there was nothing but ASCII. */
  readonly encoding: () => Encoding;
  readonly push: (piece: Buffer) => Decoded;
  readonly end: () => Decoded;
}

/**
 * Makes text of a file's bytes, piece by piece. `head` is its first piece, which tells by its byte order mark, else by where its zero
 * bytes are, whether it is UTF-16.
 *
 * Otherwise it is UTF-8 or Windows-1252 ("CSV" of a Western Excel), and ASCII is both. So nothing is decided, nor looked at twice, until
 * the first byte that is not ASCII, be it after a gigabyte: if it begins a valid UTF-8 sequence the whole file must be UTF-8, else it is
 * all Windows-1252. A text in any other encoding of one byte per character cannot be told from Windows-1252; the result of an import
 * names what was taken. iconv-lite and not TextDecoder, which in Node 20 decodes 0x80 to 0x9F of windows-1252 wrongly (’ and €).
 */
export function decoderOf(head: Buffer): Decoder {
  if (startsWith(head, [0xff, 0xfe])) return afterMark(2, utf16("UTF-16LE"));
  if (startsWith(head, [0xfe, 0xff])) return afterMark(2, utf16("UTF-16BE"));
  if (startsWith(head, [0xef, 0xbb, 0xbf])) return afterMark(3, eightBit("UTF-8"));
  const sample = head.subarray(0, 4_096);
  const zeros = [0, 0];
  for (const [at, byte] of sample.entries()) if (byte === 0) zeros[at % 2] = (zeros[at % 2] ?? 0) + 1;
  const [even = 0, odd = 0] = zeros;
  // Every comma, digit and line end of UTF-16 has a zero byte, always on the same side; few characters (U+0100, 😀) have one on the other.
  const many = Math.max(2, sample.length / 8);
  if (odd > many && odd > even * 8) return utf16("UTF-16LE");
  if (even > many && even > odd * 8) return utf16("UTF-16BE");
  return eightBit("ASCII");
}

/** Why a file that is no text at all cannot be read; null when it may be text. */
export function foreignFormat(head: Buffer): string | null {
  const found = formats.find(({ signature }) => startsWith(head, signature));
  return found === undefined ? null : found.cause;
}

const formats = [
  {
    signature: [0x50, 0x4b, 0x03, 0x04],
    cause: "This is an Excel workbook (.xlsx) or a ZIP archive. Save it in Excel as “CSV UTF-8” and import that file.",
  },
  { signature: [0xd0, 0xcf, 0x11, 0xe0], cause: "This is an old Excel workbook (.xls). Save it in Excel as “CSV UTF-8” and import that file." },
  { signature: [0x1f, 0x8b], cause: "This file is compressed (gzip). Unpack it and import what is in it." },
  { signature: [0x25, 0x50, 0x44, 0x46], cause: "This is a PDF document, not a CSV file." },
  { signature: [0x7b, 0x5c, 0x72, 0x74, 0x66], cause: "This is a document (RTF), not a CSV file." },
] as const;

const startsWith = (bytes: Buffer, signature: readonly number[]) => signature.every((byte, at) => bytes[at] === byte);

/** The byte order mark is in the first piece, whole. */
function afterMark(length: number, decoder: Decoder): Decoder {
  let skip = length;
  const push = (piece: Buffer) => {
    const rest = piece.subarray(skip);
    skip = 0;
    return decoder.push(rest);
  };
  return { ...decoder, push };
}

function utf16(encoding: "UTF-16LE" | "UTF-16BE"): Decoder {
  let carry: Buffer = Buffer.alloc(0);
  const decode = (piece: Buffer, final: boolean): Decoded => {
    const bytes = carry.length === 0 ? piece : Buffer.concat([carry, piece]);
    let whole = bytes.length - (bytes.length % 2);
    // The first half of a character beyond the 16th bit waits for the second.
    if (!final && whole >= 2 && isHighSurrogate(bytes.readUInt16LE(whole - 2), bytes.readUInt16BE(whole - 2), encoding)) whole -= 2;
    carry = Buffer.from(bytes.subarray(whole));
    const units = encoding === "UTF-16LE" ? bytes.subarray(0, whole) : Buffer.from(bytes.subarray(0, whole)).swap16();
    const cut = beforeNul(wellFormed(units.toString("utf16le")));
    return final && carry.length > 0 && cut.fault === null ? { ...cut, fault: "half a character of UTF-16 at the end of the file" } : cut;
  };
  return { encoding: () => encoding, push: (piece) => decode(piece, false), end: () => decode(Buffer.alloc(0), true) };
}

const isHighSurrogate = (little: number, big: number, encoding: Encoding) => ((encoding === "UTF-16LE" ? little : big) & 0xfc00) === 0xd800;

/** Half characters become U+FFFD, as in UTF-8: Postgres takes neither them nor their escapes. */
const wellFormed = (text: string) => (/\p{Surrogate}/u.test(text) ? Buffer.from(text, "utf8").toString("utf8") : text);

function eightBit(known: "ASCII" | "UTF-8"): Decoder {
  let encoding: "ASCII" | "UTF-8" | "Windows-1252" = known;
  let carry: Buffer = Buffer.alloc(0);
  const decode = (piece: Buffer, final: boolean): Decoded => {
    const bytes = carry.length === 0 ? piece : Buffer.concat([carry, piece]);
    carry = Buffer.alloc(0);
    if (encoding === "Windows-1252") return windows1252(bytes);
    if (isAscii(bytes)) return beforeNul(bytes.toString("latin1"));
    const whole = final ? bytes : bytes.subarray(0, bytes.length - openSequence(bytes));
    if (isUtf8(whole)) {
      if (encoding === "ASCII" && !isAscii(whole)) encoding = "UTF-8";
      carry = Buffer.from(bytes.subarray(whole.length));
      return beforeNul(whole.toString("utf8"));
    }
    const valid = validPrefix(whole);
    if (encoding === "ASCII" && isAscii(valid)) {
      encoding = "Windows-1252";
      return windows1252(bytes);
    }
    const cut = beforeNul(valid.toString("utf8"));
    return {
      text: cut.text,
      fault: cut.fault ?? `the byte ${hex(whole[valid.length])}, which is not UTF-8, while what stands before it is. ${SAVE_AGAIN}`,
    };
  };
  return {
    encoding: () => (encoding === "ASCII" ? "UTF-8" : encoding),
    push: (piece) => decode(piece, false),
    end: () => decode(Buffer.alloc(0), true),
  };
}

const SAVE_AGAIN = "Open the file, save it as “CSV UTF-8” and import that";

/** Five bytes mean nothing in Windows-1252. Texts in Shift_JIS, GBK or a Cyrillic encoding soon have one. */
function windows1252(bytes: Buffer): Decoded {
  const unknown = bytes.findIndex((byte) => byte === 0x81 || byte === 0x8d || byte === 0x8f || byte === 0x90 || byte === 0x9d);
  const cut = beforeNul(iconv.decode(unknown < 0 ? bytes : bytes.subarray(0, unknown), "win1252"));
  if (unknown < 0 || cut.fault !== null) return cut;
  return { ...cut, fault: `the byte ${hex(bytes[unknown])}, which neither UTF-8 nor Windows-1252 knows. ${SAVE_AGAIN}` };
}

const hex = (byte: number | undefined) => `0x${(byte ?? 0).toString(16).toUpperCase().padStart(2, "0")}`;

function beforeNul(text: string): Decoded {
  const nul = text.indexOf("\0");
  return nul < 0
    ? { text, fault: null }
    : { text: text.slice(0, nul), fault: "a NUL character. No text has one: the file is damaged, or it is not CSV" };
}

/** How many of the last bytes (0 to 3) begin a UTF-8 sequence that is not complete yet. */
function openSequence(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc2) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? back : 0;
  }
  return 0;
}

/** The longest beginning of `bytes` that is valid UTF-8. Looked for once a file, by halving: isUtf8() reads gigabytes a second. */
function validPrefix(bytes: Buffer): Buffer {
  let [valid, invalid] = [0, bytes.length];
  while (invalid - valid > 1) {
    const middle = (valid + invalid) >> 1;
    const upTo = bytes.subarray(0, middle);
    if (isUtf8(upTo.subarray(0, middle - openSequence(upTo)))) valid = middle;
    else invalid = middle;
  }
  return bytes.subarray(0, valid - openSequence(bytes.subarray(0, valid)));
}
