import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import {
  accept,
  applyAll,
  deliver,
  makeCampaign,
  makeSender,
  recorded,
  referenceTo,
  type SentCampaign,
  status,
  stopClock,
  webhook,
} from "../../../test/support/receipts.ts";
import { applyReceipts } from "./apply.ts";
import { countSentTwice } from "./store.ts";

let db: FreshDatabase;
let pass: (seconds: number) => Promise<void>;
let campaign: SentCampaign;
let phone = 100;

beforeAll(async () => {
  db = await freshDatabase();
  pass = await stopClock(db.sql);
});
afterAll(() => db.drop());
beforeEach(async () => {
  await db.sql`truncate inbox, unmatched, receipt, receipt_count, message, attempt, suppression, preference`;
  campaign = await makeCampaign(db.sql, await makeSender(db.sql, `phone-${++phone}`), ["+16505551234", "+16505551235", "+16505551236"]);
});

const send = (value: Parameters<typeof webhook>[1], sender = campaign) =>
  deliver(db.sql, [sender.phoneNumberId], webhook(sender.phoneNumberId, value));
const statusOf = (position: number, kind: string, more: Parameters<typeof status>[2] = {}) =>
  status(`wamid.${position}`, kind, { biz_opaque_callback_data: referenceTo(campaign, position), ...more });
const inbox = () => db.sql<{ state: string; cause: string | null }[]>`select state, cause from inbox order by id`;
const waiting = () => db.sql<{ tries: number; givenUp: boolean }[]>`select tries, given_up_at is not null as given_up from unmatched order by id`;

describe("matching", () => {
  test("a receipt that overtakes our own record is stored by its reference", async () => {
    await send({ statuses: [statusOf(1, "delivered", { after: 7 })] });
    expect(await applyAll(db.sql)).toMatchObject({ webhooks: 1, receipts: 1, waiting: 0, refused: 0 });
    expect(await recorded(db.sql, campaign)).toEqual({ receipts: ["1/1 delivered +7"], counts: { delivered: 1, sent: 1 } });
    expect(await inbox()).toEqual([{ state: "done", cause: null }]);
    const [row] = await db.sql`select provider_ref from receipt`;
    expect(row).toEqual({ providerRef: "wamid.1" });
  });

  test("without a reference the provider's id decides, of the current attempt and of an ended one", async () => {
    await accept(db.sql, campaign, { position: 1, ref: "wamid.b", attempt: 2 });
    await db.sql`insert into attempt (campaign_id, stage, position, attempt, outcome, provider_ref, at)
      values (${campaign.campaignId}, 1, 1, 1, 'accepted', 'wamid.a', campanile.clock())`;
    await send({ statuses: [status("wamid.a", "sent", { after: 1 }), status("wamid.b", "delivered", { after: 9 })] });
    await applyAll(db.sql);
    expect(await recorded(db.sql, campaign)).toEqual({ receipts: ["1/1 sent +1", "1/2 delivered +9"], counts: { sent: 1, delivered: 1 } });
    expect(await countSentTwice(db.sql, campaign.campaignId)).toEqual([{ stage: 1, messages: 1 }]);
  });

  test("an unknown id waits with growing pauses and is matched once its message has a row", async () => {
    await send({ statuses: [status("wamid.late", "read")] });
    expect(await applyAll(db.sql)).toMatchObject({ waiting: 1, receipts: 0 });
    expect(await inbox()).toEqual([{ state: "done", cause: null }]);
    for (const seconds of [5, 20, 80]) {
      await pass(seconds - 1);
      expect(await applyReceipts(db.sql, 10)).toBe(0);
      await pass(1);
      expect(await applyReceipts(db.sql, 10)).toBe(1);
    }
    await accept(db.sql, campaign, { position: 1, ref: "wamid.late" });
    await pass(320);
    expect(await applyAll(db.sql)).toMatchObject({ receipts: 1, waiting: 0 });
    expect((await recorded(db.sql, campaign)).counts).toEqual({ sent: 1, delivered: 1, read: 1 });
    expect(await waiting()).toEqual([]);
  });

  test("what matches nothing for a day is given up, and stays to be seen", async () => {
    await send({ statuses: [status("wamid.foreign", "read")] });
    await applyAll(db.sql);
    let givenUp = 0;
    for (let hours = 0; hours < 36; hours++) {
      await pass(3600);
      givenUp += (await applyAll(db.sql)).givenUp;
    }
    expect(givenUp).toBe(1);
    expect(await waiting()).toEqual([{ tries: expect.any(Number), givenUp: true }]);
  });
});

