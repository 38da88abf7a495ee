import { createHmac } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { request } from "undici";
import { describe, expect, test } from "vitest";
import { formatReference } from "../../src/rules/reference.ts";
import type { SettingsPatch } from "../../vendor/settings.ts";
import { phoneOf } from "../support/town.ts";
import { APP_SECRET, openProduct } from "./product.ts";
import { openTown, statesOf } from "./scene.ts";
import { vendorOf, whatsappAt, wire } from "./wire.ts";

const RECIPIENTS = 40;
const DAY_MS = 86_400_000;
/** The same people do the same; what differs is how it is told. */
const people = { readRate: 0.7, skipDeliveredRate: 0.3, contradictRate: 0.2, successRate: 0.9 };

/** One campaign to the vendor, and all that its webhooks made of it. */
async function told(
  weather: SettingsPatch["mix"],
  { batchMax = 100, late = 0, diesAt }: { batchMax?: number; late?: number; diesAt?: (webhooks: number) => boolean } = {},
) {
  const place = await openTown({ perSecond: 40 });
  const { vendor, hear } = await vendorOf(
    place,
    { seed: 11, webhook: { batchMax }, mix: { ...people, ...weather } },
    diesAt === undefined ? {} : { diesAt },
  );
  vendor.script({ phone: phoneOf(9).slice(1), mix: { ...people, ...weather, successRate: 1, faults: { resetAccepted: 1 } } });
  const id = await place.campaign({ recipients: RECIPIENTS });
  const wired = wire(place, { provider: whatsappAt(place, vendor) });
  await wired.pass(3_000);
  if (late > 0) {
    await wired.rest();
    await place.clock.pass(late);
  }
  await hear();
  if (late > 0) wire(place, { provider: whatsappAt(place, vendor) });
  await place.clock.pass(10_000);
  const receipts = await place.sql<{ line: string }[]>`
    select position || ' ' || kind || ' ' || attempt || coalesce(' ' || code, '') as line from receipt where campaign_id = ${id} order by position, kind`;
  const counts = await place.sql<{ kind: string; messages: number }[]>`
    select kind, messages from receipt_count where campaign_id = ${id} and messages > 0 order by kind`;
  const [inbox] = await place.sql<{ webhooks: number; bad: number }[]>`
    select count(*)::int as webhooks, (count(*) filter (where state <> 'done'))::int as bad from inbox`;
  return { receipts: receipts.map(({ line }) => line), counts, states: await statesOf(place, id), inbox };
}

describe("webhooks end in the same figures", () => {
  test("told twice, in the wrong order, before the answer, one by one, a week late, and though a process dies between storing and acknowledging them", {
    timeout: 120_000,
  }, async () => {
    const calm = await told({});
    expect(calm.receipts.length).toBeGreaterThan(RECIPIENTS);
    expect(calm.states["uncertain"], "the message whose answer was lost is settled").toBeUndefined();
    const storm = await told({ duplicateRate: 1, reorderRate: 0.5, earlyRate: 0.5 }, { batchMax: 1 });
    expect(storm.inbox?.webhooks).toBeGreaterThanOrEqual(2 * calm.receipts.length);
    const late = await told({}, { late: 7 * DAY_MS });
    const interrupted = await told({}, { batchMax: 10, diesAt: (webhooks) => webhooks % 2 === 1 });
    expect(interrupted.inbox?.webhooks).toBeGreaterThan((calm.inbox?.webhooks ?? 0) + 5);
    for (const other of [storm, late, interrupted]) {
      expect(other.receipts).toEqual(calm.receipts);
      expect(other.counts).toEqual(calm.counts);
      expect(other.states).toEqual(calm.states);
      expect(other.inbox?.bad).toBe(0);
    }
  });
});

