import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Fastify from "fastify";
import { type Socket as AnySocket, io } from "socket.io-client";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { z } from "zod";
import type { CampaignEvents, CampaignProgress, ClientEvents } from "../../src/contract/live.ts";
import type { SystemStats as SystemStatsShape } from "../../src/contract/system.ts";
import type { App } from "../../src/doors/http/deps.ts";
import { openLive } from "../../src/doors/http/live.ts";
import { createKey, ensureKey } from "../../src/runtime/keys.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { startVendor, type Vendor } from "../../vendor/main.ts";
import { type FreshDatabase, freshDatabase } from "../support/database.ts";
import { type Home, homeFolder, openHome } from "../support/house.ts";

const KEY = "a-key-for-this-test";
type SystemStats = z.infer<typeof SystemStatsShape>;
type Socket = AnySocket<CampaignEvents, ClientEvents>;
const WAIT = { timeout: 30_000, interval: 50 };

interface Heard {
  readonly name: string;
  readonly campaignId: string;
  readonly seq: number;
  readonly place: number;
  readonly body: Record<string, unknown>;
}

/** The stock client, which writes down what it hears. */
function listen(url: string, token: string): { readonly socket: Socket; readonly heard: Heard[]; readonly others: string[] } {
  const socket: Socket = io(url, { auth: { token }, reconnectionDelay: 50, reconnectionDelayMax: 200 });
  const heard: Heard[] = [];
  const others: string[] = [];
  socket.onAny((name: string, body: Record<string, unknown> & { campaignId: string; seq: number }, place: string) => {
    if (name.startsWith("campaign:") && name !== "campaign:stats")
      heard.push({ name, campaignId: body.campaignId, seq: body.seq, place: Number(place), body });
    else others.push(name);
  });
  sockets.push(socket);
  return { socket, heard, others };
}

let database: FreshDatabase;
let vendor: Vendor;
const homes: Home[] = [];
const folders: (() => void)[] = [];
const sockets: Socket[] = [];

async function home(env: Record<string, string> = {}): Promise<Home> {
  const { dir, remove } = homeFolder();
  folders.push(remove);
  const opened = await openHome({ dir, databaseUrl: database.url, vendor, env });
  homes.push(opened);
  return opened;
}

beforeEach(async () => {
  database = await freshDatabase();
  vendor = await startVendor({ settings: { mix: { successRate: 1 }, limits: { throughput: null, pair: null, messaging: null } } });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.disconnect();
  for (const one of homes.splice(0)) {
    expect(one.lines).toEqual([]);
    await one.stop().catch(() => {});
  }
  await vendor.stop();
  await database.drop();
  for (const remove of folders.splice(0)) remove();
});

const people = (count: number) => Array.from({ length: count }, (_, i) => ({ phone: `+91${9_000_000_001 + i}`, firstName: `P${i}` }));

async function campaign(place: Home, recipients: number, perMinute: number | null): Promise<string> {
  const senders = await place.call<{ data: { id: string }[] }>("GET", "/api/v1/senders");
  const { data } = await place.call<{ data: { id: string } }>("POST", "/api/v1/campaigns", {
    name: "Live",
    accountId: senders.data[0]?.id,
    messageType: "text",
    messageContent: "Hi {{firstName}}",
    audienceType: "inline",
    audienceConfig: { recipients: people(recipients) },
    scheduleType: "manual",
    throttleConfig: { messagesPerMinute: perMinute },
  });
  return data.id;
}

const isEnd = ({ name }: Heard) => name === "campaign:completed";

/** Each event of the campaign once, in order, and none is missing. */
async function expectAll(heard: readonly Heard[], id: string): Promise<void> {
  const stored = async () =>
    (await database.sql<{ seq: number; name: string }[]>`select seq::int, name from event where campaign_id = ${id} order by seq`).map(
      ({ seq, name }) => `${seq} ${name}`,
    );
  const told = () => heard.filter((one) => one.campaignId === id).map(({ seq, name }) => `${seq} ${name}`);
  await expect.poll(async () => told().join() === (await stored()).join(), WAIT).toBe(true);
  const places = heard.map(({ place }) => place);
  expect(places).toEqual([...new Set(places)].sort((a, b) => a - b));
}

test("two servers, a client on each, one server restarted: both hear every event once, in order, without a gap", { timeout: 120_000 }, async () => {
  const first = await home();
  const second = await home();
  const port = new URL(second.url).port;
  const [a, b] = [listen(first.url, KEY), listen(second.url, `Bearer ${KEY}`)];
  await expect.poll(() => a.others.concat(b.others), WAIT).toEqual(["ready", "ready"]);

  const id = await campaign(first, 900, 12_000);
  await first.call("POST", `/api/v1/campaigns/${id}/start`);
  await expect.poll(() => b.heard.some(({ name }) => name === "campaign:progress"), WAIT).toBe(true);
  await second.stop();
  homes.splice(homes.indexOf(second), 1);
  await first.call("POST", `/api/v1/campaigns/${id}/pause`);
  await first.call("POST", `/api/v1/campaigns/${id}/resume`);
  await home({ PORT: port });
  for (const { heard } of [a, b]) await expect.poll(() => heard.some(isEnd), WAIT).toBe(true);

  for (const { heard } of [a, b]) await expectAll(heard, id);
  expect(b.others).toEqual(["ready", "ready"]);
  const end = a.heard.findIndex(isEnd);
  const last = a.heard[end - 1]?.body as unknown as CampaignProgress;
  expect(last).toMatchObject({ progress: 100, processedCount: 900, totalRecipients: 900, sent: 900, failed: 0, eta: null });
  expect(a.heard[end]?.body["campaign"]).toMatchObject({ id, status: "completed", statement: { accepted: 900 } });
  expect(a.heard.map(({ name }) => name)).toContain("campaign:paused");
});

