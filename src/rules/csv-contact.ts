import { cleanCell } from "./csv-cell.ts";
import type { Column } from "./csv-columns.ts";
import type { ContactField } from "./csv-header.ts";
import { normaliseEmail } from "./email-address.ts";
import { type Country, normalisePhone } from "./phone.ts";

/** What a row says about a person; null where it says nothing. */
export interface ContactRow {
  readonly phone: string | null;
  readonly email: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly company: string | null;
  readonly timeZone: string | null;
  /** A JSON object of texts. Written as text, so no name of a column (`__proto__`) ever becomes a property of an object here. */
  readonly attributes: string;
}

export type ContactRowResult =
  | { readonly ok: true; readonly contact: ContactRow }
  /** `value` is the cell at fault, or the whole row; shortened. `countryless`: its phone may be a good one of a country nobody named. */
  | { readonly ok: false; readonly value: string; readonly reason: string; readonly countryless: boolean };

export interface ContactRowOptions {
  readonly country?: Country;
  /** The channel the file is for, WhatsApp unless given: its address decides about the row. */
  readonly channel?: "whatsapp" | "email";
}

export const REJECTED_VALUE_MAX = 200;

/**
 * Makes a contact of a row's cells. A row is rejected when its address on the file's channel is wrong, even if its other address is
 * right: whoever is to be reached on WhatsApp would be in the list and out of reach. When that cell is empty, the other address must be
 * right. A wrong address of the other channel, or a wrong time zone, is kept as the attribute `invalid_email`, `invalid_phone` or
 * `invalid_time_zone`: exports are full of "n/a" there, and nothing of a row that is stored is lost.
 */
export function contactReader(columns: readonly Column[], options: ContactRowOptions = {}): (cells: readonly string[]) => ContactRowResult {
  const layout = layoutOf(columns);
  return (cells) => readContact(cells, layout, options);
}

/** Where in a row everything is; -1: nowhere. */
interface Layout {
  readonly width: number;
  readonly at: Readonly<Record<ContactField, number>>;
  /** `key` is the name as JSON, with its colon. */
  readonly attributes: readonly { readonly at: number; readonly key: string }[];
}

function layoutOf(columns: readonly Column[]): Layout {
  const place = (field: ContactField) => columns.findIndex((column) => column.field === field);
  const [phone, email, timeZone, company] = [place("phone"), place("email"), place("timeZone"), place("company")];
  const at = { phone, email, timeZone, company, firstName: place("firstName"), lastName: place("lastName"), name: place("name") };
  const attributes = columns.flatMap(({ attribute }, index) => (attribute === null ? [] : [{ at: index, key: `${JSON.stringify(attribute)}:` }]));
  return { width: columns.length, at, attributes };
}

// Runs once a row: functions made here each time would cost as much as the rest.
function readContact(
  cells: readonly string[],
  { width, at, attributes }: Layout,
  { country, channel = "whatsapp" }: ContactRowOptions,
): ContactRowResult {
  if (cells.length > width && cells.slice(width).some((extra) => cleanCell(extra) !== "")) {
    return reject(
      cells.join(" | "),
      `The row has ${cells.length} cells, the first row has ${width}. A cell with a delimiter in it needs quotes around it.`,
    );
  }
  const phoneCell = cellAt(cells, at.phone);
  const emailCell = cellAt(cells, at.email);
  const zoneCell = cellAt(cells, at.timeZone);
  const phone = phoneCell === "" ? null : normalisePhone(phoneCell, country);
  const email = emailCell === "" ? null : normaliseEmail(emailCell);
  const phoneWrong = phone !== null && !phone.ok;
  const emailWrong = email !== null && !email.ok;
  const none = !phone?.ok && !email?.ok;
  if (phoneWrong && (none || channel === "whatsapp")) return reject(phoneCell, phone.reason, phone.code === "no_country");
  if (emailWrong && (none || channel === "email")) return reject(emailCell, email.reason);
  if (none) return reject(cells.join(" | "), "The row has neither a phone nor an e-mail address.");

  const zoneWrong = zoneCell !== "" && !isTimeZone(zoneCell);
  let json = "";
  for (const attribute of attributes) json = withAttribute(json, attribute.key, cellAt(cells, attribute.at));
  if (phoneWrong) json = withAttribute(json, '"invalid_phone":', phoneCell);
  if (emailWrong) json = withAttribute(json, '"invalid_email":', emailCell);
  if (zoneWrong) json = withAttribute(json, '"invalid_time_zone":', zoneCell);
  const name = cellAt(cells, at.name);
  const space = name.search(/\s/);
  const contact = {
    phone: phone?.ok ? phone.phone : null,
    email: email?.ok ? email.email : null,
    // `{{firstName}}` is the first word of a whole name; `{{name}}` stays the whole, wherever the family name stands.
    firstName: cellAt(cells, at.firstName) || (space < 0 ? name : name.slice(0, space)) || null,
    lastName: cellAt(cells, at.lastName) || (space < 0 ? "" : name.slice(space).trim()) || null,
    company: cellAt(cells, at.company) || null,
    timeZone: zoneWrong || zoneCell === "" ? null : zoneCell,
    attributes: `{${json}}`,
  };
  return { ok: true, contact };
}

const cellAt = (cells: readonly string[], at: number): string => (at < 0 ? "" : cleanCell(cells[at] ?? ""));

const withAttribute = (json: string, key: string, value: string): string =>
  value === "" ? json : `${json}${json === "" ? "" : ","}${key}${JSON.stringify(value)}`;

const reject = (value: string, reason: string, countryless = false): ContactRowResult => ({
  ok: false,
  value: value.slice(0, REJECTED_VALUE_MAX),
  reason,
  countryless,
});

const zones = new Map<string, boolean>();
const ZONES_MAX = 2_000;

/** Whether `text` names a time zone of the IANA database. Asking costs 20 µs, so answers are kept; a file has few, a hostile one many. */
export function isTimeZone(text: string): boolean {
  const known = zones.get(text);
  if (known !== undefined) return known;
  let valid = text.length <= 60;
  try {
    if (valid) new Intl.DateTimeFormat("en", { timeZone: text });
  } catch {
    valid = false;
  }
  if (zones.size >= ZONES_MAX) zones.clear();
  zones.set(text, valid);
  return valid;
}
