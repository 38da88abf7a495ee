import type { GivenPerson, Person } from "../../rules/person.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import * as store from "./contact-store.ts";
import type { AudienceDeps } from "./deps.ts";
import { faulty, personOf } from "./given.ts";
import { afterId, isId, limitOf, type Page, type PageQuery, pageOf } from "./page.ts";

export interface UpsertOptions {
  /** Where a phone without a country code is from. */
  readonly country?: string | undefined;
}

/**
 * Stores a person: as a new contact, or merged with the one that has the same phone (without a phone, the same e-mail): what is given
 * replaces, attributes by name, the rest stays.
 * @throws {Refusal} malformed, with every field at fault
 */
export async function upsertContact(
  workspaceId: string,
  given: GivenPerson,
  { country }: UpsertOptions,
  { sql, luck }: AudienceDeps,
): Promise<{ readonly contact: store.Contact; readonly created: boolean }> {
  const person = personOf(given, country);
  if (!person.phone && !person.email) throw faulty([{ path: "phone", message: "Give a phone or an e-mail address." }]);
  const [row] = await store.upsertContact(sql, { workspaceId, id: luck.uuid() }, person);
  if (row === undefined) throw new Error("upsert returned no contact");
  const { created, ...contact } = row;
  return { contact, created };
}

/** @throws {Refusal} not_found */
export async function readContact(sql: Sql, ref: store.ContactRef): Promise<store.Contact> {
  const [contact] = isId(ref.id) ? await store.readContact(sql, ref) : [];
  if (contact === undefined) throw notFound(ref.id);
  return contact;
}

export interface ContactQuery extends PageQuery {
  /** Exactly this one, in any spelling that brings its country code. */
  readonly phone?: string | undefined;
  readonly email?: string | undefined;
  readonly listId?: string | undefined;
}

/** A page of contacts. @throws {Refusal} malformed: the cursor, or an address that is none */
export async function listContacts(
  sql: Sql,
  workspaceId: string,
  { cursor, limit, phone, email, listId }: ContactQuery,
): Promise<Page<store.Contact>> {
  const sought = personOf({ phone, email });
  const rows = await store.listContacts(sql, workspaceId, {
    after: afterId(cursor),
    limit: limitOf(limit) + 1,
    phone: sought.phone ?? null,
    email: sought.email ?? null,
    listId: listId ?? null,
  });
  return pageOf(rows, limitOf(limit), ({ id }) => id);
}

/**
 * Replaces the fields that are given (null empties one); attributes as a whole.
 * @throws {Refusal} not_found, malformed: also when the contact would have no address left, or another contact's
 */
export function updateContact(ref: store.ContactRef, given: GivenPerson, { country }: UpsertOptions, deps: AudienceDeps): Promise<store.Contact> {
  const person = personOf(given, country);
  return transaction(deps.sql, (tx) => replace(tx, ref, person), deps);
}

async function replace(tx: Sql, ref: store.ContactRef, person: Person): Promise<store.Contact> {
  const [known] = isId(ref.id) ? await store.lockContact(tx, ref) : [];
  if (known === undefined) throw notFound(ref.id);
  const { phone, email, firstName, lastName, company, timeZone, attributes } = { ...known, ...person };
  if (phone === null && email === null) throw faulty([{ path: "phone", message: "A contact needs a phone or an e-mail address." }]);
  const [rival] = await store.readRival(tx, ref, { phone, email });
  if (rival !== undefined) {
    const [path, address] = phone === null ? ["email", email] : ["phone", phone];
    throw faulty([{ path, message: `Contact ${rival.id} has ${address} already; change that one, or delete it first.` }]);
  }
  const [contact] = await store.replaceContact(tx, ref, { phone, email, firstName, lastName, company, timeZone, attributes });
  if (contact === undefined) throw new Error(`contact ${ref.id} is gone while it was locked`);
  return contact;
}

/** Deletes a contact, also from its lists. What was sent to it stays recorded, with its address. @throws {Refusal} not_found */
export async function deleteContact(sql: Sql, ref: store.ContactRef): Promise<void> {
  const gone = isId(ref.id) ? await store.deleteContact(sql, ref) : [];
  if (gone.length === 0) throw notFound(ref.id);
}

const notFound = (id: string) => new Refusal("not_found", { what: "contact", id: id.slice(0, 100) });
