import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type postgres from "postgres";
import type { Contender, Place } from "../contender.ts";
import { connectTo } from "./bare.ts";
import { csvPath, peopleAmong, writeCsv } from "./people-csv.ts";

/** The file as it is, in a temporary table of one transaction, and what `merge` makes of it. */
export const copyAndMerge = (sql: postgres.Sql, place: Place, merge: (tx: postgres.TransactionSql) => PromiseLike<unknown>) =>
  sql.begin(async (tx) => {
    await tx`
      create temporary table stage (line bigint generated always as identity, phone text, first_name text, last_name text, company text, city text)
      on commit drop`;
    const into = await tx`copy stage (phone, first_name, last_name, company, city) from stdin with (format csv, header)`.writable();
    await pipeline(createReadStream(csvPath(place), { highWaterMark: 262_144 }), into);
    await merge(tx);
  });

/** Sorted by bytes, the last row of a person wins, and nobody who is there already: faster than asking for conflicts. */
const merge = (tx: postgres.TransactionSql) => tx`
  insert into person (phone, first_name, last_name, company, city)
  select distinct on (s.phone collate "C") s.phone, s.first_name, s.last_name, s.company, s.city from stage s
  where not exists (select from person p where p.phone = s.phone collate "C")
  order by s.phone collate "C", s.line desc`;

/**
 * What one would type into psql: `\copy` into a temporary table, and a merge into a table of its own with nothing but its key. No
 * validation, no normalisation, no list of what was rejected; the file must be perfect. (COPY over the driver: psql is not everywhere.)
 */
export const contender: Contender = {
  async prepare(place) {
    await writeCsv(place);
    const sql = connectTo(place, 1);
    await sql`create table person (phone text collate "C" primary key, first_name text, last_name text, company text, city text)`;
    await sql.end();
  },
  async open(place) {
    const sql = connectTo(place, 1);
    await sql`select 1`;
    return {
      work: async () => void (await copyAndMerge(sql, place, merge)),
      async count() {
        const [found] = await sql<{ people: number }[]>`select count(*)::int as people from person`;
        if (found?.people !== peopleAmong(place.n)) throw new Error(`${found?.people} people, not ${peopleAmong(place.n)}`);
        return place.n;
      },
      close: () => sql.end(),
    };
  },
};
