import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import {
  accept,
  applyAll,
  BEGIN,
  deliver,
  makeCampaign,
  makeSender,
  recorded,
  referenceTo,
  type SentCampaign,
  status,
  stopClock,
  suppressed,
  text,
  webhook,
} from "../../../test/support/receipts.ts";

let db: FreshDatabase;
let campaign: SentCampaign;
let pass: (seconds: number) => Promise<void>;
let phone = 100;
const addresses = ["+16505551234", "+525512345678", "+5531987654321"];

beforeAll(async () => {
  db = await freshDatabase();
  pass = await stopClock(db.sql);
});
afterAll(() => db.drop());
beforeEach(async () => {
  await db.sql`truncate inbox, unmatched, receipt, receipt_count, message, attempt, suppression, preference`;
  campaign = await makeCampaign(db.sql, await makeSender(db.sql, `phone-${++phone}`), addresses);
  for (const [i] of addresses.entries()) await accept(db.sql, campaign, { position: i + 1, ref: `wamid.${i + 1}`, after: 10 * i });
});

const send = async (value: Parameters<typeof webhook>[1], sender = campaign) => {
  await deliver(db.sql, [sender.phoneNumberId], webhook(sender.phoneNumberId, value));
  return applyAll(db.sql);
};
const preference = (value: "stop" | "resume", after: number, wa_id = "16505551234") => ({
  user_preferences: [{ wa_id, detail: "…", category: "marketing_messages", value, timestamp: BEGIN + after }],
});

describe("replies", () => {
  test("one that quotes or taps a button of our message belongs to it", async () => {
    const later = await makeCampaign(db.sql, campaign, addresses);
    await accept(db.sql, later, { position: 1, ref: "wamid.later", after: 40 });
    await send({ messages: [text("16505551234", "Yes!", { context: { from: "15550783881", id: "wamid.1" } })] });
    expect(await recorded(db.sql, campaign)).toEqual({ receipts: ["1/1 replied +60"], counts: { replied: 1, delivered: 1, sent: 1 } });
    expect(await db.sql`select provider_ref from receipt`).toEqual([{ providerRef: "wamid.1" }]);
    expect(await recorded(db.sql, later)).toEqual({ receipts: [], counts: {} });
    expect(await suppressed(db.sql)).toEqual([]);
  });

  test("a free text answers the last message that had gone from that number, however the number is written", async () => {
    const later = await makeCampaign(db.sql, campaign, addresses);
    await accept(db.sql, later, { position: 2, ref: "wamid.later", after: 400 });
    const elsewhere = await makeCampaign(db.sql, await makeSender(db.sql, `phone-${++phone}`), addresses);
    const otherNumber = await makeCampaign(db.sql, await makeSender(db.sql, `phone-${++phone}`, campaign.workspaceId), addresses);
    for (const other of [elsewhere, otherNumber]) await accept(db.sql, other, { position: 2, ref: `wamid.${other.campaignId}`, after: 45 });
    await send({ messages: [text("5215512345678", "¿Cuánto cuesta?", { after: 50 }), text("553187654321", "Oi", { after: 55 })] });
    expect((await recorded(db.sql, campaign)).receipts).toEqual(["2/1 replied +50", "3/1 replied +55"]);
    expect((await recorded(db.sql, later)).receipts).toEqual([]);
    for (const other of [elsewhere, otherNumber]) expect((await recorded(db.sql, other)).receipts).toEqual([]);
    await send({ messages: [text("5215512345678", "¿Cuánto cuesta?", { after: 500 })] });
    expect((await recorded(db.sql, later)).receipts).toEqual(["2/1 replied +500"]);
  });

  test("a message that was recovered after a crash counts by its receipts", async () => {
    await db.sql`update message set state = 'uncertain', provider_ref = null, at = to_timestamp(${BEGIN + 300}) where position = 1`;
    await send({ statuses: [status("wamid.1", "sent", { after: 5, biz_opaque_callback_data: referenceTo(campaign, 1) })] });
    await send({ messages: [text("16505551234", "Hello", { after: 20 })] });
    expect((await recorded(db.sql, campaign)).receipts).toEqual(["1/1 sent +5", "1/1 replied +20"]);
  });

  test("one to a message that is not ours, or not yet known, waits", async () => {
    expect(await send({ messages: [text("16505551234", "Hi", { context: { id: "wamid.unknown" } }), text("4915112345678", "Hallo")] })).toMatchObject(
      { waiting: 2 },
    );
    await accept(db.sql, await makeCampaign(db.sql, campaign, ["+4915112345678"]), { position: 1, ref: "wamid.x", after: 3_000 });
    await pass(86_400);
    expect(await applyAll(db.sql)).toMatchObject({ receipts: 0 }); // the message to +49… went after the text came
  });
});

