import fc from "fast-check";
import iconv from "iconv-lite";
import { describe, expect, test } from "vitest";
import { decoderOf, foreignFormat } from "./decode.ts";

/** The text, the encoding and the fault, when `bytes` come in pieces of `size`. The head is whole, as the import hands it over. */
function decode(bytes: Buffer, size = bytes.length, head = Math.min(size, bytes.length)) {
  const decoder = decoderOf(bytes.subarray(0, head));
  let text = "";
  const pieces = [bytes.subarray(0, head)];
  for (let at = head; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  for (const read of [...pieces.map((piece) => () => decoder.push(piece)), () => decoder.end()]) {
    const decoded = read();
    text += decoded.text;
    if (decoded.fault !== null) return { text, encoding: decoder.encoding(), fault: decoded.fault };
  }
  return { text, encoding: decoder.encoding(), fault: null };
}

const text = "phone,name,note\n+919876543210,Müller,it’s 5 €\n+919876543211,आशा 😀,x\n";
const western = "phone,name,note\n+919876543210,Müller,it’s 5 €\n";

test.each<[name: string, bytes: Buffer, encoding: string, text: string]>([
  ["UTF-8", Buffer.from(text), "UTF-8", text],
  ["UTF-8 with a byte order mark", Buffer.from(`\ufeff${text}`), "UTF-8", text],
  ["UTF-16LE with a byte order mark", iconv.encode(text, "utf-16le", { addBOM: true }), "UTF-16LE", text],
  ["UTF-16BE with a byte order mark", iconv.encode(text, "utf-16be", { addBOM: true }), "UTF-16BE", text],
  ["UTF-16LE without", iconv.encode(text, "utf-16le"), "UTF-16LE", text],
  ["UTF-16BE without", iconv.encode(text, "utf-16be"), "UTF-16BE", text],
  ["Windows-1252", iconv.encode(western, "win1252"), "Windows-1252", western],
  ["ASCII", Buffer.from("phone\n+919876543210\n"), "UTF-8", "phone\n+919876543210\n"],
  ["nothing", Buffer.alloc(0), "UTF-8", ""],
  ["nothing but a byte order mark", Buffer.from("\ufeff"), "UTF-8", ""],
])("%s, wherever it is cut", (_name, bytes, encoding, expected) => {
  for (let size = 1; size <= bytes.length; size++)
    expect(decode(bytes, size, Math.min(64, bytes.length))).toEqual({ text: expected, encoding, fault: null });
  expect(decode(bytes)).toEqual({ text: expected, encoding, fault: null });
});

const ascii = "+919876543210,Asha\n".repeat(5_000);

test("a byte that is not ASCII may come late: what was read before is the same in either encoding", () => {
  expect(decode(Buffer.concat([Buffer.from(ascii), Buffer.from([0x4d, 0xfc])]), 4_096)).toEqual({
    text: `${ascii}Mü`,
    encoding: "Windows-1252",
    fault: null,
  });
  expect(decode(Buffer.from(`${ascii}Mü`), 4_096)).toEqual({ text: `${ascii}Mü`, encoding: "UTF-8", fault: null });
});

describe("what cannot be read is said, and the text ends before it", () => {
  test("another byte than UTF-8 in a file that was UTF-8", () => {
    const bytes = Buffer.concat([Buffer.from(`${ascii}Müller\n`), Buffer.from([0x4d, 0xfc, 0x6c, 0x6c])]);
    for (const size of [1, 7, 4_096, bytes.length]) {
      expect(decode(bytes, size, 64)).toEqual({
        text: `${ascii}Müller\nM`,
        encoding: "UTF-8",
        fault: expect.stringContaining("the byte 0xFC, which is not UTF-8"),
      });
    }
  });

  test("the same after a byte order mark, which says UTF-8", () => {
    const bytes = Buffer.concat([Buffer.from("\ufeffM"), Buffer.from([0xfc, 0x6c])]);
    expect(decode(bytes)).toMatchObject({ text: "M", fault: expect.stringContaining("0xFC") });
  });

  test("UTF-8 that ends within a character", () => {
    expect(decode(Buffer.from("né€").subarray(0, -1), 2)).toMatchObject({ text: "né", fault: expect.stringContaining("0xE2") });
  });

  test("a byte that Windows-1252 has no character for, as in Shift_JIS", () => {
    expect(decode(iconv.encode("a,メール", "shift_jis"))).toMatchObject({
      text: expect.stringMatching(/^a,/),
      fault: expect.stringContaining("neither UTF-8 nor Windows-1252"),
    });
  });

  test.each<[string, Buffer]>([
    ["UTF-8", Buffer.from("Mü\n\0x")],
    ["UTF-16", iconv.encode("Mü\n\0xyz", "utf-16le", { addBOM: true })],
    ["Windows-1252", Buffer.from([0x4d, 0xfc, 0x0a, 0x00, 0x78])],
    ["ASCII", Buffer.from("Mu\n\0x")],
  ])("a NUL in %s", (_encoding, bytes) => {
    expect(decode(bytes)).toMatchObject({ text: expect.stringMatching(/^M[uü]\n$/), fault: expect.stringContaining("a NUL character") });
  });

  test("half a character of UTF-16", () => {
    expect(decode(iconv.encode("ab", "utf-16le", { addBOM: true }).subarray(0, -1))).toMatchObject({
      text: "a",
      fault: expect.stringContaining("half a character"),
    });
  });
});

test("half a surrogate pair becomes a replacement character, which Postgres takes", () => {
  const bytes = Buffer.from("a,\ud83d,b\n", "utf16le");
  expect(decode(Buffer.concat([Buffer.from([0xff, 0xfe]), bytes])).text).toBe("a,\ufffd,b\n");
});

test("any text comes back from any encoding it was written in, in pieces of any size", () => {
  const written = fc.constantFrom("utf-8", "utf-16le", "utf-16be", "win1252");
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom(..."abc,\n;é€’ÿ") }),
      fc.string({ unit: "grapheme" }),
      written,
      fc.integer({ min: 1, max: 9 }),
      (plain, rich, encoding, size) => {
        const original = encoding === "win1252" ? `phone,é\n${plain}` : `phone,name\n${rich.replaceAll("\0", "")}`;
        fc.pre(encoding !== "win1252" || !iconv.encode(original, encoding).equals(Buffer.from(original)));
        const decoded = decode(iconv.encode(original, encoding, { addBOM: encoding !== "win1252" }), size, 12);
        expect(decoded).toMatchObject({ text: original, fault: null });
      },
    ),
  );
});

test.each<[number[], string]>([
  [[0x50, 0x4b, 0x03, 0x04, 1], "Excel workbook (.xlsx)"],
  [[0xd0, 0xcf, 0x11, 0xe0, 1], "old Excel workbook"],
  [[0x1f, 0x8b, 8], "compressed"],
])("what is no text at all is named: %j", (bytes, cause) => {
  expect(foreignFormat(Buffer.from(bytes))).toContain(cause);
});

test("a file that begins like a phone or a header is text", () => {
  expect([foreignFormat(Buffer.from("+91")), foreignFormat(Buffer.from("PK,phone")), foreignFormat(Buffer.alloc(0))]).toEqual([null, null, null]);
});
