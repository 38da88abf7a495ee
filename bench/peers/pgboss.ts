import { PgBoss } from "pg-boss";
import type postgres from "postgres";
import { type Contender, type Place, send, textFor } from "../contender.ts";
import { connectTo, countSettled, createPeople, type Person, readPeople } from "../contenders/bare.ts";
import { settleAll } from "./bullmq-chunk.ts";

const QUEUE = "messages";
const BATCH = 1_000;

/** Nothing of it runs beside the work: no schedule, no supervision. */
async function startBoss({ databaseUrl }: Place): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString: databaseUrl, schedule: false, supervise: false, max: 4 });
  boss.on("error", (error) => {
    throw error;
  });
  await boss.start();
  return boss;
}

/** pg-boss with a job per message in the same Postgres: 1,000 are fetched at a time, settled in one statement, completed in one more. */
export const contender: Contender = {
  async prepare(place) {
    const sql = connectTo(place, 1);
    await createPeople(sql, place.n, { settling: true, indexed: !place.options.bare });
    const boss = await startBoss(place);
    await boss.createQueue(QUEUE);
    for (let first = 1; first <= place.n; first += BATCH) {
      const people = await readPeople(sql, first, first + BATCH - 1);
      await boss.insert(
        QUEUE,
        people.map((data) => ({ data })),
      );
    }
    await boss.stop();
    await sql`analyze`;
    await sql.end();
  },
  async open(place) {
    const sql = connectTo(place, 2);
    const boss = await startBoss(place);
    await sql`select 1`;
    return {
      work: () => everyBatch(boss, sql),
      async count() {
        const left = await boss.fetch(QUEUE, { batchSize: 1 });
        if (left.length > 0) throw new Error("jobs are left");
        return countSettled(sql);
      },
      async close() {
        await boss.stop();
        await sql.end();
      },
    };
  },
};

async function everyBatch(boss: PgBoss, sql: postgres.Sql): Promise<void> {
  for (;;) {
    const jobs = await boss.fetch<Person>(QUEUE, { batchSize: BATCH });
    if (jobs.length === 0) return;
    const people = jobs.map(({ data }) => data);
    const refs = await Promise.all(people.map(({ phone, firstName, company }) => send(phone, textFor(firstName, company))));
    await settleAll(sql, people, refs);
    await boss.complete(
      QUEUE,
      jobs.map(({ id }) => id),
    );
  }
}
