import { afterAll, beforeAll, expect, test } from "vitest";
import { NewWebhookEndpoint, WebhookDelivery, WebhookEndpoint, WebhookTested } from "../../src/contract/webhook.ts";
import { answerOf, listOf, Problem } from "../../src/contract/wire.ts";
import { emit } from "../../src/flow/campaign/store.ts";
import { readConfig } from "../../src/runtime/config.ts";
import { type Door, openDoor } from "../support/door.ts";
import { verified } from "../support/post-office.ts";
import { openReceiver } from "../support/receiver.ts";
import { rehearsalSender } from "../support/rehearsal-sender.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor({ config: { ...readConfig({ WEBHOOKS_ALLOW_PRIVATE: "true" }), csvBytesMax: 10_000_000 } });
});
afterAll(() => door.close());

const path = "/api/v1/webhook-endpoints";
const make = async (payload: object) => {
  const answer = await door.ask("POST", path, { payload });
  expect(answer.statusCode, answer.body).toBe(201);
  return answerOf(NewWebhookEndpoint).parse(answer.json()).data;
};
const read = async (url: string) => {
  const answer = await door.ask("GET", url);
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json();
};

/** A campaign to which `events` have happened. */
async function campaign(events: number): Promise<string> {
  const accountId = await rehearsalSender(door.database.sql, door.workspaceId, { externalId: String(Math.random()).slice(2) });
  const payload = { name: "x", accountId, messageType: "text", messageContent: "Hi", audienceType: "all", scheduleType: "manual" };
  const { id } = (await door.ask("POST", "/api/v1/campaigns", { payload })).json().data;
  const bare = String(id).replace(/^cmp_/, "");
  for (let i = 0; i < events; i++) await emit(door.database.sql, bare, "campaign:progress", { processedCount: i });
  return bare;
}

test("an endpoint is made, changed and removed; its secret is shown twice in its life, and stored sealed", async () => {
  const { secret, ...made } = await make({ url: "https://hooks.example.com/in?x=1" });
  expect(made).toMatchObject({ events: null, disabledAt: null, disabledReason: null, previousSecretUntil: null });
  expect(secret).toMatch(/^whsec_/);
  const one = `${path}/${made.id}`;

  const changed = await door.ask("PATCH", one, { payload: { events: ["campaign:completed"], disabled: true } });
  expect(answerOf(WebhookEndpoint).parse(changed.json()).data).toMatchObject({ url: made.url, events: ["campaign:completed"] });
  expect((await door.ask("PATCH", one, { payload: { url: "https://other.example.com", disabled: false, events: null } })).json().data).toMatchObject({
    url: "https://other.example.com",
    events: null,
    disabledAt: null,
  });
  const rotated = await door.ask("POST", `${one}/rotate-secret`);
  const next = answerOf(NewWebhookEndpoint).parse(rotated.json()).data;
  expect(next.secret).toMatch(/^whsec_/);
  expect(next.secret).not.toBe(secret);
  expect(Date.parse(next.previousSecretUntil ?? "") - Date.now()).toBeGreaterThan(23 * 3_600_000);
  const at = await door.ask("POST", `${one}/rotate-secret`, { payload: { keepHours: 0 } });
  expect(answerOf(NewWebhookEndpoint).parse(at.json()).data.previousSecretUntil).toBeNull();

  const listed = await read(`${path}?limit=500`);
  expect(
    listOf(WebhookEndpoint)
      .parse(listed)
      .data.map(({ id }) => id),
  ).toContain(made.id);
  const rows = await door.database
    .sql`select encode(secret, 'escape') as secret, encode(previous_secret, 'escape') as previous from webhook_endpoint`;
  const seen = JSON.stringify([listed, await read(one), changed.json(), rows]) + door.lines.join("");
  for (const one of [secret, next.secret]) expect(seen).not.toContain(one?.slice("whsec_".length));

  expect((await door.ask("DELETE", one)).statusCode).toBe(200);
  for (const [method, url] of [
    ["GET", one],
    ["DELETE", one],
    ["POST", `${one}/test`],
    ["POST", `${one}/rotate-secret`],
    ["GET", `${one}/deliveries`],
  ] as const)
    expect((await door.ask(method, url)).statusCode, `${method} ${url}`).toBe(404);
});

test("a repeated request makes one endpoint, and its secret is not kept with the answer", async () => {
  const ask = () => door.ask("POST", path, { payload: { url: "https://once.example.com" }, headers: { "idempotency-key": "one-endpoint" } });
  const [first, second] = [await ask(), await ask()];
  expect(second.headers["idempotent-replayed"]).toBe("true");
  expect(second.json().data.id).toBe(first.json().data.id);
  expect(second.json().data).not.toHaveProperty("secret");
  expect(JSON.stringify(await door.database.sql`select answer from idempotency`)).not.toContain("whsec_");
});

test.each([
  ["no address", {}, "url"],
  ["another protocol", { url: "ftp://hooks.example.com" }, "url"],
  ["a password in it", { url: "https://me:secret@hooks.example.com" }, "url"],
  ["a cloud's metadata", { url: "http://169.254.169.254/latest" }, "url"],
  ["an event there is not", { url: "https://hooks.example.com", events: ["campaign:exploded"] }, "events[0]"],
  ["no event at all", { url: "https://hooks.example.com", events: [] }, "events"],
  ["an event twice", { url: "https://hooks.example.com", events: ["campaign:paused", "campaign:paused"] }, "events"],
])("%s is refused", async (_what, payload, field) => {
  const answer = await door.ask("POST", path, { payload });
  expect(answer.statusCode, answer.body).toBe(400);
  expect(Problem.parse(answer.json()).errors?.[0]?.path).toBe(field);
});

