import { afterEach, beforeEach, expect, test } from "vitest";
import { startVendor, type Vendor } from "../../vendor/main.ts";
import { type FreshDatabase, freshDatabase } from "../support/database.ts";
import { type ServerFolder, type ServerProcess, serverFolder, startServer } from "./server.ts";

const RECIPIENTS = 600;
/** A lease and its margin, and the messages that are left. */
const RECOVERED_MAX_MS = 60_000;

let vendor: Vendor;
let database: FreshDatabase;
let folder: ServerFolder;
const running: ServerProcess[] = [];

beforeEach(async () => {
  const quick = { sentAfterMs: [5, 20], deliveredAfterMs: [20, 60], failedAfterMs: [20, 60] } satisfies Record<string, [number, number]>;
  vendor = await startVendor({ settings: { seed: 5, limits: { throughput: null }, mix: { latencyMs: [40, 80], ...quick } } });
  database = await freshDatabase();
  folder = serverFolder();
});
afterEach(async () => {
  for (const one of running.splice(0)) await one.end("SIGKILL");
  await vendor.stop();
  await database.drop();
  folder.remove();
});

async function serve(): Promise<ServerProcess> {
  const server = await startServer({ dir: folder.dir, databaseUrl: database.url, vendor });
  running.push(server);
  await vendor.setWebhook({ url: `${server.url}/webhooks/whatsapp`, appSecret: "secret", verifyToken: "token" });
  return server;
}

async function end(server: ServerProcess, signal: NodeJS.Signals): Promise<number | null> {
  running.splice(running.indexOf(server), 1);
  return server.end(signal);
}

async function launch(server: ServerProcess): Promise<string> {
  const { data: senders } = await server.call<{ data: { id: string }[] }>("GET", "/api/v1/senders");
  const recipients = Array.from({ length: RECIPIENTS }, (_, i) => ({ phone: `+9198${10_000_000 + i}`, firstName: `N${i}` }));
  const { data } = await server.call<{ data: { id: string } }>("POST", "/api/v1/campaigns", {
    accountId: senders[0]?.id,
    name: "to be interrupted",
    messageType: "text",
    messageContent: "Hi {{firstName}}",
    audienceType: "inline",
    audienceConfig: { recipients },
    scheduleType: "now",
    throttleConfig: { messagesPerMinute: null },
  });
  return data.id;
}

const settled = async (id: string) => {
  const [row] = await database.sql<{ n: number }[]>`select count(*)::int as n from message where campaign_id = ${id}`;
  return row?.n ?? 0;
};

async function until(what: () => Promise<boolean>, maxMs: number): Promise<void> {
  const giveUpAt = Date.now() + maxMs;
  while (!(await what())) {
    if (Date.now() > giveUpAt) throw new Error(`not within ${maxMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

interface Campaign {
  readonly status: string;
  readonly statement: { accepted: number; failed: number; uncertain: number; skipped: Record<string, number> } | null;
}

async function ended(server: ServerProcess, id: string): Promise<Campaign> {
  const read = async () => (await server.call<{ data: Campaign }>("GET", `/api/v1/campaigns/${id}`)).data;
  await until(async () => (await read()).status === "completed", RECOVERED_MAX_MS);
  return read();
}

test("a server killed in the middle of a campaign: the next one goes on, nobody is written to twice, nobody is lost", {
  timeout: 120_000,
}, async () => {
  const first = await serve();
  const id = await launch(first);
  await until(async () => (await settled(id)) > 100, 30_000);
  await end(first, "SIGKILL");

  const { statement } = await ended(await serve(), id);
  const ledger = await vendor.ledger(id);
  expect(ledger.duplicates).toBe(0);
  const { accepted = 0, failed = 0, uncertain = 0, skipped = {} } = statement ?? {};
  expect(accepted + failed + uncertain).toBe(RECIPIENTS);
  expect(skipped).toEqual({});
  expect(ledger.accepted).toBeGreaterThanOrEqual(accepted);
  expect(ledger.accepted).toBeLessThanOrEqual(accepted + uncertain);
});

test("a server told to stop ends within 25 s, gives its lots back, and leaves nothing in doubt", { timeout: 120_000 }, async () => {
  const first = await serve();
  const id = await launch(first);
  await until(async () => (await settled(id)) > 50, 30_000);
  const toldAt = Date.now();
  expect(await end(first, "SIGTERM")).toBe(0);
  expect(Date.now() - toldAt).toBeLessThan(25_000);
  const [held] = await database.sql<{ n: number }[]>`select count(*)::int as n from lot where holder is not null`;
  expect(held?.n).toBe(0);

  const { statement } = await ended(await serve(), id);
  expect(statement?.uncertain).toBe(0);
  expect(await vendor.ledger(id)).toMatchObject({ duplicates: 0, accepted: statement?.accepted });
});
