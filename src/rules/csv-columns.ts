import { cleanCell } from "./csv-cell.ts";
import { type ContactField, fieldOf, isWeakPhone } from "./csv-header.ts";
import { normaliseEmail } from "./email-address.ts";
import { type Country, normalisePhone } from "./phone.ts";
import { Refusal } from "./refusal.ts";

/** What becomes of a column: a field of the contact, an attribute under this name, or nothing (both null). */
export interface Column {
  readonly header: string;
  readonly field: ContactField | null;
  readonly attribute: string | null;
}

export interface Columns {
  readonly columns: readonly Column[];
  /** The first row is data: the file has no header. */
  readonly headerless: boolean;
}

export interface ColumnOptions {
  /** Column (its header, or its number from 1) → field, name of an attribute, or `-` to leave it out. Goes before what headers say. */
  readonly map?: Readonly<Record<string, string>>;
  readonly country?: Country;
  /** The second row, if there is one: tells what the only column of a file holds whose first row says nothing. */
  readonly second?: readonly string[];
}

/**
 * Says what each column of a file is, from its first row. That row is data when no word in it names a phone or an e-mail column and a
 * cell of it is one; a single cell is data unless it is a word that is known, so that no row is ever lost as a header. Other columns become attributes under their header's name (`Order ID` is `{{Order_ID}}`). Throws a Refusal rather
 * than guess between two columns that could both be the address.
 */
export function resolveColumns(first: readonly string[], options: ColumnOptions = {}): Columns {
  const cells = first.map(cleanCell);
  const mapped = mappedColumns(cells, options.map ?? {});
  const said = new Set(
    Object.keys(options.map ?? {})
      .filter((key) => !/^\d+$/.test(key))
      .map((key) => key.trim().toLowerCase()),
  );
  const named = cells.some((cell) => isAddressField(fieldOf(cell)) || said.has(cell.toLowerCase()));
  const single = cells.length === 1 && cells.every((cell) => fieldOf(cell) === null && !isWeakPhone(cell));
  const headerless = !named && (single || cells.some((cell) => kindOf(cell, options.country) !== null));
  const base = headerless ? cells.map((_, at) => `column_${at + 1}`) : cells;
  if (!headerless) assertNoTwins(base, mapped);
  const columns = base.map((header, at) => mapped.get(at) ?? { header, field: null, attribute: attributeOf(header, at) });
  const known = headerless ? byContent(columns, cells, options) : byHeader(columns, mapped, options);
  assertDistinct(known);
  return { columns: known, headerless };
}

/** How many cells of a first row tell what their column is. The delimiter that reveals most of them is the file's. */
export const countRevealing = (cells: readonly string[]): number =>
  cells.map(cleanCell).filter((cell) => fieldOf(cell) !== null || isWeakPhone(cell) || kindOf(cell) !== null).length;

const isAddressField = (field: ContactField | null) => field === "phone" || field === "email";

function mappedColumns(cells: readonly string[], map: Readonly<Record<string, string>>): Map<number, Column> {
  const mapped = new Map<number, Column>();
  for (const [key, target] of Object.entries(map)) {
    const wanted = key.trim().toLowerCase();
    const byName = cells.flatMap((cell, at) => (cell.toLowerCase() === wanted ? [at] : []));
    const numbers = /^\d{1,4}$/.test(wanted) && Number(wanted) >= 1 && Number(wanted) <= cells.length ? [Number(wanted) - 1] : [];
    const [at, another] = byName.length > 0 ? byName : numbers;
    if (at === undefined) throw unreadable(`The file has no column ${quote(key)}. It has: ${cells.map(quote).join(", ")}.`);
    if (another !== undefined)
      throw unreadable(`The file has ${byName.length} columns ${quote(key)}. Name the one you mean by its number, such as ${another + 1}.`);
    const field = fieldOf(target);
    const attribute = field !== null || target.trim() === "-" ? null : attributeOf(target, at);
    mapped.set(at, { header: cells[at] ?? key, field, attribute });
  }
  return mapped;
}

/** Fields by the words above the columns. Of two columns for one field, the second is an attribute; of two for the address, none is. */
function byHeader(columns: readonly Column[], mapped: ReadonlyMap<number, Column>, { second, country }: ColumnOptions): Column[] {
  const taken = new Map<ContactField, Column>();
  for (const { field, ...column } of mapped.values()) if (field !== null) taken.set(field, { field, ...column });
  const chosen = new Set(taken.keys());
  const found = columns.map((column, at) => {
    const field = fieldOf(column.header);
    if (mapped.has(at) || field === null || chosen.has(field)) return column;
    const rival = taken.get(field);
    if (rival !== undefined && isAddressField(field)) throw rivals(rival.header, column.header, field);
    if (rival !== undefined || (field === "name" && columns.some(({ header }) => fieldOf(header) === "firstName"))) return column;
    const known: Column = { header: column.header, field, attribute: null };
    taken.set(field, known);
    return known;
  });
  if (taken.has("phone") || taken.has("email")) return found;
  const weak = found.filter(({ header, field, attribute }) => field === null && attribute !== null && isWeakPhone(header));
  const [phone, rival] = columns.length > 1 ? weak : [];
  if (phone !== undefined && rival !== undefined) throw rivals(phone.header, rival.header, "phone");
  if (phone !== undefined) return found.map((column) => (column === phone ? { ...column, field: "phone", attribute: null } : column));
  const [only, ...others] = found;
  if (only === undefined || others.length > 0) throw nothingFound(found);
  return [{ header: only.header, field: kindOf(cleanCell(second?.[0] ?? ""), country) ?? "phone", attribute: null }];
}

