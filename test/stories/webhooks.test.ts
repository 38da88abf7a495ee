import { expect, onTestFinished, test, vi } from "vitest";
import { credentialKey } from "../../src/flow/provider/credentials.ts";
import { testEndpoint } from "../../src/flow/webhook/deliver.ts";
import { listDeliveries, replayDelivery, replaySince } from "../../src/flow/webhook/deliveries.ts";
import { deleteEndpoint, readEndpoint, rotateSecret, updateEndpoint } from "../../src/flow/webhook/endpoints.ts";
import { transaction } from "../../src/runtime/postgres.ts";
import { startVendor } from "../../vendor/main.ts";
import { freshDatabase } from "../support/database.ts";
import { homeFolder, openHome } from "../support/house.ts";
import { openPostOffice, type PostOffice, verified } from "../support/post-office.ts";
import { openReceiver } from "../support/receiver.ts";
import { seedWorkspace } from "../support/seed.ts";

vi.setConfig({ testTimeout: 60_000 });

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

const told = (office: PostOffice, ref: { workspaceId: string; id: string }) => listDeliveries(office.place.sql, ref, { afterId: null, limit: 1_000 });
const idsOf = ({ receiver }: PostOffice) => receiver.received.map(({ headers }) => headers["webhook-id"]);

test("what happens to a campaign is told, signed, to whoever asked for it", async () => {
  const office = await openPostOffice();
  const { place, receiver } = office;
  const campaignId = await place.campaign();
  const all = await office.endpoint({ path: "/all" });
  await office.endpoint({ path: "/some", events: ["campaign:completed", "campaign:paused"] });
  await office.endpoint({ path: "/other", workspaceId: (await seedWorkspace(place.sql)).workspaceId });
  const off = await office.endpoint({ path: "/off" });
  await updateEndpoint(off.endpoint, { disabled: true }, office.deps);

  office.postman();
  await office.happens(campaignId, "campaign:started", { totalRecipients: 10 });
  await office.pass(1_000);
  await office.happens(campaignId, "campaign:progress", { processedCount: 5, seq: "not this one" });
  await office.pass(0);

  expect(receiver.received.map(({ path }) => path)).toEqual(["/all", "/all"]);
  const contents = receiver.received.map((one) => verified(one, all.secret, place.clock.now()));
  expect(contents).toEqual([
    { type: "campaign:started", timestamp: "2026-03-02T09:00:00.000Z", data: { campaignId, seq: 1, totalRecipients: 10 } },
    { type: "campaign:progress", timestamp: "2026-03-02T09:00:01.000Z", data: { campaignId, seq: 2, processedCount: 5 } },
  ]);
  expect(receiver.received[0]?.headers).toMatchObject({ "content-type": "application/json", "user-agent": expect.stringMatching(/^Campanile\/\d/) });
  const deliveries = await told(office, all.endpoint);
  expect(deliveries).toMatchObject([
    { seq: 2, state: "delivered", attempts: 1, lastStatus: 204, lastCause: null },
    { seq: 1, state: "delivered", attempts: 1 },
  ]);
  expect(idsOf(office).sort()).toEqual(deliveries.map(({ id }) => id).sort());
  expect(idsOf(office)[0]).toMatch(/^msg_[0-9a-f]{32}$/);
});

test("a delivery is made with its event or not at all", async () => {
  const office = await openPostOffice();
  const { place } = office;
  const campaignId = await place.campaign();
  const { endpoint } = await office.endpoint();
  const undone = transaction(place.sql, async (tx) => {
    await tx`insert into event (campaign_id, seq, name, body) values (${campaignId}, 1, 'campaign:started', '{}')`;
    expect(await tx`select 1 from webhook_delivery`).toHaveLength(1);
    throw new Error("the power is gone");
  });
  await expect(undone).rejects.toThrow("the power is gone");
  expect(await told(office, endpoint)).toEqual([]);
  await office.happens(campaignId, "campaign:started");
  expect(await told(office, endpoint)).toMatchObject([{ state: "pending", attempts: 0, seq: 1 }]);
});