describe("opt-outs", () => {
  test("STOP is a reply, and suppresses every spelling of the number", async () => {
    expect(await send({ messages: [text("5215512345678", "Stop!")] })).toMatchObject({ receipts: 1, optOuts: 2 });
    expect(await suppressed(db.sql)).toEqual(["+5215512345678 all reply", "+525512345678 all reply"]);
    const [row] = await db.sql`select workspace_id, channel, reason, extract(epoch from at)::int as at from suppression`;
    expect(row).toEqual({ workspaceId: campaign.workspaceId, channel: "whatsapp", reason: 'answered "Stop!"', at: BEGIN + 60 });
  });

  test("it counts at once when it matches no message, and when it comes again", async () => {
    for (let i = 0; i < 3; i++) expect(await send({ messages: [text("4915112345678", "STOPP")] })).toMatchObject({ waiting: 1 });
    expect(await suppressed(db.sql)).toEqual(["+4915112345678 all reply"]);
  });

  test("from somebody who shows no number it is known by the message that is answered; else it is set aside", async () => {
    const nameless = { from: undefined, from_user_id: "US.1349" };
    const button = { type: "button", text: undefined, button: { payload: "Unsubscribe", text: "Unsubscribe" } };
    await send({ statuses: [status("wamid.1", "sent", { biz_opaque_callback_data: referenceTo(campaign, 1) })] });
    await send({ messages: [text("", "", { ...nameless, ...button, context: { id: "wamid.1" } })] });
    expect(await suppressed(db.sql)).toEqual(["+16505551234 all reply"]);
    await send({ messages: [text("", "stop", nameless), text("", "hello", nameless)] });
    expect(await db.sql`select cause from inbox where state = 'quarantined'`).toEqual([
      { cause: expect.stringContaining("an opt-out of user US.1349") },
    ]);
  });

  test("a tap on 'Stop promotions' concerns advertising", async () => {
    const button = { type: "button", text: undefined, button: { payload: "p1", text: "Stop promotions" } };
    await send({ messages: [text("16505551234", "", { ...button, context: { id: "wamid.1" } })] });
    expect(await suppressed(db.sql)).toEqual(["+16505551234 marketing reply"]);
    expect((await recorded(db.sql, campaign)).counts).toMatchObject({ replied: 1 });
  });

  test("a refusal with 131050 suppresses advertising to the address that was written to", async () => {
    const errors = [{ code: 131050, title: "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages" }];
    const reference = { biz_opaque_callback_data: referenceTo(campaign, 3), recipient_id: undefined };
    await send({ statuses: [status("wamid.3", "failed", { errors, ...reference })] });
    expect(await suppressed(db.sql)).toEqual(["+5531987654321 marketing whatsapp_preference"]);
    await send({ statuses: [status("wamid.somebody-elses", "failed", { errors, recipient_id: "16505550000" })] });
    expect(await suppressed(db.sql)).toContain("+16505550000 marketing whatsapp_preference");
    await send({ statuses: [status("wamid.1", "failed", { errors: [{ code: 131026 }] })] });
    expect(await suppressed(db.sql)).toHaveLength(2);
  });
});

describe("WhatsApp's own switch", () => {
  const stopped = ["+16505551234 marketing whatsapp_preference"];

  test.each([
    ["stop", [1], stopped],
    ["stop, resume", [1, -2], []],
    ["resume, then the stop before it", [-2, 1], []],
    ["stop and resume at one instant", [3, -3], stopped],
    ["resume and stop at one instant", [-3, 3], stopped],
    ["stop, resume, the first stop again", [1, -2, 1], []],
    ["stop, resume, stop", [1, -2, 3], stopped],
    ["the same in another order", [3, 1, -2], stopped],
  ])("%s", async (_, steps, expected) => {
    for (const step of steps) await send(preference(step > 0 ? "stop" : "resume", Math.abs(step)));
    expect(await suppressed(db.sql)).toEqual(expected);
  });

  test("all in one webhook", async () => {
    const user_preferences = [preference("resume", 2), preference("stop", 1), preference("stop", 3, "5215512345678")].flatMap(
      (one) => one.user_preferences,
    );
    await send({ user_preferences });
    expect(await suppressed(db.sql)).toEqual(["+5215512345678 marketing whatsapp_preference", "+525512345678 marketing whatsapp_preference"]);
  });

  test("to resume there lifts nothing that came from elsewhere", async () => {
    await send({ messages: [text("16505551234", "STOP", { after: 1 })] });
    await db.sql`insert into suppression (workspace_id, channel, address, scope, reason, source, at)
      values (${campaign.workspaceId}, 'whatsapp', '+525512345678', 'marketing', 'asked by phone', 'operator', to_timestamp(${BEGIN}))`;
    await send(preference("resume", 9));
    await send(preference("stop", 8, "525512345678"));
    await send(preference("resume", 9, "525512345678"));
    expect(await suppressed(db.sql)).toEqual(["+16505551234 all reply", "+525512345678 marketing operator"]);
  });

  test("resuming after a refusal with 131050 lifts it", async () => {
    const failed = status("wamid.1", "failed", { after: 5, errors: [{ code: 131050 }] });
    await send(preference("resume", 4));
    await send({ statuses: [failed] });
    expect(await suppressed(db.sql)).toEqual(stopped);
    await send(preference("resume", 6));
    await send({ statuses: [failed] });
    expect(await suppressed(db.sql)).toEqual([]);
  });
});
