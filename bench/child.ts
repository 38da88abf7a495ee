/** One contender, in a process of its own, under the parent's orders (trial.ts). */
import { type Contender, type ContenderModule, codeOf, type Order, type Place, type Report } from "./contender.ts";

const tell = (report: Report) =>
  new Promise<void>((resolve, reject) => process.send?.(report, (error: Error | null) => (error ? reject(error) : resolve())));
const told = () => new Promise<Order>((resolve) => process.once("message", (order) => resolve(order as Order)));

/** The same work on a small scale, in a database of its own: what is measured later has been compiled by then. */
async function rehearse(contender: Contender, place: Place): Promise<void> {
  const { work, count, close } = await contender.open(place);
  await work();
  const counted = await count();
  if (counted !== place.n) throw new Error(`${counted} were done in the rehearsal, not ${place.n}`);
  await close();
  const filled = told();
  await tell({ at: "rehearsed" });
  await filled;
}

async function run(contender: Contender, place: Place): Promise<number> {
  const { work, count, close } = await contender.open(place);
  const go = told();
  await tell({ at: "ready" });
  await go;
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  await work();
  const ms = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  const looked = told();
  await tell({ at: "worked", ms, cpuUs: user + system, rssMb: process.resourceUsage().maxRSS / 1_024 });
  await looked; // what the count costs, and the end of the connections, come after the parent's reading
  const counted = await count();
  await close();
  return counted;
}

process.once("disconnect", () => process.exit(1));
const order = await told();
if (order.do === "go") throw new Error("told to go before it was told what to do");
const { contender } = (await import(codeOf(order.file).href)) as ContenderModule;
let count = 0;
if (order.do === "run") {
  await rehearse(contender, order.rehearsal);
  count = await run(contender, order.place);
} else await contender[order.do]?.(order.place);
await tell({ at: "done", count });
process.exit(0);
