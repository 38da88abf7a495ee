import type postgres from "postgres";
import type { Contender } from "../contender.ts";
import { connectTo } from "./bare.ts";
import { houseAt } from "./house.ts";
import { contender as bare, copyAndMerge } from "./import-copy.ts";
import { peopleAmong } from "./people-csv.ts";

const merge = (tx: postgres.TransactionSql) => tx`
  insert into campanile.contact (workspace_id, id, phone, first_name, last_name, company, attributes)
  select w.id, ('00000000-0000-4000-8000-' || lpad(to_hex(s.line), 12, '0'))::uuid, s.phone, s.first_name, s.last_name, s.company,
    jsonb_build_object('city', s.city)
  from (select distinct on (phone collate "C") * from stage order by phone collate "C", line desc) s cross join campanile.workspace w
  where not exists (select from campanile.contact c where c.workspace_id = w.id and c.phone = s.phone)
  order by s.line`;

/** As import-copy.ts, but into this product's table of contacts, with its identifiers, checks and four indexes. */
export const contender: Contender = {
  async prepare(place) {
    await bare.prepare?.(place);
    const house = await houseAt(place);
    await house.close();
  },
  async open(place) {
    const sql = connectTo(place, 1);
    await sql`select 1`;
    return {
      work: async () => void (await copyAndMerge(sql, place, merge)),
      async count() {
        const [found] = await sql<{ people: number }[]>`select count(*)::int as people from campanile.contact`;
        if (found?.people !== peopleAmong(place.n)) throw new Error(`${found?.people} people, not ${peopleAmong(place.n)}`);
        return place.n;
      },
      close: () => sql.end(),
    };
  },
};
