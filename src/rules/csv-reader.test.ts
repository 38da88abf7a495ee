import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CsvRow, csvReader, RECORD_MAX } from "./csv-reader.ts";
import { Refusal } from "./refusal.ts";

function read(text: string, delimiter = ",", sizes: readonly number[] = []): CsvRow[] {
  const reader = csvReader(delimiter);
  const rows: CsvRow[] = [];
  let at = 0;
  for (const size of sizes) {
    rows.push(...reader.push(text.slice(at, at + size)));
    at += size;
  }
  return [...rows, ...reader.push(text.slice(at)), ...reader.end()];
}

const cellsOf = (text: string, delimiter?: string) => read(text, delimiter).map(({ cells }) => cells);

test.each<[name: string, text: string, rows: string[][]]>([
  [
    "LF",
    "a,b\nc,d\n",
    [
      ["a", "b"],
      ["c", "d"],
    ],
  ],
  [
    "CRLF",
    "a,b\r\nc,d\r\n",
    [
      ["a", "b"],
      ["c", "d"],
    ],
  ],
  [
    "CR",
    "a,b\rc,d\r",
    [
      ["a", "b"],
      ["c", "d"],
    ],
  ],
  ["a mixture", "a\r\nb\nc\rd", [["a"], ["b"], ["c"], ["d"]]],
  ["no line end at the end", "a,b", [["a", "b"]]],
  [
    "empty cells",
    ",\n,,",
    [
      ["", ""],
      ["", "", ""],
    ],
  ],
  ["an empty line", "a\n\nb", [["a"], [""], ["b"]]],
  ["quotes", '"a,b","c""d",""\n', [["a,b", 'c"d', ""]]],
  [
    "line ends in quotes",
    '"a\nb","c\r\nd"\n"e\rf",g\n',
    [
      ["a\nb", "c\r\nd"],
      ["e\rf", "g"],
    ],
  ],
  ["blanks around quotes", 'a, "b, c" ,d\n', [["a", "b, c", "d"]]],
  ["a quote within a cell is a character", '5" pipe,it"s\n', [['5" pipe', 'it"s']]],
  ["ragged rows", "a\nb,c\n", [["a"], ["b", "c"]]],
])("%s", (_name, text, rows) => {
  expect(cellsOf(text)).toEqual(rows);
});

test("each row knows its line", () => {
  const text = 'one\r\n"two\r\nthree\r\nfour",x\r\nfive\rsix\n\n"seven\n"\nnine';
  expect(read(text).map(({ line, cells }) => [line, cells[0]?.trim().slice(0, 3)])).toEqual([
    [1, "one"],
    [2, "two"],
    [5, "fiv"],
    [6, "six"],
    [7, ""],
    [8, "sev"],
    [10, "nin"],
  ]);
});

describe("a fault of one row leaves the others alone", () => {
  test("text after a closing quote", () => {
    const [first, second] = read('a,"Bob" Smith,c\nd,e,f\n');
    expect(first).toEqual({ line: 1, cells: ["a", "Bob Smith", "c"], fault: expect.stringContaining("Cell 2 goes on after its closing quote") });
    expect(second?.fault).toBeNull();
  });

  test("a huge cell", () => {
    const [first, second, third] = read(`a,${"x".repeat(10_001)}\nb,${"x".repeat(10_000)}\nc,"${"y\n".repeat(20_000)}"\n`);
    expect(first?.fault).toBe("Cell 2 has 10001 characters; at most 10000 are stored.");
    expect(second?.fault).toBeNull();
    expect(third?.fault).toContain("Cell 2 has 40000 characters");
  });

  test("too many cells", () => {
    expect(read(`${",".repeat(1_000)}\n${",".repeat(999)}\n`).map(({ fault }) => fault)).toEqual([
      "The row has 1001 cells; at most 1000 are read.",
      null,
    ]);
  });
});

describe("what would make the rest unreadable is refused, with its line", () => {
  const causeOf = (text: string, sizes?: readonly number[]) => {
    try {
      return `read ${read(text, ",", sizes).length} rows`;
    } catch (error) {
      expect(error).toBeInstanceOf(Refusal);
      return error instanceof Refusal ? error.message : "";
    }
  };

  test("a quote that is never closed", () => {
    expect(causeOf('a,b\n"x\ny",\n c,"Bob,d\ne,f\n')).toMatch(/^The quote that opens on line 4 is never closed, .* Nothing was stored\.$/);
  });

  test("a quote that another row's quote closes", () => {
    const cause = causeOf('a,b\nc,"Bob,d\ne,f\ng,"h",i\n');
    expect(cause).toContain("The quote that opens on line 2 is closed in the middle of a cell on line 4");
  });

  test("a quote that stays open for longer than a record may be", () => {
    const text = `a,b\nc,"${"d,e\n".repeat(300_000)}`;
    expect(causeOf(text)).toContain(`The quote that opens on line 2 is not closed within ${RECORD_MAX} characters`);
    expect(
      causeOf(
        text,
        Array.from({ length: 18 }, () => 65_536),
      ),
    ).toContain("The quote that opens on line 2 is not closed");
  });

  test("a line of 10 MB", () => {
    const text = `a,b\n${"x".repeat(10_000_000)}\nc,d\n`;
    expect(causeOf(text)).toContain("Line 2 is longer than 1048576 characters");
    expect(
      causeOf(
        text,
        Array.from({ length: 100 }, () => 65_536),
      ),
    ).toContain("Line 2 is longer");
  });
});

const cell = fc.string({ unit: fc.constantFrom(..."ab ,;\"'\n\r\té€😀"), maxLength: 8 });
const table = fc.array(fc.array(cell, { minLength: 1, maxLength: 4 }), { maxLength: 8 });

test("it reads what csv-parse reads", () => {
  const written = fc.record({
    rows: table,
    ends: fc.array(fc.constantFrom("\n", "\r\n", "\r"), { minLength: 8, maxLength: 8 }),
    delimiter: fc.constantFrom(",", ";", "\t"),
  });
  fc.assert(
    fc.property(written, ({ rows, ends, delimiter }) => {
      const text = rows.map((cells, at) => cells.map((value) => `"${value.replaceAll('"', '""')}"`).join(delimiter) + ends[at]).join("");
      const theirs = parse(text, { delimiter, relax_column_count: true, record_delimiter: ["\r\n", "\n", "\r"] });
      expect(cellsOf(text, delimiter)).toEqual(theirs);
      expect(cellsOf(text, delimiter)).toEqual(rows);
    }),
    { numRuns: 2_000 },
  );
});

test("it matters neither where a file is cut into pieces nor what it holds", () => {
  const text = fc.string({ unit: fc.constantFrom(...'aab,,,""\n\r '), maxLength: 60 });
  fc.assert(
    fc.property(text, fc.array(fc.nat(7), { maxLength: 30 }), (whole, sizes) => {
      const outcome = (pieces: readonly number[]) => {
        try {
          return read(whole, ",", pieces);
        } catch (error) {
          if (error instanceof Refusal) return error.message;
          throw error;
        }
      };
      expect(outcome(sizes)).toEqual(outcome([]));
    }),
    { numRuns: 5_000 },
  );
});

test("it knows the line at which it stands", () => {
  const reader = csvReader(",");
  reader.push('a\r\nb\n"c\n');
  expect(reader.line()).toBe(4);
});
