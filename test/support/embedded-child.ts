/**
 * A process of its own that uses the embedded database of a folder (the first argument) as the program does: says on its output which
 * Postgres it has, and at SIGINT works with it once more and leaves in order.
 */
import { startEmbedded } from "../../src/runtime/embedded.ts";
import { connect } from "../../src/runtime/postgres.ts";

const [, , dir = ""] = process.argv;
const embedded = await startEmbedded({ dir, fsync: false });
const sql = connect(embedded.url, { max: 1 });
await sql`create schema if not exists campanile`;
await sql`create table if not exists town (name text)`;
await sql`insert into town values ('Graz')`;
process.on("SIGINT", async () => {
  await sql`insert into town values ('Linz')`;
  await sql.end();
  await embedded.stop();
});
console.log(JSON.stringify({ pid: embedded.pid, adopted: embedded.adopted }));
