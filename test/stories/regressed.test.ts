import { cpSync, renameSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { examine } from "../../src/doors/cli/doctor.ts";
import { openHouse } from "../../src/house.ts";
import { createLog } from "../../src/runtime/log.ts";
import { openApi, serve } from "../../src/serve.ts";
import { startVendor, type Vendor } from "../../vendor/main.ts";
import { addressOf, asAdmin, type FreshDatabase, freshDatabase } from "../support/database.ts";
import { type Home, homeFolder, openHome } from "../support/house.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const RECIPIENTS = 300;
const PER_MINUTE = 3_600;

let vendor: Vendor;
let database: FreshDatabase;
const homes = new Set<Home>();
beforeEach(async () => {
  vendor = await startVendor({ settings: { seed: 5, limits: { throughput: null }, mix: { successRate: 1, latencyMs: [1, 5] } } });
  database = await freshDatabase();
});
afterEach(async () => {
  for (const home of homes) await home.stop();
  homes.clear();
  await vendor.stop();
  await database.drop();
});

async function open(options: Omit<Parameters<typeof openHome>[0], "vendor">): Promise<Home> {
  const home = await openHome({ ...options, vendor });
  homes.add(home);
  return home;
}
async function stop(home: Home): Promise<void> {
  homes.delete(home);
  await home.stop();
}

async function launch({ call }: Home): Promise<string> {
  const { data: senders } = await call<{ data: { id: string }[] }>("GET", "/api/v1/senders");
  const recipients = Array.from({ length: RECIPIENTS }, (_, i) => ({ phone: `+9198${10_000_000 + i}`, firstName: `N${i}` }));
  const { data } = await call<{ data: { id: string } }>("POST", "/api/v1/campaigns", {
    accountId: senders[0]?.id,
    name: "before and after",
    messageType: "text",
    messageContent: "Hi {{firstName}}",
    audienceType: "inline",
    audienceConfig: { recipients },
    scheduleType: "now",
    throttleConfig: { messagesPerMinute: PER_MINUTE },
  });
  return data.id;
}

interface Seen {
  readonly status: string;
  readonly pauseReason: string | null;
  readonly statement: { readonly recipients: number; readonly accepted: number; readonly uncertain: number } | null;
}
const read = async ({ call }: Home, id: string) => (await call<{ data: Seen }>("GET", `/api/v1/campaigns/${id}`)).data;
const sent = async (id: string) => (await vendor.ledger(id)).accepted;
const sentAtLeast = (id: string, count: number) =>
  vi.waitFor(async () => expect(await sent(id)).toBeGreaterThanOrEqual(count), { timeout: 60_000, interval: 20 });

/** So long that every loop of the engine has had its turn: the mark is raised once a second while something runs, and by each accept. */
const aWhile = () => new Promise((resolve) => setTimeout(resolve, 2_500));

/** `campanile doctor --accept-database`, on the house's configuration. */
const doctor = ({ config }: Home, acceptDatabase: boolean) =>
  examine({ readConfig: () => config, createLog: () => createLog("silent"), openHouse, openApi, serve }, { acceptDatabase });

async function expectStopped(home: Home, id: string): Promise<void> {
  const before = await vendor.ledger(id);
  expect(await read(home, id)).toMatchObject({ status: "paused", pauseReason: "database_regressed" });
  await expect(home.call("POST", `/api/v1/campaigns/${id}/resume`)).rejects.toThrow(/409 .*"database_regressed"/);
  await aWhile();
  expect(await vendor.ledger(id)).toEqual(before);
  expect(await read(home, id)).toMatchObject({ status: "paused" });
  const { data } = await home.call<{ data: { status: string; checks: unknown } }>("GET", "/api/v1/system/health");
  expect(data).toMatchObject({ status: "failing", checks: { database: { ok: true }, sending: { ok: false } } });
}

test("a backup from the middle of a campaign is restored after its end: not one message leaves until somebody accepts that", async () => {
  const [{ dir, remove }, admin] = [homeFolder(), addressOf(database.url, "postgres")];
  onTestFinished(remove);
  const backup = `${database.name}_backup`;
  await database.sql.end();
  const first = await open({ dir, databaseUrl: database.url });
  const id = await launch(first);
  await sentAtLeast(id, 100);
  await stop(first);
  const known = await sent(id);
  await asAdmin(admin, (sql) => sql`create database ${sql(backup)} template ${sql(database.name)}`);
  const second = await open({ dir, databaseUrl: database.url });
  await vi.waitFor(async () => expect((await read(second, id)).status).toBe("completed"), { timeout: 60_000 });
  await stop(second);
  expect(await vendor.ledger(id)).toMatchObject({ accepted: RECIPIENTS, duplicates: 0 });
  await asAdmin(admin, async (sql) => {
    await sql`drop database ${sql(database.name)} with (force)`;
    await sql`alter database ${sql(backup)} rename to ${sql(database.name)}`;
  });

  const third = await open({ dir, databaseUrl: database.url });
  await expectStopped(third, id);
  expect(third.lines.join()).toContain("an older backup was restored");
  expect(await doctor(third, false)).toContainEqual({ well: false, what: "history", found: expect.stringContaining("--accept-database") });

  expect(await doctor(third, true)).toContainEqual({ well: true, what: "paused", found: `before and after: campanile campaign resume ${id}` });
  await aWhile();
  expect(await sent(id)).toBe(RECIPIENTS); // accepting resumes nothing by itself
  await third.call("POST", `/api/v1/campaigns/${id}/resume`);
  await vi.waitFor(async () => expect((await read(third, id)).status).toBe("completed"), { timeout: 60_000 });
  expect((await read(third, id)).statement).toMatchObject({ recipients: RECIPIENTS, accepted: RECIPIENTS });
  expect((await vendor.ledger(id)).duplicates).toBe(RECIPIENTS - known); // whoever resumes has been told
});

test("an older copy takes over under a server at work: what it has marked there is not sent", async () => {
  const { dir, remove } = homeFolder();
  onTestFinished(remove);
  const [admin, backup] = [addressOf(database.url, "postgres"), `${database.name}_backup`];
  await database.sql.end();
  const first = await open({ dir, databaseUrl: database.url });
  const id = await launch(first);
  await sentAtLeast(id, 60);
  await stop(first);
  await asAdmin(admin, (sql) => sql`create database ${sql(backup)} template ${sql(database.name)}`);
  onTestFinished(() => asAdmin(admin, async (sql) => void (await sql`drop database if exists ${sql(`${database.name}_old`)} with (force)`)));

  const home = await open({ dir, databaseUrl: database.url });
  await sentAtLeast(id, 180);
  await asAdmin(admin, async (sql) => {
    await sql`alter database ${sql(database.name)} with allow_connections false`;
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${database.name}`;
    await vi.waitFor(() => sql`alter database ${sql(database.name)} rename to ${sql(`${database.name}_old`)}`, { timeout: 20_000, interval: 5 });
    await sql`alter database ${sql(backup)} rename to ${sql(database.name)}`;
  });
  await vi.waitFor(async () => expect((await read(home, id)).status).toBe("paused"), { timeout: 20_000 });
  await aWhile(); // what was marked in the old one may still leave
  await expectStopped(home, id);
  expect(await sent(id)).toBeLessThan(RECIPIENTS);
  expect((await vendor.ledger(id)).duplicates).toBe(0);
});

test("a machine that remembers nothing is told by receipts: nobody whom they prove to have been written to is written to again", async () => {
  const [before, after] = [homeFolder(), homeFolder()];
  for (const { remove } of [before, after]) onTestFinished(remove);
  await database.sql.end();
  const first = await open({ dir: before.dir, databaseUrl: database.url });
  const id = await launch(first);
  await sentAtLeast(id, 40);
  await first.call("POST", `/api/v1/campaigns/${id}/pause`);
  await stop(first);
  // One of each lot, sent from a database of which this one was a backup.
  await asAdmin(
    database.url,
    (sql) => sql`insert into receipt (campaign_id, stage, position, attempt, kind, at, provider_ref)
      select ${id}, 1, position, 1, 'delivered', campanile.clock(), 'wamid.' || position from unnest(array[95, 190, 290]) as position`,
  );

  const second = await open({ dir: after.dir, databaseUrl: database.url });
  await vi.waitFor(() => expect(second.lines.join()).toContain("A receipt came for position"), { timeout: 20_000 });
  await doctor(second, true);
  await second.call("POST", `/api/v1/campaigns/${id}/resume`);
  await vi.waitFor(async () => expect((await read(second, id)).status).toBe("completed"), { timeout: 60_000 });
  const { statement } = await read(second, id);
  const ledger = await vendor.ledger(id);
  expect(ledger.duplicates).toBe(0);
  expect(ledger.accepted).toBeLessThan(80); // 1 to 40, and after those whom the receipts speak of: 96 to 100, 191 to 200, 291 to 300
  expect(statement).toMatchObject({ recipients: RECIPIENTS, accepted: ledger.accepted + 3, uncertain: RECIPIENTS - ledger.accepted - 3 });
});

test("the folder of the embedded database is put back from a copy: nothing leaves; a plain restart goes on", async () => {
  const { dir, remove } = homeFolder();
  onTestFinished(remove);
  const env = { CAMPANILE_WATERMARK_DIR: join(dir, "elsewhere") };
  const first = await open({ dir, env });
  await vendor.setWebhook({ url: `${first.url}/webhooks/whatsapp`, appSecret: "secret", verifyToken: "token" });
  const id = await launch(first);
  await sentAtLeast(id, 60);
  await stop(first);
  cpSync(join(dir, "postgres"), join(dir, "copy"), { recursive: true });
  const second = await open({ dir, env });
  await vendor.setWebhook({ url: `${second.url}/webhooks/whatsapp`, appSecret: "secret", verifyToken: "token" });
  await sentAtLeast(id, 180);
  await stop(second);
  expect([...first.lines, ...second.lines]).toEqual([]);
  renameSync(join(dir, "postgres"), join(dir, "gone"));
  renameSync(join(dir, "copy"), join(dir, "postgres"));

  const third = await open({ dir, env });
  await expectStopped(third, id);
  expect((await vendor.ledger(id)).duplicates).toBe(0);
});
