/** Nothing to clean: printable ASCII, no space at either end, and neither ' nor = in front. Most cells by far. */
const PLAIN = /^[!-&(-<>-~](?:[ -~]*[!-~])?$/;

/** What a spreadsheet would run as a formula (OWASP, CSV injection), the full-width signs of East Asian versions included. */
const FORMULA = /^'*[=+\-@\t\r\n＝＋－＠]/;

/**
 * A cell as it was meant: no blanks, byte order or direction marks around it and no control characters in it; `="0042"` and `'+91…`,
 * the two ways to keep a spreadsheet from calculating, undone. What an exported cell was, cleanCell() makes of it again.
 */
export function cleanCell(text: string): string {
  if (text === "" || PLAIN.test(text)) return text;
  const cell = text
    .replace(/[^\P{Cc}\t\r\n]/gu, "")
    .replace(/^[\s\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069]+/u, "")
    .replace(/(?<![\s\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069])[\s\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069]+$/u, "");
  const unquoted = /^="([^"]*)"$/.exec(cell)?.[1] ?? cell;
  return unquoted.startsWith("'") && FORMULA.test(unquoted) ? unquoted.slice(1) : unquoted;
}

/** One line of an exported CSV file, with its line end. No cell of it begins a formula, and reading it gives the same cells again. */
export const csvLine = (cells: readonly (string | number | null)[]): string => `${cells.map(exportCell).join(",")}\r\n`;

function exportCell(value: string | number | null): string {
  if (typeof value !== "string") return value === null ? "" : String(value);
  const safe = FORMULA.test(value) ? `'${value}` : value;
  return safe !== value || /[",;\r\n\t]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
