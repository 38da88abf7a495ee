import postgres from "postgres";
import { companyOf, firstNameOf, type Place, phoneOf } from "../contender.ts";

/** A recipient as the contenders read it. */
export interface Person {
  readonly position: number;
  readonly phone: string;
  readonly firstName: string;
  readonly company: string;
}

export const connectTo = ({ databaseUrl }: Place, max: number): postgres.Sql =>
  postgres(databaseUrl, { max, onnotice: () => {}, transform: { column: postgres.camel.column } });

const CHUNK = 5_000;

export interface PeopleOptions {
  /** Outcomes are written into the recipient's own row, so it has columns for them. */
  readonly settling: boolean;
  /** What an application asks of that table has an index: nobody twice in a campaign, and who is pending, sent or failed. */
  readonly indexed?: boolean;
}

/** What every system needs, as lean as it can be: the campaign's counter, and the recipients. The table is as `create table` makes it. */
export async function createPeople(sql: postgres.Sql, n: number, { settling, indexed = false }: PeopleOptions): Promise<void> {
  const outcome = settling ? sql`, state text not null default 'pending', provider_ref text, sent_at timestamptz` : sql``;
  await sql`create table campaign (id int primary key, total int not null, sent int not null default 0) with (fillfactor = 50)`;
  await sql`insert into campaign (id, total) values (1, ${n})`;
  await sql`create table recipient (campaign_id int not null default 1, position int primary key, phone text not null, first_name text not null, company text not null ${outcome})`;
  for (let first = 1; first <= n; first += CHUNK) {
    const positions = Array.from({ length: Math.min(CHUNK, n - first + 1) }, (_, i) => first + i);
    await sql`insert into recipient (position, phone, first_name, company)
      select * from unnest(${positions}::int[], ${positions.map(phoneOf)}::text[], ${positions.map(firstNameOf)}::text[], ${positions.map(companyOf)}::text[])`;
  }
  if (!indexed) return;
  await sql`create unique index on recipient (campaign_id, phone)`;
  await sql`create index on recipient (campaign_id, state)`;
}

export const readPeople = (sql: postgres.Sql, first: number, last: number) => sql<Person[]>`
  select position, phone, first_name, company from recipient where position between ${first} and ${last} order by position`;

/** One outcome and the counter, in one statement: a counter that is raised from memory is wrong after a crash. */
export const settleOne = (sql: postgres.Sql, position: number, ref: string) => sql`
  with settled as (
    update recipient set state = 'sent', provider_ref = ${ref}, sent_at = clock_timestamp() where position = ${position} and state = 'pending' returning 1)
  update campaign set sent = sent + 1 where id = 1 and exists (select from settled)`;

/** Rows that have an outcome, for designs that write it into the recipient's row. */
export async function countSettled(sql: postgres.Sql): Promise<number> {
  const [found] = await sql<{ rows: number; counted: number }[]>`
    select (select count(*)::int from recipient where state = 'sent' and provider_ref is not null and sent_at is not null) as rows,
      (select sent from campaign) as counted`;
  if (found === undefined || found.rows !== found.counted) throw new Error(`rows and counter differ: ${JSON.stringify(found)}`);
  return found.rows;
}