describe("what cannot be, or is somebody else's", () => {
  test("one malformed element among 100 is set aside, the other 99 count", async () => {
    const addresses = Array.from({ length: 100 }, (_, i) => `+1650556${String(i).padStart(4, "0")}`);
    campaign = await makeCampaign(db.sql, campaign, addresses);
    const statuses: unknown[] = addresses.map((_, i) => statusOf(i + 1, "sent"));
    statuses[57] = { status: "sent", timestamp: "1750263773" };
    await send({ statuses });
    expect(await applyAll(db.sql)).toMatchObject({ receipts: 99, refused: 1 });
    expect((await recorded(db.sql, campaign)).counts).toEqual({ sent: 99 });
    expect(await inbox()).toEqual([{ state: "quarantined", cause: "entry[0].changes[0].statuses[57]: no id" }]);
  });

  test("a body that is no JSON is set aside", async () => {
    await deliver(db.sql, [], '{"entry": [', "", "\0\ud800");
    expect(await applyAll(db.sql)).toMatchObject({ webhooks: 3, refused: 3 });
    expect(await inbox()).toEqual([1, 2, 3].map(() => ({ state: "quarantined", cause: expect.stringContaining("the body is no JSON") })));
  });

  test("another tenant's message, named by its reference, is not touched", async () => {
    const other = await makeCampaign(db.sql, await makeSender(db.sql, `phone-${++phone}`), ["+16505551234"]);
    await accept(db.sql, other, { position: 1, ref: "wamid.theirs" });
    await send({ statuses: [status("wamid.theirs", "failed", { biz_opaque_callback_data: referenceTo(other, 1) }), statusOf(1, "sent")] });
    expect(await applyAll(db.sql)).toMatchObject({ receipts: 1, refused: 1, waiting: 0 });
    expect(await recorded(db.sql, other)).toEqual({ receipts: [], counts: {} });
    expect(await inbox()).toEqual([{ state: "quarantined", cause: expect.stringContaining(`campaign ${other.campaignId} has another sender`) }]);
  });

  test("another tenant's message, named by its provider's id, is not even found", async () => {
    const other = await makeCampaign(db.sql, await makeSender(db.sql, `phone-${++phone}`), ["+16505551234"]);
    await accept(db.sql, other, { position: 1, ref: "wamid.theirs" });
    await send({ statuses: [status("wamid.theirs", "failed"), statusOf(1, "sent")] });
    expect(await applyAll(db.sql)).toMatchObject({ receipts: 1, refused: 0, waiting: 1 });
    expect(await recorded(db.sql, other)).toEqual({ receipts: [], counts: {} });
  });

  test("a status without our reference whose number is spelt otherwise is known by the receipt that said it was sent", async () => {
    await accept(db.sql, campaign, { position: 2, ref: "wamid.2" });
    await send({ statuses: [statusOf(2, "sent"), status("wamid.2", "read", { recipient_id: "999" })] });
    await applyAll(db.sql);
    await pass(5);
    await applyAll(db.sql);
    expect((await recorded(db.sql, campaign)).counts).toEqual({ sent: 1, delivered: 1, read: 1 });
  });

  test("an unknown phone number id, and one that another secret signed, are refused", async () => {
    const other = await makeCampaign(db.sql, await makeSender(db.sql, `phone-${++phone}`), ["+16505551234"]);
    const theirs = webhook(other.phoneNumberId, { statuses: [status("wamid.1", "sent", { biz_opaque_callback_data: referenceTo(other, 1) })] });
    await deliver(db.sql, [campaign.phoneNumberId], theirs, webhook("phone-nobody", { statuses: [statusOf(1, "sent")] }));
    expect(await applyAll(db.sql)).toMatchObject({ receipts: 0, refused: 2 });
    expect(await inbox()).toEqual([
      { state: "quarantined", cause: expect.stringContaining("the app secret that signed it is not the one of phone number id") },
      { state: "quarantined", cause: "no sender has the phone number id phone-nobody" },
    ]);
  });

  test("a reference beyond the campaign's recipients is refused", async () => {
    await send({ statuses: [statusOf(4, "sent"), statusOf(0, "sent"), statusOf(9_999_999_999, "sent")] });
    expect(await applyAll(db.sql)).toMatchObject({ receipts: 0, refused: 3 });
  });

  test("a webhook that Postgres refuses is set aside alone", async () => {
    await db.sql`alter table receipt add constraint planted check (provider_ref <> 'wamid.poison')`;
    try {
      for (const position of [1, 2]) await send({ statuses: [statusOf(position, "sent")] });
      await send({ statuses: [status("wamid.poison", "sent", { biz_opaque_callback_data: referenceTo(campaign, 1, 2) })] });
      await send({ statuses: [statusOf(3, "sent")] });
      expect(await applyAll(db.sql)).toMatchObject({ receipts: 3 });
      expect((await inbox()).map(({ state }) => state)).toEqual(["done", "done", "quarantined", "done"]);
      expect((await inbox())[2]?.cause).toContain("planted");
    } finally {
      await db.sql`alter table receipt drop constraint planted`;
    }
  });

  test("so is an element that waited", async () => {
    await send({ statuses: [status("wamid.poison", "sent"), status("wamid.good", "sent", { recipient_id: "16505551235" })] });
    await applyAll(db.sql);
    await accept(db.sql, campaign, { position: 1, ref: "wamid.poison" });
    await accept(db.sql, campaign, { position: 2, ref: "wamid.good" });
    await db.sql`alter table receipt add constraint planted check (provider_ref <> 'wamid.poison')`;
    try {
      await pass(5);
      expect(await applyAll(db.sql)).toMatchObject({ receipts: 1 });
      expect(await waiting()).toEqual([{ tries: 0, givenUp: true }]);
    } finally {
      await db.sql`alter table receipt drop constraint planted`;
    }
  });
});