/** Fields by what the first row holds, for a file without a header. */
function byContent(columns: readonly Column[], cells: readonly string[], { country, second }: ColumnOptions): Column[] {
  const [only] = columns;
  if (columns.length === 1 && only !== undefined && only.field === null) {
    // Not even a wrong address, perhaps: then it is rejected as what the next row is.
    const [cell = "", next = ""] = [cells[0], cleanCell(second?.[0] ?? "")];
    const field = kindOf(cell, country) ?? kindOf(next, country) ?? (cell.includes("@") ? "email" : "phone");
    return [{ header: only.header, field, attribute: null }];
  }
  const kinds = cells.map((cell, at) => (columns[at]?.attribute === null ? null : kindOf(cell, country)));
  const found = [...columns];
  for (const field of ["phone", "email"] as const) {
    if (columns.some((column) => column.field === field)) continue;
    const candidates = kinds.flatMap((kind, at) => (kind === field ? [at] : []));
    const valid = candidates.filter((at) => field === "email" || normalisePhone(cells[at] ?? "", country).ok);
    const [at, rival] = valid.length > 0 ? valid : candidates;
    if (rival !== undefined) throw rivals(`column ${(at ?? 0) + 1}`, `column ${rival + 1}`, field);
    if (at !== undefined) found[at] = { header: columns[at]?.header ?? "", field, attribute: null };
  }
  return found;
}

/** Whether a cell is meant as an address: also one that is refused later, for its own reason and with its line. */
function kindOf(cell: string, country?: Country): "phone" | "email" | null {
  if (cell === "" || cell.length > 320) return null;
  if (cell.includes("@")) return normaliseEmail(cell).ok ? "email" : null;
  const phone = normalisePhone(cell, country);
  return phone.ok || !["empty", "not_a_phone", "too_short"].includes(phone.code) ? "phone" : null;
}

/** A header as the name of a variable: letters and digits of any script, `_` and `-`; `column_3` where there is none. */
function attributeOf(header: string, at: number): string {
  const name = header
    .normalize("NFC")
    .replace(/[^\p{L}\p{M}\p{N}_-]+/gu, "_")
    .replace(/^_(?=[^_])|(?<=[^_])_$/g, "");
  return name === "" || name === "_" ? `column_${at + 1}` : name;
}

function assertNoTwins(headers: readonly string[], mapped: ReadonlyMap<number, Column>): void {
  const seen = new Map<string, number>();
  for (const [at, header] of headers.entries()) {
    const key = header.normalize("NFC").toLowerCase();
    const twin = seen.get(key);
    if (header === "" || mapped.has(at)) continue;
    if (twin !== undefined) {
      throw unreadable(
        `The header has ${quote(header)} twice, in columns ${twin + 1} and ${at + 1}. Rename one, or leave it out with map: ${at + 1}=-.`,
      );
    }
    seen.set(key, at);
  }
}

/** Two headers that differ only in what an attribute's name cannot hold, and two columns mapped to one field. */
function assertDistinct(columns: readonly Column[]): void {
  const seen = new Map<string, Column>();
  for (const column of columns) {
    const key = column.field !== null ? `field ${column.field}` : column.attribute === null ? null : `variable ${column.attribute}`;
    const twin = key === null ? undefined : seen.get(key);
    if (twin !== undefined) throw unreadable(`${quote(twin.header)} and ${quote(column.header)} would both be the ${key}. Rename one of them.`);
    if (key !== null) seen.set(key, column);
  }
}

const quote = (text: string) => `“${text.length > 60 ? `${text.slice(0, 60)}…` : text}”`;

function nothingFound(columns: readonly Column[]): Refusal {
  const [first] = columns;
  const headers = columns
    .slice(0, 20)
    .map(({ header }) => quote(header))
    .join(", ");
  return unreadable(
    `No column is a phone or an e-mail address. The first row has: ${headers}. Name a column phone or email, or say which it is with map, such as ${first?.header || "1"}=phone.`,
  );
}

const rivals = (one: string, other: string, field: ContactField) =>
  unreadable(
    `${quote(one)} and ${quote(other)} could both be the ${field}. Say which it is with map, such as ${one.replace("column ", "")}=${field}.`,
  );

const unreadable = (cause: string) => new Refusal("import_unreadable", { cause: `${cause} Nothing was stored.` });