/** Nearly four megabytes, the most that is taken: a thousand updates of one campaign, all of one kind. */
function flooding(phoneNumberId: string, campaignId: string, kind: string): { body: Buffer; signature: string } {
  const statuses = Array.from({ length: 1_000 }, (_, i) => ({
    id: `wamid.flood.${i}`,
    status: kind,
    timestamp: String(Math.floor(Date.now() / 1_000)),
    recipient_id: String(919_810_000_000 + i),
    biz_opaque_callback_data: formatReference({ campaignId, stage: 1, position: i + 1, attempt: 1 }),
    conversation: { id: "x".repeat(3_600) },
  }));
  const value = { messaging_product: "whatsapp", metadata: { display_phone_number: "1", phone_number_id: phoneNumberId }, statuses };
  const body = Buffer.from(JSON.stringify({ object: "whatsapp_business_account", entry: [{ id: "1", changes: [{ field: "messages", value }] }] }));
  return { body, signature: `sha256=${createHmac("sha256", APP_SECRET).update(body).digest("hex")}` };
}

test("a flood of webhooks of 4 MB: what was acknowledged is there, the rest is told to come again; sending and control go on", {
  timeout: 240_000,
}, async () => {
  const product = await openProduct({ vendor: { mix: { successRate: 1 } } });
  const { vendor } = product;
  const sent = await product.launch({ recipients: 1_000 });
  await product.until(async () => (await product.call("GET", `/api/v1/campaigns/${sent}`)).body.data.status === "completed", 60_000);
  const id = await product.launch({ recipients: 1_000, perMinute: 600 });
  await product.until(async () => (await vendor.ledger(id)).accepted > 0);
  const before = (await vendor.ledger(id)).accepted;
  const kinds = ["sent", "delivered", "read"];
  const flood = kinds.map((kind) => flooding(vendor.phoneNumberId, sent, kind));
  let refused = 0;
  const post = async (i: number): Promise<void> => {
    for (let tries = 0; tries < 200; tries++) {
      const { body, signature } = flood[i % kinds.length] ?? flooding("", "", "");
      const answer = await request(`${product.url}/webhooks/whatsapp`, { method: "POST", body, headers: { "x-hub-signature-256": signature } });
      await answer.body.dump();
      if (answer.statusCode === 200) return;
      expect([answer.statusCode, answer.headers["retry-after"]]).toEqual([503, "5"]);
      refused++;
      await pause(100);
    }
    throw new Error("never acknowledged");
  };
  const FLOOD = 20;
  let isOver = false;
  let flooded = Promise.resolve();
  // Nothing is stored until more have come than may wait: a fast disk would keep up with them.
  await product.database.sql.begin(async (tx) => {
    await tx`lock table inbox in access exclusive mode`;
    flooded = Promise.all(Array.from({ length: FLOOD }, (_, i) => post(i))).then(() => {
      isOver = true;
    });
    await product.until(async () => refused > 0);
  });
  const tookMs: number[] = [];
  while (!isOver) {
    for (const action of ["pause", "resume"]) {
      const answer = await product.call("POST", `/api/v1/campaigns/${id}/${action}`);
      expect(answer.status, JSON.stringify(answer.body)).toBe(200);
      tookMs.push(answer.tookMs);
    }
    await Promise.race([flooded, pause(200)]);
  }
  await flooded;
  expect(refused, "more than may wait at once").toBeGreaterThan(0);
  const [inbox] = await product.database.sql<{ n: number }[]>`select count(*)::int as n from inbox where octet_length(body) > 2000000`;
  expect(inbox?.n).toBe(FLOOD);
  expect(tookMs.sort((a, b) => a - b)[Math.floor(tookMs.length / 2)]).toBeLessThan(3_000);
  await product.until(async () => (await vendor.ledger(id)).accepted > before);
  await product.until(async () => (await product.database.sql`select 1 from inbox where state = 'new'`).length === 0, 60_000);
  const counts = await product.database.sql`select kind, messages from receipt_count where campaign_id = ${sent} and messages > 0 order by kind`;
  expect(counts).toEqual(kinds.sort().map((kind) => ({ kind, messages: 1_000 })));
  expect(product.errors).toEqual([]);
});