test("whoever looks at one campaign sees its figures; another workspace hears nothing, and a revoked key no more", { timeout: 60_000 }, async () => {
  const place = await home();
  const { sql, luck } = place.house;
  const other = systemLuck.uuid();
  await sql`insert into workspace (id, name) values (${other}, 'other')`;
  await ensureKey(sql, luck, { workspaceId: other, name: "theirs", key: "a-key-of-another-workspace" });
  const looker = await createKey(sql, luck, { workspaceId: place.house.workspaceId, name: "looker", rights: ["read"] });
  const [ours, theirs, looks] = [listen(place.url, KEY), listen(place.url, "a-key-of-another-workspace"), listen(place.url, looker.key)];
  await expect.poll(() => [ours, theirs, looks].every(({ others }) => others.includes("ready")), WAIT).toBe(true);

  const id = await campaign(place, 150, null);
  const ask = (socket: Socket) => socket.emitWithAck("subscribe", { campaignId: id });
  expect(await ask(ours.socket)).toMatchObject({ success: true, data: { campaign: { id, status: "draft" }, stats: { recipients: 150 } } });
  expect(await ask(theirs.socket)).toMatchObject({ success: false, code: "campaign_not_found" });
  expect(await ours.socket.emitWithAck("subscribe", {} as { campaignId: string })).toMatchObject({ success: false, code: "malformed" });
  await sql`update api_key set revoked_at = campanile.clock() where id = ${looker.id}`;
  await expect.poll(() => looks.socket.connected, WAIT).toBe(false);

  await place.call("POST", `/api/v1/campaigns/${id}/start`);
  await expect.poll(() => ours.heard.some(isEnd), WAIT).toBe(true);
  await expectAll(ours.heard, id);
  expect(ours.others).toContain("campaign:stats");
  expect(theirs.others).toEqual(["ready"]);
  expect(theirs.heard).toEqual([]);
  expect(looks.heard).toEqual([]);
});

test("whoever comes while the server starts is let in once it can tell what happens, with a key like everybody", async () => {
  const { house } = await home();
  const app = Fastify();
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const slow = (...args: Parameters<typeof house.sql>) => held.then(() => house.sql(...args));
  const opening = openLive(app as unknown as App, { ...house, prompt: house.sql, sql: slow as unknown as typeof house.sql });
  const early = listen(url, KEY);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(early.socket.connected).toBe(false);
  release();
  const live = await opening;
  await expect.poll(() => early.others, WAIT).toEqual(["ready"]);
  await live.recheck();
  await live.close();
  early.socket.disconnect();
  await app.close();
});

test("without a key that may read nobody is let in", async () => {
  const place = await home();
  const writer = await createKey(place.house.sql, place.house.luck, { workspaceId: place.house.workspaceId, name: "writer", rights: ["write"] });
  for (const [token, code] of [
    ["wrong", "unauthorized"],
    ["", "unauthorized"],
    [writer.key, "right_missing"],
  ] as const) {
    const socket: Socket = io(place.url, { auth: { token }, reconnection: false });
    sockets.push(socket);
    const error = await new Promise<Error & { data?: { code: string } }>((resolve) => socket.on("connect_error", resolve));
    expect(error.data?.code).toBe(code);
  }
});

test("the example program makes a campaign to a segment, and prints its progress until it is completed", { timeout: 60_000 }, async () => {
  const place = await home();
  for (const [i, firstName] of ["Asha", "Asha", "Ben"].entries())
    await place.call("POST", "/api/v1/contacts", { phone: `+91${9_000_000_001 + i}`, firstName });
  const { data: segment } = await place.call<{ data: { id: string } }>("POST", "/api/v1/segments", {
    name: "All Ashas",
    filter: { field: "firstName", op: "eq", value: "Asha" },
  });
  const senders = await place.call<{ data: { id: string }[] }>("GET", "/api/v1/senders");
  const env = { ...process.env, CAMPANILE_URL: place.url, CAMPANILE_API_KEY: KEY, ACCOUNT_ID: senders.data[0]?.id, SEGMENT_ID: segment.id };
  const said = await promisify(execFile)(process.execPath, [fileURLToPath(new URL("../../examples/engine-api.mjs", import.meta.url))], { env });
  expect(said.stdout).toContain("Campaign started successfully");
  expect(said.stdout).toMatch(/Campaign [0-9a-f-]{36}: 100% complete\nProcessed: 2\/2\nCampaign completed: \{/);
  expect(said.stderr).toBe("");
});

test("how the work stands is told to people and to Prometheus", async () => {
  const place = await home();
  const id = await campaign(place, 30, 60);
  await place.call("POST", `/api/v1/campaigns/${id}/start`);
  const stats = () => place.call<{ data: SystemStats }>("GET", "/api/v1/system/stats");
  await expect.poll(async () => (await stats()).data.queue.waiting, WAIT).toBeGreaterThan(20);
  const { data } = await stats();
  expect(data.queue.campaigns).toMatchObject([{ id, name: "Live", failed: 0 }]);
  expect(data.receipts.waiting).toBe(0);
  expect(data.process.memoryMb).toBeGreaterThan(10);
  const metrics = await (await fetch(`${place.url}/metrics`)).text();
  expect(metrics).toMatch(new RegExp(`campanile_queue_waiting\\{campaign="${id}"\\} \\d\\d`));
  expect(metrics).toContain("campanile_receipts_waiting 0");
});