test("an endpoint that is away is asked ten times in three days, then no more, until it is replayed under the same id", async () => {
  const office = await openPostOffice();
  const { place, receiver } = office;
  const campaignId = await place.campaign();
  const { endpoint, secret } = await office.endpoint();
  const triedAt: number[] = [];
  receiver.answers(() => {
    triedAt.push(place.clock.elapsedMs);
    return { status: 503 };
  });
  const pollMs = 5 * MINUTE_MS;
  const postman = office.postman({ pollMs });
  await office.happens(campaignId);
  await office.pass(0);
  expect(await told(office, endpoint)).toMatchObject([{ state: "pending", attempts: 1, lastStatus: 503, lastCause: "The endpoint answered 503." }]);

  const waits = [5_000, 5 * MINUTE_MS, 30 * MINUTE_MS, ...[2, 5, 10, 14, 20, 24].map((hours) => hours * HOUR_MS)];
  await office.pass(120 * HOUR_MS);
  expect(triedAt).toHaveLength(10);
  for (const [at, wait] of waits.entries()) {
    const waited = (triedAt[at + 1] ?? 0) - (triedAt[at] ?? 0);
    expect(waited).toBeGreaterThanOrEqual(0.9 * wait);
    expect(waited).toBeLessThanOrEqual(1.1 * wait + pollMs);
  }
  const [dead] = await told(office, endpoint);
  expect(dead).toMatchObject({ state: "dead", attempts: 10 });
  expect(postman.results).toEqual([...waits.map(() => "retried"), "dead"]);

  receiver.answers(() => ({ status: 200 }));
  expect(await replayDelivery(endpoint, dead?.id ?? "", office.deps)).toMatchObject({ state: "pending", attempts: 0 });
  await office.pass(0);
  expect(await told(office, endpoint)).toMatchObject([{ id: dead?.id, state: "delivered", attempts: 1, lastStatus: 200, lastCause: null }]);
  expect(new Set(idsOf(office))).toEqual(new Set([dead?.id]));
  expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1);
  const last = receiver.received.at(-1);
  if (last !== undefined) expect(verified(last, secret, place.clock.now())).toMatchObject({ type: "campaign:progress" });
});

test("a receiver that asks for patience is given it, but for more than a day", async () => {
  const office = await openPostOffice();
  const { place, receiver } = office;
  const { endpoint } = await office.endpoint();
  receiver.answers((_one, number) => ({
    status: 429,
    headers: { "retry-after": ["600", "Mon, 02 Mar 2026 10:10:00 GMT", "9999999"][number - 1] ?? "0" },
  }));
  office.postman();
  await office.happens(await place.campaign());
  await office.pass(0);
  for (const [seen, waitMs] of [10 * MINUTE_MS, 60 * MINUTE_MS, 24 * HOUR_MS].entries()) {
    await office.pass(waitMs - 1_000);
    expect(receiver.received).toHaveLength(seen + 1);
    await office.pass(1_000);
    expect(receiver.received).toHaveLength(seen + 2);
  }
  expect(await told(office, endpoint)).toMatchObject([{ attempts: 4, lastStatus: 429 }]);
});

test("410 disables an endpoint; what waits goes out when it is enabled, what happened meanwhile with a replay", async () => {
  const office = await openPostOffice();
  const { place, receiver, deps } = office;
  const campaignId = await place.campaign();
  const { endpoint } = await office.endpoint({ events: ["campaign:progress"] });
  receiver.answers((_one, number) => ({ status: number === 1 ? 500 : number === 2 ? 410 : 200 }));
  office.postman();
  await office.happens(campaignId);
  await office.pass(0);
  await office.happens(campaignId);
  await office.pass(0);
  expect(await readEndpoint(endpoint, deps)).toMatchObject({ disabledAt: place.clock.now(), disabledReason: expect.stringContaining("410 Gone") });
  expect((await told(office, endpoint)).map(({ seq, state }) => [seq, state]).sort()).toEqual([
    [1, "pending"],
    [2, "dead"],
  ]);
  await office.happens(campaignId, "campaign:started");
  await office.happens(campaignId);
  await office.pass(HOUR_MS);
  expect(receiver.received).toHaveLength(2);

  expect(await updateEndpoint(endpoint, { disabled: false }, deps)).toMatchObject({ disabledAt: null, disabledReason: null });
  await office.pass(0);
  expect(receiver.received).toHaveLength(3);
  const since = new Date(place.clock.now().getTime() - 2 * HOUR_MS);
  expect(await replaySince(endpoint, since, deps)).toBe(3);
  await office.pass(0);
  const deliveries = await told(office, endpoint);
  expect(deliveries.map(({ seq, state }) => [seq, state]).sort()).toEqual([
    [1, "delivered"],
    [2, "delivered"],
    [4, "delivered"],
  ]);
  expect(new Set(idsOf(office)).size).toBe(3);
  expect(await replaySince(endpoint, place.clock.now(), deps)).toBe(0);
});