test("unless private addresses are allowed, only public ones over https are taken, and a name that leads inside is not asked", async () => {
  const strict = await openDoor();
  try {
    for (const url of ["http://hooks.example.com", "https://10.0.0.1", "https://[::1]/", "https://2130706433/", "https://192.168.1.1:8443/x"]) {
      const answer = await strict.ask("POST", path, { payload: { url } });
      expect(answer.statusCode, url).toBe(400);
      expect(Problem.parse(answer.json()).detail).toContain("WEBHOOKS_ALLOW_PRIVATE");
    }
    const made = await strict.ask("POST", path, { payload: { url: "https://localhost:1/" } });
    const tested = await strict.ask("POST", `${path}/${made.json().data.id}/test`);
    expect(answerOf(WebhookTested).parse(tested.json()).data).toMatchObject({ delivered: false, cause: expect.stringContaining("internal address") });
  } finally {
    await strict.close();
  }
});

test("a test is sent at once, and says what came back", async () => {
  const receiver = await openReceiver();
  receiver.answers((_one, number) => ({ status: number === 1 ? 200 : 302, headers: { location: "http://127.0.0.1:1/" } }));
  const { id, secret } = await make({ url: `${receiver.url}/hook` });
  const tested = async () => answerOf(WebhookTested).parse((await door.ask("POST", `${path}/${id}/test`)).json()).data;
  const good = await tested();
  expect(good).toMatchObject({ delivered: true, status: 200, cause: null });
  const [came] = receiver.received;
  if (came === undefined) throw new Error("nothing came");
  expect(came.headers["webhook-id"]).toBe(good.messageId);
  expect(verified(came, secret ?? "", new Date())).toMatchObject({ type: "webhook.test", data: { endpointId: id } });
  expect(await tested()).toMatchObject({ delivered: false, status: 302, cause: expect.stringContaining("Redirects are not followed") });
  expect((await read(`${path}/${id}/deliveries`)).data).toEqual([]);
});

test("deliveries are listed page by page and by state, and replayed one by one or from an instant on", async () => {
  const { id } = await make({ url: "https://hooks.example.com" });
  const campaignId = await campaign(5);
  const page = async (query: string) => listOf(WebhookDelivery).parse(await read(`${path}/${id}/deliveries?${query}`));
  const first = await page("limit=3");
  const rest = await page(`limit=3&cursor=${first.nextCursor}`);
  expect([...first.data, ...rest.data].map(({ seq }) => seq)).toEqual([5, 4, 3, 2, 1]);
  expect(rest.nextCursor).toBeNull();
  const [one] = first.data;
  expect(one).toMatchObject({ type: "campaign:progress", campaignId, state: "pending", attempts: 0, lastStatus: null, deliveredAt: null });

  await door.database.sql`update webhook_delivery set state = 'dead', attempts = 10 where endpoint_id = ${id} and seq <= 3`;
  expect((await page("state=dead&limit=2")).data.map(({ seq, dueAt }) => [seq, dueAt])).toEqual([
    [3, null],
    [2, null],
  ]);
  expect((await page("state=delivered")).data).toEqual([]);
  const [dead] = (await page("state=dead")).data;
  const replayed = await door.ask("POST", `${path}/${id}/deliveries/${dead?.id}/replay`);
  expect(answerOf(WebhookDelivery).parse(replayed.json()).data).toMatchObject({ id: dead?.id, seq: 3, state: "pending", attempts: 0 });
  expect((await door.ask("POST", `${path}/${id}/deliveries/msg_0/replay`)).statusCode).toBe(404);

  const since = await door.ask("POST", `${path}/${id}/replay`, { payload: { since: "2020-01-01T00:00:00Z" } });
  expect(since.json().data).toEqual({ queued: 5 });
  expect((await page("state=dead")).data).toEqual([]);
  expect((await door.ask("POST", `${path}/${id}/replay`, { payload: { since: "yesterday" } })).statusCode).toBe(400);
  expect((await door.ask("GET", `${path}/${id}/deliveries?state=lost`)).statusCode).toBe(400);
});

test("another workspace finds none of it, and who may only look changes nothing", async () => {
  const { id } = await make({ url: "https://hooks.example.com" });
  await campaign(1);
  const [delivery] = (await read(`${path}/${id}/deliveries`)).data;
  const calls = [
    ["GET", `${path}/${id}`],
    ["GET", `${path}/${id}/deliveries`],
    ["PATCH", `${path}/${id}`, { disabled: true }],
    ["DELETE", `${path}/${id}`],
    ["POST", `${path}/${id}/test`],
    ["POST", `${path}/${id}/rotate-secret`],
    ["POST", `${path}/${id}/replay`, { since: "2020-01-01T00:00:00Z" }],
    ["POST", `${path}/${id}/deliveries/${delivery.id}/replay`],
  ] as const;
  const other = await door.newKey(["read", "write", "send", "admin"], await door.newWorkspace());
  const reader = await door.newKey(["read", "write", "send"]);
  for (const [method, url, payload = {}] of calls) {
    const given = method === "GET" ? {} : { payload };
    expect((await door.ask(method, url, { key: other, ...given })).statusCode, `${method} ${url}`).toBe(404);
    expect((await door.ask(method, url, { key: reader, ...given })).statusCode, `${method} ${url}`).toBe(method === "GET" ? 200 : 403);
  }
  expect((await door.ask("GET", path, { key: other })).json().data).toEqual([]);
  expect(await read(`${path}/${id}`)).toMatchObject({ data: { disabledAt: null } });
});
