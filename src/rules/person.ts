import { isTimeZone } from "./csv-contact.ts";
import { normaliseEmail } from "./email-address.ts";
import { type Country, normalisePhone } from "./phone.ts";
import type { FieldFault } from "./refusal.ts";

/** A contact's fields as somebody gives them. Absent: not spoken of; null or empty: to be empty. */
export interface GivenPerson {
  readonly phone?: string | null | undefined;
  readonly email?: string | null | undefined;
  readonly firstName?: string | null | undefined;
  readonly lastName?: string | null | undefined;
  readonly company?: string | null | undefined;
  readonly timeZone?: string | null | undefined;
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

/** The same as it is stored: addresses in their one spelling. */
export interface Person {
  readonly phone?: string | null;
  readonly email?: string | null;
  readonly firstName?: string | null;
  readonly lastName?: string | null;
  readonly company?: string | null;
  readonly timeZone?: string | null;
  readonly attributes?: Readonly<Record<string, unknown>>;
}

export const ATTRIBUTES_MAX = 1_000;
const TEXT_MAX = 10_000;

/** What of a person was given, as it is to be stored, and every fault of it by field. */
export function readPerson(given: GivenPerson, country?: Country): { readonly person: Person; readonly faults: readonly FieldFault[] } {
  const faults: FieldFault[] = [];
  const person: Record<string, unknown> = {};
  for (const field of ["phone", "email", "firstName", "lastName", "company", "timeZone"] as const) {
    const text = given[field];
    if (text === undefined) continue;
    const value = text?.trim() ? stored(field, text.trim(), country) : { ok: true as const, text: null };
    if (value.ok) person[field] = value.text;
    else faults.push({ path: field, message: value.reason });
  }
  if (given.attributes !== undefined) {
    const fault = faultOfAttributes(given.attributes);
    if (fault !== null) faults.push({ path: "attributes", message: fault });
    person["attributes"] = given.attributes;
  }
  return { person, faults };
}

type Stored = { readonly ok: true; readonly text: string } | { readonly ok: false; readonly reason: string };

function stored(field: keyof GivenPerson, text: string, country?: Country): Stored {
  if (field === "phone") {
    const phone = normalisePhone(text, country);
    return phone.ok ? { ok: true, text: phone.phone } : phone;
  }
  if (field === "email") {
    const email = normaliseEmail(text);
    return email.ok ? { ok: true, text: email.email } : email;
  }
  if (field === "timeZone" && !isTimeZone(text))
    return { ok: false, reason: `${text.slice(0, 60)} is not a time zone; write it as in Asia/Kolkata.` };
  return text.length <= TEXT_MAX ? { ok: true, text } : { ok: false, reason: `It has ${text.length} characters; at most ${TEXT_MAX} are stored.` };
}

function faultOfAttributes(attributes: Readonly<Record<string, unknown>>): string | null {
  const entries = Object.entries(attributes);
  if (entries.length > ATTRIBUTES_MAX) return `There are ${entries.length} attributes; at most ${ATTRIBUTES_MAX} are stored.`;
  const long = entries.find(([name, value]) => name.length > TEXT_MAX || (typeof value === "string" && value.length > TEXT_MAX));
  return long === undefined ? null : `${long[0].slice(0, 60)} is longer than ${TEXT_MAX} characters.`;
}
