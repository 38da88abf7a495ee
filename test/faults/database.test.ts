import { createHmac } from "node:crypto";
import { request } from "undici";
import { expect, test } from "vitest";
import { connect, transaction } from "../../src/runtime/postgres.ts";
import { APP_SECRET, openProduct, withSetting } from "./product.ts";
import { campaignOf, everybody, openTown, positionsOf, somebodyWaits, statesOf, work } from "./scene.ts";

test("a turn that Postgres sacrifices to end a deadlock is done again, and nobody notices", async () => {
  const place = await openTown({ perSecond: 40 });
  const id = await place.campaign({ recipients: 60 });
  const hands = work(place, { latencyMs: 50 });
  await place.clock.pass(500);
  let passing: Promise<void> | undefined;
  await place.sql.begin(async (tx) => {
    await tx`select set_config('deadlock_timeout', '30s', true)`; // so that the engine is the one that is sacrificed
    await tx`select 1 from campaign where id = ${id} for update`;
    passing = place.clock.pass(5_000);
    await somebodyWaits(place.sql);
    await tx`select 1 from lot where campaign_id = ${id} for update`; // in the wrong order: lots come before campaigns
  });
  await passing;
  expect(positionsOf(hands)).toEqual(everybody(60));
  expect(await statesOf(place, id)).toEqual({ accepted: 60 });
});

test("a program that falls silent while it holds locks is thrown out, and everybody goes on", async () => {
  const place = await openTown({ perSecond: 40 });
  const id = await place.campaign({ recipients: 60 });
  const hands = work(place, { engines: 2, latencyMs: 50 });
  await place.clock.pass(500);
  const silent = connect(withSetting(place.url, "idle_in_transaction_session_timeout=500"), { max: 1 });
  let passing: Promise<void> | undefined;
  await expect(
    transaction(silent, async (tx) => {
      await tx`select 1 from campaign where id = ${id} for update`;
      passing = place.clock.pass(5_000);
      await passing;
      return tx`select 1`;
    }),
  ).rejects.toMatchObject({ code: "CONNECTION_CLOSED" });
  await silent.end({ timeout: 0 });
  await passing;
  expect(positionsOf(hands)).toEqual(everybody(60));
  expect(await campaignOf(place, id)).toMatchObject({ state: "completed", statement: { accepted: 60, uncertain: 0 } });
});

test("while a table is locked for good, callers are told to come again, and sending goes on where it stood", { timeout: 60_000 }, async () => {
  const product = await openProduct({ sessions: "lock_timeout=300" });
  const id = await product.launch({ recipients: 300, perMinute: 6_000 });
  await product.until(async () => (await product.vendor.ledger(id)).accepted > 30);
  const answers = await product.database.sql.begin(async (tx) => {
    await tx`lock table message in access exclusive mode`;
    const paths = ["stats", "recipients", "recipients/1"];
    return Promise.all(Array.from({ length: 12 }, (_, i) => product.call("GET", `/api/v1/campaigns/${id}/${paths[i % paths.length]}`)));
  });
  for (const { status, retryAfter, body } of answers) {
    expect([status, retryAfter]).toEqual([503, "5"]);
    expect(body).toMatchObject({ code: "not_available" });
  }
  const read = async () => (await product.call("GET", `/api/v1/campaigns/${id}`)).body.data;
  await product.until(async () => (await read()).status === "completed");
  expect((await read()).statement).toMatchObject({ accepted: (await product.vendor.ledger(id)).accepted, uncertain: 0 });
  expect(product.errors).toEqual([]);
});

test("while every connection is taken by slow queries, a pause is quick, and so is a webhook", { timeout: 60_000 }, async () => {
  const product = await openProduct();
  const id = await product.launch({ recipients: 300, perMinute: 600 });
  await product.until(async () => (await product.vendor.ledger(id)).accepted > 5);
  await product.vendor.setWebhook({ url: `${product.url}/webhooks/whatsapp`, appSecret: APP_SECRET, verifyToken: "token" });
  const slow = Promise.all(Array.from({ length: 50 }, () => product.house.sql`select pg_sleep(1)`));
  const tookMs: number[] = [];
  for (let round = 0; round < 5; round++) {
    for (const action of ["pause", "resume"]) {
      const answer = await product.call("POST", `/api/v1/campaigns/${id}/${action}`);
      expect(answer.status).toBe(200);
      tookMs.push(answer.tookMs);
    }
    const startedAt = performance.now();
    const body = JSON.stringify({ object: "whatsapp_business_account", entry: [] });
    const signature = `sha256=${createHmac("sha256", APP_SECRET).update(body).digest("hex")}`;
    const told = await request(`${product.url}/webhooks/whatsapp`, { method: "POST", body, headers: { "x-hub-signature-256": signature } });
    expect(told.statusCode).toBe(200);
    tookMs.push(performance.now() - startedAt);
  }
  expect(Math.max(...tookMs)).toBeLessThan(1_000);
  expect(await Promise.race([slow, "still busy"]), "or nothing was in the way").toBe("still busy");
  await slow;
});
