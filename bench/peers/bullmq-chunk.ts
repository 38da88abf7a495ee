import { Worker } from "bullmq";
import type postgres from "postgres";
import { type Contender, type Place, send, textFor } from "../contender.ts";
import { connectTo, countSettled, createPeople, type Person, readPeople } from "../contenders/bare.ts";
import { connectionOf, everyJob, refill } from "./bullmq-queue.ts";

const QUEUE = "campanile-bench-chunks";
const CHUNK = 1_000;
/** As many as the engine's lots at a time. */
const CONCURRENCY = 4;

interface Chunk {
  readonly first: number;
  readonly last: number;
}

/** All outcomes of a chunk and the counter, in one statement. */
export const settleAll = (sql: postgres.Sql, people: readonly Person[], refs: readonly string[]) => sql`
  with settled as (
    update recipient r set state = 'sent', provider_ref = o.ref, sent_at = clock_timestamp()
    from unnest(${people.map(({ position }) => position)}::int[], ${[...refs]}::text[]) as o (position, ref)
    where r.position = o.position and r.state = 'pending' returning 1)
  update campaign set sent = sent + (select count(*) from settled) where id = 1`;

const chunksOf = ({ n }: Place) => Math.ceil(n / CHUNK);

/** BullMQ as an expert would use it: a job per 1,000, one bulk update each. A crash sends a whole chunk again. */
export const contender: Contender = {
  async prepare(place) {
    const sql = connectTo(place, 1);
    await createPeople(sql, place.n, { settling: true, indexed: !place.options.bare });
    await sql`analyze`;
    await sql.end();
  },
  fill: (place) =>
    refill(QUEUE, place, chunksOf(place), (index): Chunk => ({ first: index * CHUNK + 1, last: Math.min(place.n, (index + 1) * CHUNK) })),
  async open(place) {
    const sql = connectTo(place, CONCURRENCY);
    const worker = new Worker<Chunk>(
      QUEUE,
      async ({ data: { first, last } }) => {
        const people = await readPeople(sql, first, last);
        const refs = await Promise.all(people.map(({ phone, firstName, company }) => send(phone, textFor(firstName, company))));
        await settleAll(sql, people, refs);
      },
      { connection: connectionOf(place), autorun: false, concurrency: CONCURRENCY },
    );
    await Promise.all([worker.waitUntilReady(), sql`select 1`]);
    return {
      work: () => everyJob(worker, chunksOf(place)),
      count: () => countSettled(sql),
      async close() {
        await worker.close();
        await sql.end();
      },
    };
  },
};
