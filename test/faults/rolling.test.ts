import { expect, onTestFinished, test } from "vitest";
import { startVendor } from "../../vendor/main.ts";
import { type ServerProcess, serverFolder, startServer } from "../process/server.ts";
import { freshDatabase } from "../support/database.ts";

const RECIPIENTS = 600;
const ROUNDS = 2;
/** What an orchestrator gives a process before it kills it. */
const STOP_MAX_MS = 25_000;

test("servers are replaced one after the other in the middle of a campaign, each told to stop: nothing is in doubt, nobody is written to twice", {
  timeout: 180_000,
}, async () => {
  const vendor = await startVendor({
    fsync: false,
    settings: { seed: 10, limits: { throughput: null }, mix: { successRate: 1, latencyMs: [100, 400] } },
  });
  onTestFinished(() => vendor.stop());
  const database = await freshDatabase();
  onTestFinished(() => database.drop());
  const folder = serverFolder();
  onTestFinished(() => folder.remove());
  const servers: ServerProcess[] = [];
  onTestFinished(async () => void (await Promise.all(servers.map((one) => one.end("SIGKILL")))));
  // All of them first: how long a start takes depends on the machine, and the campaign must still be under way.
  for (let i = 0; i <= ROUNDS; i++) servers.push(await startServer({ dir: folder.dir, databaseUrl: database.url, vendor }));
  const last = servers.at(-1) as ServerProcess;
  const { data: senders } = await last.call<{ data: { id: string }[] }>("GET", "/api/v1/senders");
  const { data } = await last.call<{ data: { id: string } }>("POST", "/api/v1/campaigns", {
    accountId: senders[0]?.id,
    name: "while we deploy",
    messageType: "text",
    messageContent: "Hi {{firstName}}",
    audienceType: "inline",
    audienceConfig: { recipients: Array.from({ length: RECIPIENTS }, (_, i) => ({ phone: `+9198${10_000_000 + i}`, firstName: `N${i}` })) },
    scheduleType: "now",
    throttleConfig: { messagesPerMinute: 2_400 },
  });
  const sent = async () => (await vendor.ledger(data.id)).accepted;
  const until = async (what: () => Promise<boolean>) => {
    for (let tries = 0; !(await what()); tries++) {
      if (tries > 1_000) throw new Error("not within 100 s");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  for (let round = 0; round < ROUNDS; round++) {
    const from = await sent();
    await until(async () => (await sent()) > from + 60);
    const told = servers.shift();
    const toldAt = performance.now();
    expect(await told?.end("SIGTERM")).toBe(0);
    expect(performance.now() - toldAt).toBeLessThan(STOP_MAX_MS);
  }
  expect(await sent(), "it was in the middle all the time").toBeLessThan(RECIPIENTS);
  const read = async () => (await last.call<{ data: { status: string; statement: unknown } }>("GET", `/api/v1/campaigns/${data.id}`)).data;
  await until(async () => (await read()).status === "completed");
  expect((await read()).statement).toMatchObject({ accepted: RECIPIENTS, failed: 0, uncertain: 0 });
  expect(await vendor.ledger(data.id)).toMatchObject({ accepted: RECIPIENTS, duplicates: 0 });
});