test("a slow endpoint delays no other, and holds no more than its share", async () => {
  const office = await openPostOffice();
  const { place, receiver } = office;
  const campaignId = await place.campaign();
  const slow = await office.endpoint({ path: "/slow" });
  const quick = await office.endpoint({ path: "/quick" });
  receiver.answers(({ path }) => (path === "/slow" ? undefined : { status: 200 }));
  office.postman({ perEndpointMax: 3 });
  office.postman({ perEndpointMax: 3 });
  for (let i = 0; i < 50; i++) await office.happens(campaignId);
  await office.pass(0);
  expect((await told(office, quick.endpoint)).every(({ state }) => state === "delivered")).toBe(true);
  await vi.waitFor(() => expect(receiver.received.filter(({ path }) => path === "/slow")).toHaveLength(3));
  expect(place.clock.elapsedMs).toBe(0);
  await office.pass(15_000);
  const tried = (await told(office, slow.endpoint)).filter(({ lastCause }) => lastCause !== null);
  expect(tried.map(({ lastStatus, lastCause }) => [lastStatus, lastCause])).toEqual(Array(3).fill([null, "No answer within 15 seconds."]));
});

test("a process that dies between sending and recording: it is delivered again, under the same id", async () => {
  const office = await openPostOffice();
  const { place, receiver } = office;
  const { endpoint } = await office.endpoint();
  let writes = 0;
  const dying = office.postman({
    watcher: { before: (name) => (name === "update webhook_delivery" && ++writes > 1 ? new Promise<never>(() => {}) : undefined), after() {} },
  });
  await office.happens(await place.campaign());
  dying.nudge();
  await vi.waitFor(() => expect(writes).toBe(2));
  expect(receiver.received).toHaveLength(1);
  await dying.kill();
  expect(await told(office, endpoint)).toMatchObject([{ state: "pending", attempts: 1 }]);

  office.postman();
  await office.pass(59_000);
  expect(receiver.received).toHaveLength(1);
  await office.pass(1_000);
  expect(receiver.received).toHaveLength(2);
  expect(new Set(idsOf(office)).size).toBe(1);
  expect(await told(office, endpoint)).toMatchObject([{ state: "delivered", attempts: 2 }]);
});

test("many processes send each of many events once", async () => {
  const office = await openPostOffice();
  const { place, receiver } = office;
  const campaignId = await place.campaign();
  const endpoints = [await office.endpoint({ path: "/a" }), await office.endpoint({ path: "/b" })];
  for (let i = 0; i < 3; i++) office.postman();
  for (let i = 0; i < 60; i++) await office.happens(campaignId);
  await office.pass(0);
  expect(receiver.received).toHaveLength(120);
  expect(new Set(idsOf(office)).size).toBe(120);
  for (const { endpoint } of endpoints) expect(new Set((await told(office, endpoint)).map(({ state }) => state))).toEqual(new Set(["delivered"]));
});

test("while a secret is replaced both sign, and after that the new one only", async () => {
  const office = await openPostOffice();
  const { place, receiver, deps } = office;
  const campaignId = await place.campaign();
  const { endpoint, secret: before } = await office.endpoint();
  office.postman();
  const { secret: next, endpoint: rotated } = await rotateSecret(endpoint, 24, deps);
  expect(rotated.previousSecretUntil?.getTime()).toBe(place.clock.now().getTime() + 24 * HOUR_MS);
  await office.happens(campaignId);
  await office.pass(0);
  await office.pass(24 * HOUR_MS);
  await office.happens(campaignId);
  await office.pass(0);
  const [during, after] = receiver.received;
  if (during === undefined || after === undefined) throw new Error("nothing came");
  const noon = new Date(place.clock.now().getTime() - 24 * HOUR_MS);
  for (const secret of [before, next]) expect(verified(during, secret, noon)).toMatchObject({ data: { seq: 1 } });
  expect(verified(after, next, place.clock.now())).toMatchObject({ data: { seq: 2 } });
  expect(() => verified(after, before, place.clock.now())).toThrow();
  expect(await readEndpoint(endpoint, deps)).toMatchObject({ previousSecretUntil: null });
});

