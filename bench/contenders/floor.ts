import type postgres from "postgres";
import { type Contender, send, textFor } from "../contender.ts";
import { connectTo, createPeople, readPeople } from "./bare.ts";

const LOT = 1_000;
const VOLLEY = 250;

interface Lot {
  readonly first: number;
  readonly last: number;
  readonly handed: number;
  readonly token: number;
}

interface Outcome {
  readonly position: number;
  readonly ref: string;
}

const take = (sql: postgres.Sql) => sql<Lot[]>`
  update lot set token = token + 1, lease_until = clock_timestamp() + interval '20 seconds'
  where first = (select first from lot where handed < last and (lease_until is null or lease_until < clock_timestamp())
    order by first limit 1 for update skip locked)
  returning first, last, handed, token`;

/** One statement, one commit: what became of the last volley, the counter, and the mark under which the next one leaves. */
const turn = (sql: postgres.Sql, { first, token }: Lot, mark: number, outcomes: readonly Outcome[]) => sql`
  with appended as (
    insert into outcome (position, state, provider_ref, at)
    select o.position, 'accepted', o.ref, clock_timestamp()
    from unnest(${outcomes.map(({ position }) => position)}::int[], ${outcomes.map(({ ref }) => ref)}::text[]) as o (position, ref)
    returning 1),
  counted as (update campaign set sent = sent + (select count(*) from appended) where id = 1 and exists (select from appended))
  update lot set handed = ${mark} where first = ${first} and token = ${token}`;

/**
 * The floor: all that "never lose, never repeat" costs at the least, and nothing else. A lot of 1,000 is leased; before each 250 the mark
 * is durable; one row is appended per message; no campaign state, cap, pace, suppression, reference or retry. One lot at a time, or `lots`.
 */
export const contender: Contender = {
  async prepare(place) {
    const sql = connectTo(place, 1);
    await createPeople(sql, place.n, { settling: false });
    await sql`create table lot (first int primary key, last int not null, handed int not null, token int not null default 0, lease_until timestamptz)
      with (fillfactor = 50)`;
    await sql`create table outcome (position int primary key, state text not null, provider_ref text not null, at timestamptz not null)`;
    await sql`insert into lot (first, last, handed)
      select first, least(first + ${LOT}::int - 1, ${place.n}::int), first - 1 from generate_series(1, ${place.n}::int, ${LOT}::int) as first`;
    await sql`analyze`;
    await sql.end();
  },
  async open(place) {
    const lanes = Array.from({ length: place.options.lots ?? 1 }, () => sendAll);
    const sql = connectTo(place, lanes.length);
    await sql`select 1`;
    return {
      work: async () => void (await Promise.all(lanes.map((lane) => lane(sql)))),
      async count() {
        const [found] = await sql<{ rows: number; counted: number }[]>`
          select (select count(*)::int from outcome) as rows, (select sent from campaign) as counted`;
        if (found === undefined || found.rows !== found.counted) throw new Error(`rows and counter differ: ${JSON.stringify(found)}`);
        return found.rows;
      },
      close: () => sql.end(),
    };
  },
};

async function sendAll(sql: postgres.Sql): Promise<void> {
  for (let [lot] = await take(sql); lot !== undefined; [lot] = await take(sql)) await sendLot(sql, lot);
}

async function sendLot(sql: postgres.Sql, lot: Lot): Promise<void> {
  const people = await readPeople(sql, lot.first, lot.last);
  let outcomes: Outcome[] = [];
  for (let from = 0; from < people.length; from += VOLLEY) {
    const volley = people.slice(from, from + VOLLEY);
    await turn(sql, lot, lot.first + from + volley.length - 1, outcomes);
    outcomes = await Promise.all(
      volley.map(async ({ position, phone, firstName, company }) => ({ position, ref: await send(phone, textFor(firstName, company)) })),
    );
  }
  await turn(sql, lot, lot.last, outcomes);
}
