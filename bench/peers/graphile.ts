import { Logger, run, runMigrations } from "graphile-worker";
import type postgres from "postgres";
import { type Contender, type Place, send, textFor } from "../contender.ts";
import { connectTo, countSettled, createPeople, type Person, settleOne } from "../contenders/bare.ts";

const CHUNK = 5_000;
const CONNECTIONS = 10;
/** Of 24, 50 and 100 it took the least CPU per job. */
const CONCURRENCY = 100;
const LOCAL_QUEUE = 500;
/** Completions share a statement; its own recommendation to begin with, and no slower than 0 or 50. */
const COMPLETE_WITHIN_MS = 250;

const quiet = new Logger(() => () => {});
const optionsOf = ({ databaseUrl }: Place) => ({ connectionString: databaseUrl, logger: quiet, noHandleSignals: true });

const enqueue = (sql: postgres.Sql, first: number, last: number) => sql`
  select count(*) from graphile_worker.add_jobs(array(
    select json_populate_record(null::graphile_worker.job_spec, json_build_object('identifier', 'send', 'payload',
      json_build_object('position', position, 'phone', phone, 'firstName', first_name, 'company', company)))
    from recipient where position between ${first} and ${last} order by position))`;

/** graphile-worker with a job per message in the same Postgres, fetched 500 at a time, completions batched. */
export const contender: Contender = {
  async prepare(place) {
    const sql = connectTo(place, 1);
    await createPeople(sql, place.n, { settling: true, indexed: !place.options.bare });
    await runMigrations(optionsOf(place));
    for (let first = 1; first <= place.n; first += CHUNK) await enqueue(sql, first, first + CHUNK - 1);
    await sql`analyze`;
    await sql.end();
  },
  async open(place) {
    const sql = connectTo(place, CONNECTIONS);
    await sql`select 1`;
    return {
      work: () => everyJob(place, sql),
      async count() {
        const [left] = await sql<{ jobs: number }[]>`select count(*)::int as jobs from graphile_worker.jobs`;
        if (left?.jobs !== 0) throw new Error(`${left?.jobs} jobs are left`);
        return countSettled(sql);
      },
      close: () => sql.end(),
    };
  },
};

/** Until the last job is completed, and that is written. */
async function everyJob(place: Place, sql: postgres.Sql): Promise<void> {
  let done = 0;
  let finish = () => {};
  const finished = new Promise<void>((resolve) => (finish = resolve));
  const send1 = async (payload: unknown) => {
    const { position, phone, firstName, company } = payload as Person;
    const ref = await send(phone, textFor(firstName, company));
    await settleOne(sql, position, ref);
    if (++done === place.n) finish();
  };
  const worker = { localQueue: { size: LOCAL_QUEUE }, completeJobBatchDelay: COMPLETE_WITHIN_MS, failJobBatchDelay: COMPLETE_WITHIN_MS };
  const runner = await run({
    ...optionsOf(place),
    concurrency: CONCURRENCY,
    preset: { worker },
    maxPoolSize: CONNECTIONS,
    taskList: { send: send1 },
  });
  await finished;
  await runner.stop();
}