test("a stop waits for what is nearly done, and gives back the rest", async () => {
  const office = await openPostOffice();
  const { place, receiver } = office;
  const { endpoint } = await office.endpoint({ path: "/slow" });
  receiver.answers(() => undefined);
  const postman = office.postman();
  await office.happens(await place.campaign());
  await office.pass(0);
  await vi.waitFor(() => expect(receiver.received).toHaveLength(1));
  await place.clock.until(postman.stop());
  expect(place.clock.elapsedMs).toBe(3_000);
  expect(await told(office, endpoint)).toMatchObject([{ state: "pending", attempts: 0, dueAt: place.clock.now() }]);
});

test("a secret that does not open, an endpoint that is gone: nothing is sent, and it is said why", async () => {
  const office = await openPostOffice();
  const { place, receiver, deps } = office;
  const campaignId = await place.campaign();
  const { endpoint } = await office.endpoint();
  const lost = { ...deps, keys: [credentialKey("another secret than before")] as const };
  expect(await testEndpoint(endpoint, lost)).toMatchObject({ delivered: false, status: null, cause: expect.stringContaining("CAMPANILE_SECRET") });
  expect(await testEndpoint(endpoint, deps)).toMatchObject({ delivered: true, status: 204, cause: null });
  expect(JSON.parse(receiver.received[0]?.body ?? "")).toMatchObject({ type: "webhook.test", data: { endpointId: endpoint.id } });

  await office.happens(campaignId);
  await deleteEndpoint(endpoint, deps);
  office.postman();
  await office.happens(campaignId);
  await office.pass(0);
  expect(receiver.received).toHaveLength(1);
  expect(await place.sql`select state, last_cause from webhook_delivery`).toEqual([{ state: "dead", lastCause: "The endpoint was deleted." }]);
  expect(await place.sql`select secret, previous_secret from webhook_endpoint`).toEqual([{ secret: null, previousSecret: null }]);
});

test("the whole product: what happens to a campaign reaches its receiver, and is counted", async () => {
  const vendor = await startVendor({ settings: { seed: 5, limits: { throughput: null }, mix: { successRate: 1, latencyMs: [1, 5] } } });
  onTestFinished(() => vendor.stop());
  const database = await freshDatabase();
  onTestFinished(() => database.drop());
  const { dir, remove } = homeFolder();
  onTestFinished(remove);
  const receiver = await openReceiver();
  const home = await openHome({ dir, databaseUrl: database.url, vendor, env: { WEBHOOKS_ALLOW_PRIVATE: "true" } });
  onTestFinished(() => home.stop());

  const events = ["campaign:started", "campaign:stopped"];
  const { data: endpoint } = await home.call<{ data: { id: string; secret: string } }>("POST", "/api/v1/webhook-endpoints", {
    url: receiver.url,
    events,
  });
  const { data: senders } = await home.call<{ data: { id: string }[] }>("GET", "/api/v1/senders");
  const recipients = Array.from({ length: 50 }, (_, i) => ({ phone: `+9198${10_000_000 + i}` }));
  const { data: campaign } = await home.call<{ data: { id: string } }>("POST", "/api/v1/campaigns", {
    accountId: senders[0]?.id,
    name: "told",
    messageType: "text",
    messageContent: "Hi",
    audienceType: "inline",
    audienceConfig: { recipients },
    scheduleType: "now",
    throttleConfig: { messagesPerMinute: 60 },
  });
  const came = (count: number) => vi.waitFor(() => expect(receiver.received).toHaveLength(count), { timeout: 20_000, interval: 50 });
  await came(1);
  await home.call("POST", `/api/v1/campaigns/${campaign.id}/stop`);
  await came(2);
  const contents = receiver.received.map((one) => verified(one, endpoint.secret, new Date()));
  expect(contents).toMatchObject([
    { type: "campaign:started", data: { campaignId: campaign.id, seq: 1 } },
    { type: "campaign:stopped", data: { campaignId: campaign.id } },
  ]);
  const metrics = async () => (await fetch(`${home.url}/metrics`)).text();
  await vi.waitFor(async () => expect(await metrics()).toContain('campanile_webhook_deliveries_total{result="delivered"} 2'), { timeout: 5_000 });
  expect(home.lines).toEqual([]);
});
