import { createHmac } from "node:crypto";
import { setImmediate as tick } from "node:timers/promises";
import Fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { handClock } from "../../../test/conformance/hand-clock.ts";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { applyAll, makeCampaign, makeSender, recorded, referenceTo, status, webhook } from "../../../test/support/receipts.ts";
import { createIntake, type IntakeOptions } from "../../flow/receipt/intake.ts";
import { createMetrics, type Metrics } from "../../runtime/metrics.ts";
import { connect } from "../../runtime/postgres.ts";
import { answerError } from "./problem.ts";
import { whatsappWebhook } from "./whatsapp-webhook.ts";

const SECRET = "app_secret";
const clock = handClock();
let db: FreshDatabase;
let app: FastifyInstance;
let metrics: Metrics;

async function open(options: Partial<IntakeOptions> = {}, verifyToken: string | null = "vibe coding & more"): Promise<FastifyInstance> {
  const server = Fastify();
  metrics = createMetrics();
  server.setErrorHandler<FastifyError>((error, request, reply) => answerError(metrics, error, request, reply));
  const intake = createIntake({ sql: db.sql, appSecretOf: async () => null, defaultAppSecret: SECRET, ...options });
  await server.register(whatsappWebhook, { intake, verifyToken, clock, timeoutMs: 30_000 });
  server.post("/echo", async (request) => request.body);
  return server;
}

beforeAll(async () => {
  db = await freshDatabase();
});
afterAll(() => db.drop());
beforeEach(async () => {
  await db.sql`truncate inbox, unmatched, receipt, receipt_count`;
  app = await open();
  return () => app.close();
});

const sign = (body: string | Buffer, secret = SECRET, algorithm = "sha256") =>
  `${algorithm}=${createHmac(algorithm, secret).update(body).digest("hex")}`;
const post = (payload: string | Buffer, headers: Record<string, string> = {}, server = app) =>
  server.inject({ method: "POST", url: "/webhooks/whatsapp", payload, headers: { "content-type": "application/json", ...headers } });
const signed = (payload: string | Buffer, server = app) => post(payload, { "x-hub-signature-256": sign(payload) }, server);
const stored = async () => (await db.sql<{ body: Buffer }[]>`select body from inbox order by id`).map(({ body }) => body.toString());

describe("registering the address", () => {
  const ask = (query: string, server = app) => server.inject({ method: "GET", url: `/webhooks/whatsapp${query}` });

  test("answers the challenge as plain text, as it is", async () => {
    const answer = await ask("?hub.mode=subscribe&hub.challenge=%3Cb%3E1158201444&hub.verify_token=vibe%20coding%20%26+more");
    expect(answer.statusCode).toBe(200);
    expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8");
    expect(answer.headers["x-content-type-options"]).toBe("nosniff");
    expect(answer.body).toBe("<b>1158201444");
  });

  test.each([
    "",
    "?hub.mode=subscribe&hub.challenge=1",
    "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=",
    "?hub.mode=subscribe&hub.challenge=1&hub.verify_token=vibe",
    "?hub.mode=unsubscribe&hub.challenge=1&hub.verify_token=vibe%20coding%20%26%20more",
    "?hub.mode=subscribe&hub.verify_token=vibe%20coding%20%26%20more",
    "?hub[mode]=subscribe&hub[challenge]=1&hub[verify_token]=vibe%20coding%20%26%20more",
    "?hub_mode=subscribe&hub_challenge=1&hub_verify_token=vibe%20coding%20%26%20more",
  ])("403 for %j", async (query) => {
    const answer = await ask(query);
    expect(answer.statusCode).toBe(403);
    expect(answer.json()).toMatchObject({ code: "verify_token" });
  });

  test.each([null, ""])("403 for everybody when the token is %j", async (token) => {
    const server = await open({}, token);
    for (const said of ["", "null", "undefined"]) {
      expect((await ask(`?hub.mode=subscribe&hub.challenge=1&hub.verify_token=${said}`, server)).statusCode).toBe(403);
    }
    await server.close();
  });
});

