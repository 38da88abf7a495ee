import type { Variables } from "./message.ts";

/** What a contact brings to a message. Attributes are whatever the import brought along; only texts, numbers and yes/no can be said. */
export interface ContactValues {
  readonly phone: string | null;
  readonly email: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly company: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
}

type Scalar = string | number | boolean;

/** Usable in a message: a text that is not empty, a number, yes or no. Everything else counts as absent, an empty text too. */
export function isPresent(value: unknown): value is Scalar {
  return typeof value === "string" ? value !== "" : typeof value === "number" || typeof value === "boolean";
}

/**
 * One recipient's values by variable name: the contact's own, then its attributes under the names they have, then the campaign's
 * variables. The first that is there wins, so a campaign's variable is a fallback. Absent values have no key at all, and the result
 * has no prototype: neither `constructor` nor `__proto__` is a variable unless an attribute is called so.
 */
export function recipientVariables(contact: ContactValues, templateVariables: Readonly<Record<string, unknown>> = {}): Variables {
  const values: Record<string, Scalar> = Object.create(null);
  const firstName = trimmed(contact.firstName);
  const lastName = trimmed(contact.lastName);
  const own = { firstName, lastName, name: `${firstName} ${lastName}`.trim(), phone: contact.phone, email: contact.email, company: contact.company };
  for (const source of [own, contact.attributes, templateVariables]) {
    for (const [name, raw] of Object.entries(source)) {
      const value = typeof raw === "string" ? raw.trim() : raw;
      if (isPresent(value) && values[name] === undefined) values[name] = value;
    }
  }
  return values;
}

const trimmed = (text: string | null): string => text?.trim() ?? "";
