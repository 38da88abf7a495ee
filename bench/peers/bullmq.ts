import { Worker } from "bullmq";
import { type Contender, companyOf, firstNameOf, phoneOf, send, textFor } from "../contender.ts";
import { connectTo, countSettled, createPeople, type Person, settleOne } from "../contenders/bare.ts";
import { connectionOf, everyJob, refill } from "./bullmq-queue.ts";

const QUEUE = "campanile-bench-messages";
/** Jobs at a time, over ten connections: the updates of many wait for the same flush. */
const CONCURRENCY = 100;
const CONNECTIONS = 10;
/**
 * BullMQ with a job per message, which carries all it needs. Its row is updated when it is sent, unless another worker was faster.
 * The jobs are in Redis before the clock starts.
 */
export const contender: Contender = {
  async prepare(place) {
    const sql = connectTo(place, 1);
    await createPeople(sql, place.n, { settling: true, indexed: !place.options.bare });
    await sql`analyze`;
    await sql.end();
  },
  fill: (place) =>
    refill(QUEUE, place, place.n, (index): Person => {
      const position = index + 1;
      return { position, phone: phoneOf(position), firstName: firstNameOf(position), company: companyOf(position) };
    }),
  async open(place) {
    const sql = connectTo(place, CONNECTIONS);
    const worker = new Worker<Person>(
      QUEUE,
      async ({ data: { position, phone, firstName, company } }) => {
        const ref = await send(phone, textFor(firstName, company));
        await settleOne(sql, position, ref);
      },
      { connection: connectionOf(place), autorun: false, concurrency: CONCURRENCY },
    );
    await Promise.all([worker.waitUntilReady(), sql`select 1`]);
    return {
      work: () => everyJob(worker, place.n),
      count: () => countSettled(sql),
      async close() {
        await worker.close();
        await sql.end();
      },
    };
  },
};