describe("a webhook", () => {
  const escaped = '{"entry":[],"t":"caf\\u00e9 \\ud83d\\ude00"}';

  test("is stored as it came, then acknowledged", async () => {
    const answer = await signed(escaped);
    expect([answer.statusCode, answer.body]).toEqual([200, ""]);
    expect(await stored()).toEqual([escaped]);
  });

  test("may be said to be of any type, or of none", async () => {
    for (const type of ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
      expect((await post(escaped, { "x-hub-signature-256": sign(escaped), "content-type": type })).statusCode).toBe(200);
    }
    const answer = await app.inject({
      method: "POST",
      url: "/webhooks/whatsapp",
      payload: Buffer.from(escaped),
      headers: { "x-hub-signature-256": sign(escaped) },
    });
    expect(answer.statusCode).toBe(200);
    expect(await stored()).toHaveLength(5);
  });

  test("other routes still have their bodies parsed", async () => {
    expect((await app.inject({ method: "POST", url: "/echo", payload: { a: 1 } })).json()).toEqual({ a: 1 });
  });

  test.each([
    ["no signature", {}],
    ["an empty one", { "x-hub-signature-256": "" }],
    ["sha1 only", { "x-hub-signature": sign(escaped, SECRET, "sha1") }],
    ["sha1 in its place", { "x-hub-signature-256": sign(escaped, SECRET, "sha1") }],
    ["the signature of the JSON written again", { "x-hub-signature-256": sign(JSON.stringify(JSON.parse(escaped))) }],
    ["another app's", { "x-hub-signature-256": sign(escaped, "guess") }],
    ["one byte changed", { "x-hub-signature-256": sign(escaped.replace("caf", "cag")) }],
  ])("with %s is 401; nothing is stored, it is only counted", async (_, headers) => {
    const answer = await post(escaped, headers);
    expect([answer.statusCode, answer.json().code]).toEqual([401, "webhook_signature"]);
    expect(await stored()).toEqual([]);
    expect((await metrics.refusals.get()).values).toMatchObject([{ labels: { code: "webhook_signature" }, value: 1 }]);
  });

  test("without a body, or larger than 4 MB, is refused", async () => {
    expect((await app.inject({ method: "POST", url: "/webhooks/whatsapp" })).statusCode).toBe(401);
    expect((await signed(Buffer.alloc(4 * 1024 * 1024 + 1, " "))).statusCode).toBe(413);
    expect(await stored()).toEqual([]);
  });

  test("of 3 MB, more than other routes allow, is taken", async () => {
    expect((await signed(Buffer.alloc(3_000_000, " "))).statusCode).toBe(200);
  });

  test("is 503 while too many wait, and while the database is away", async () => {
    const busy = await open({ waitingMax: 0 });
    const away = connect("postgres://root@127.0.0.1:1/none", { max: 1 });
    const alone = await open({ sql: away });
    for (const server of [busy, alone]) {
      const answer = await signed(escaped, server);
      expect([answer.statusCode, answer.headers["retry-after"], answer.json().code]).toEqual([503, "5", "not_available"]);
      await server.close();
    }
    await away.end({ timeout: 1 });
    const lost = await open({ appSecretOf: () => Promise.reject(new Error("no database")) });
    expect((await signed(JSON.stringify(webhook("1", { statuses: [] })), lost)).statusCode).toBe(503);
    await lost.close();
    expect(await stored()).toEqual([]);
  });
});

test("whom the database keeps waiting is told to come again, and what is stored later is no fault", async () => {
  let finish: (() => void) | undefined;
  const appSecretOf = () =>
    new Promise<null>((resolve) => {
      finish = () => resolve(null);
    });
  const server = await open({ appSecretOf });
  const waiting = signed(JSON.stringify(webhook("1", { statuses: [] })), server).then((answer) => answer);
  while (finish === undefined) await tick();
  await clock.pass(29_999);
  expect(await Promise.race([waiting, "still waiting"])).toBe("still waiting");
  await clock.pass(1);
  expect([(await waiting).statusCode, (await waiting).json().code]).toEqual([503, "not_available"]);
  finish();
  while ((await stored()).length === 0) await tick();
  await server.close();
});

test("from the signed bytes to the count", async () => {
  const campaign = await makeCampaign(db.sql, await makeSender(db.sql, "106540352242922"), ["+16505551234"]);
  const body = JSON.stringify(
    webhook(campaign.phoneNumberId, { statuses: [status("wamid.1", "read", { biz_opaque_callback_data: referenceTo(campaign, 1) })] }),
  );
  for (let i = 0; i < 46; i++) expect((await signed(body)).statusCode).toBe(200);
  expect(await applyAll(db.sql)).toMatchObject({ webhooks: 46, receipts: 1, refused: 0 });
  expect(await recorded(db.sql, campaign)).toEqual({ receipts: ["1/1 read +10"], counts: { sent: 1, delivered: 1, read: 1 } });
});