describe("counting", () => {
  test("read without delivered counts as delivered, once", async () => {
    await send({ statuses: [statusOf(1, "read", { after: 30 })] });
    await applyAll(db.sql);
    await send({ statuses: [statusOf(1, "delivered", { after: 20 }), statusOf(1, "sent", { after: 10 })] });
    await applyAll(db.sql);
    expect(await recorded(db.sql, campaign)).toEqual({
      receipts: ["1/1 sent +10", "1/1 delivered +20", "1/1 read +30"],
      counts: { sent: 1, delivered: 1, read: 1 },
    });
  });

  test("failed after delivered: both are kept, and the failure is counted", async () => {
    await send({ statuses: [statusOf(1, "delivered", { after: 5 })] });
    const errors = [{ code: 131026, title: "Message undeliverable", error_data: { details: "Unable to deliver." } }];
    await send({ statuses: [statusOf(1, "failed", { after: 9, errors })] });
    await applyAll(db.sql);
    expect(await recorded(db.sql, campaign)).toEqual({
      receipts: ["1/1 delivered +5", "1/1 failed +9"],
      counts: { sent: 1, delivered: 1, failed: 1 },
    });
    expect(await db.sql`select code, cause from receipt where kind = 'failed'`).toEqual([{ code: "131026", cause: "Unable to deliver." }]);
  });

  test("46 times the same, in one batch and in many, is once", async () => {
    for (let i = 0; i < 46; i++) {
      await send({ statuses: [statusOf(1, "sent"), statusOf(1, "delivered"), statusOf(1, "sent")] });
      if (i > 40) await applyAll(db.sql);
    }
    await applyAll(db.sql);
    expect(await recorded(db.sql, campaign)).toEqual({ receipts: ["1/1 delivered +10", "1/1 sent +10"], counts: { sent: 1, delivered: 1 } });
  });

  test("a fact reported with two times happened at the earlier one", async () => {
    for (const after of [20, 10, 30]) {
      await send({ statuses: [statusOf(1, "read", { after })] });
      await applyAll(db.sql);
    }
    expect((await recorded(db.sql, campaign)).receipts).toEqual(["1/1 read +10"]);
  });

  test("two attempts of one message are two rows, one message, and reported as sent twice", async () => {
    for (const attempt of [1, 2]) {
      const reference = { biz_opaque_callback_data: referenceTo(campaign, 1, attempt) };
      await send({ statuses: [status(`wamid.1.${attempt}`, "delivered", reference), statusOf(2, "sent")] });
    }
    await send({ statuses: [status("wamid.3.2", "failed", { biz_opaque_callback_data: referenceTo(campaign, 3, 2) }), statusOf(3, "sent")] });
    await applyAll(db.sql);
    expect((await recorded(db.sql, campaign)).counts).toEqual({ sent: 3, delivered: 1, failed: 1 });
    expect(await countSentTwice(db.sql, campaign.campaignId)).toEqual([{ stage: 1, messages: 1 }]);
  });

  test("1,000 updates in one webhook, spread over entries and changes", async () => {
    const addresses = Array.from({ length: 500 }, (_, i) => `+1650557${String(i).padStart(4, "0")}`);
    campaign = await makeCampaign(db.sql, campaign, addresses);
    const updates = addresses.flatMap((_, i) => [statusOf(i + 1, "read", { after: 40 }), statusOf(i + 1, "sent", { after: 4 })]);
    const parts = [updates.slice(0, 100), updates.slice(100, 350), updates.slice(350)].map((statuses) =>
      webhook(campaign.phoneNumberId, { statuses }),
    );
    await deliver(db.sql, [campaign.phoneNumberId], { object: "whatsapp_business_account", entry: parts.flatMap(({ entry }) => entry) });
    expect(await applyAll(db.sql)).toMatchObject({ webhooks: 1, receipts: 1_000 });
    expect((await recorded(db.sql, campaign)).counts).toEqual({ sent: 500, delivered: 500, read: 500 });
  });
});

test("a step that is cut off before it commits is done again and changes nothing twice", async () => {
  await send({ statuses: [statusOf(1, "sent"), statusOf(2, "read")] });
  await db.sql`create function cut_off() returns trigger language plpgsql as $$ begin raise exception 'cut off' using errcode = '57014'; end $$`;
  await db.sql`create trigger cut_off before update on inbox execute function cut_off()`;
  await expect(applyReceipts(db.sql, 10)).rejects.toThrow("cut off");
  expect(await recorded(db.sql, campaign)).toEqual({ receipts: [], counts: {} });
  await db.sql`drop function cut_off() cascade`;
  await applyAll(db.sql);
  await send({ statuses: [statusOf(1, "sent"), statusOf(2, "read")] }); // stored, but killed before the 200: the vendor comes again
  await applyAll(db.sql);
  expect((await recorded(db.sql, campaign)).counts).toEqual({ sent: 2, delivered: 1, read: 1 });
});
