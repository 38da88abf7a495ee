import type { Person } from "../../rules/person.ts";
import type { Sql } from "../../runtime/postgres.ts";

export interface Contact {
  readonly id: string;
  /** E.164 with `+`. */
  readonly phone: string | null;
  readonly email: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly company: string | null;
  readonly timeZone: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** How WhatsApp itself writes the number, once it said so. */
  readonly waId: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

export interface ContactRef {
  readonly workspaceId: string;
  readonly id: string;
}

export const columns = (sql: Sql) => sql`id, phone, email, first_name, last_name, company, time_zone, attributes, wa_id, created_at, updated_at`;

const values = (
  sql: Sql,
  { phone = null, email = null, firstName = null, lastName = null, company = null, timeZone = null, attributes = {} }: Person,
) => sql`${phone}, ${email}, ${firstName}, ${lastName}, ${company}, ${timeZone}, ${sql.json(attributes as never)}`;

/** The person is new, or is merged with the contact that has its phone (its e-mail when it has no phone): what is given replaces, the rest stays. */
export const upsertContact = (sql: Sql, { workspaceId, id }: ContactRef, person: Person) => sql<(Contact & { created: boolean })[]>`
  insert into contact as c (workspace_id, id, phone, email, first_name, last_name, company, time_zone, attributes)
  values (${workspaceId}, ${id}, ${values(sql, person)})
  on conflict ${person.phone ? sql`(workspace_id, phone) where phone is not null` : sql`(workspace_id, email) where phone is null`}
  do update set email = coalesce(excluded.email, c.email), first_name = coalesce(excluded.first_name, c.first_name),
    last_name = coalesce(excluded.last_name, c.last_name), company = coalesce(excluded.company, c.company),
    time_zone = coalesce(excluded.time_zone, c.time_zone), attributes = c.attributes || excluded.attributes, updated_at = campanile.clock()
  returning ${columns(sql)}, id = ${id} as created`;

export const readContact = (sql: Sql, { workspaceId, id }: ContactRef) => sql<Contact[]>`
  select ${columns(sql)} from contact where workspace_id = ${workspaceId} and id = ${id}`;

/** Contacts by id, which is their order within a file; all, or those with an address, or those of a list. */
export const listContacts = (
  sql: Sql,
  workspaceId: string,
  { after, limit, phone, email, listId }: { after: string | null; limit: number; phone: string | null; email: string | null; listId: string | null },
) => sql<Contact[]>`
  select ${columns(sql)} from contact c where workspace_id = ${workspaceId} and id > ${after ?? "00000000-0000-0000-0000-000000000000"}
    ${phone === null ? sql`` : sql`and phone = ${phone}`} ${email === null ? sql`` : sql`and email = ${email}`}
    ${listId === null ? sql`` : sql`and exists (select from list_member m where m.list_id = ${listId} and m.contact_id = c.id)`}
  order by id limit ${limit}`;

/** Keeps a contact as it is until commit. */
export const lockContact = (sql: Sql, { workspaceId, id }: ContactRef) => sql<Contact[]>`
  select ${columns(sql)} from contact where workspace_id = ${workspaceId} and id = ${id} for no key update`;

export const replaceContact = (sql: Sql, { workspaceId, id }: ContactRef, person: Required<Person>) => sql<Contact[]>`
  update contact set (phone, email, first_name, last_name, company, time_zone, attributes) = row(${values(sql, person)}), updated_at = campanile.clock()
  where workspace_id = ${workspaceId} and id = ${id} returning ${columns(sql)}`;

/** The contact, other than `id`, that a contact with these addresses would be. */
export const readRival = (sql: Sql, { workspaceId, id }: ContactRef, { phone, email }: { phone: string | null; email: string | null }) => sql<
  { id: string }[]
>`
  select id from contact where workspace_id = ${workspaceId} and id <> ${id}
    and ${phone === null ? sql`phone is null and email = ${email}` : sql`phone = ${phone}`}`;

export const deleteContact = (sql: Sql, { workspaceId, id }: ContactRef) => sql`
  delete from contact where workspace_id = ${workspaceId} and id = ${id} returning id`;
