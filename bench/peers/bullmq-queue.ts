import { Queue, type Worker } from "bullmq";
import type { Place } from "../contender.ts";

export function connectionOf({ redisUrl }: Place) {
  if (redisUrl === null) throw new Error("BullMQ needs Redis");
  const { hostname, port, username, password } = new URL(redisUrl);
  return { host: hostname, port: Number(port || 6_379), ...(password === "" ? {} : { username, password }), maxRetriesPerRequest: null };
}

const CHUNK = 1_000;

/** Empties the queue of former runs and puts `jobs` into it. A completed job leaves Redis at once. */
export async function refill(name: string, place: Place, jobs: number, dataOf: (index: number) => object): Promise<void> {
  const queue = new Queue(name, { connection: connectionOf(place) });
  await queue.obliterate({ force: true });
  const opts = { removeOnComplete: true };
  for (let from = 0; from < jobs; from += CHUNK) {
    const length = Math.min(CHUNK, jobs - from);
    await queue.addBulk(Array.from({ length }, (_, i) => ({ name: "send", data: dataOf(from + i), opts })));
  }
  await queue.close();
}

/** Runs the worker until so many jobs are completed. */
export function everyJob<Job>(worker: Worker<Job>, jobs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let completed = 0;
    worker.on("completed", () => ++completed === jobs && resolve());
    worker.on("failed", (_job, error) => reject(error));
    worker.on("error", reject);
    worker.run().catch(reject);
  });
}
