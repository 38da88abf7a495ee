import { describe, expect, test } from "vitest";
import { receiver, reference, START, send, sendOk, stoppedClock, templateTo, testVendor, textTo } from "../test/support/vendor.ts";

const TO = "+16505551234";
const everything = { readRate: 1, skipDeliveredRate: 0, optOutRate: 0, replyRate: 0 };

describe("the story of a message", () => {
  test("sent, delivered, read: each when it is due, with our reference and the time it happened", async () => {
    const clock = stoppedClock();
    const hook = await receiver();
    const vendor = await testVendor({
      clock,
      webhook: hook.target,
      settings: { mix: { ...everything, sentAfterMs: [1_000, 1_000], deliveredAfterMs: [2_000, 2_000], readAfterMs: [60_000, 60_000] } },
    });
    const id = await sendOk(vendor, templateTo(TO, {}, { biz_opaque_callback_data: reference(1) }));
    const seen = () => hook.statuses().map(({ status }) => status);
    expect(vendor.pendingWebhooks()).toBe(3);
    expect(await vendor.deliverDue()).toEqual({ told: 0, pending: 3 });
    clock.pass(1_000);
    await vendor.deliverDue();
    expect(seen()).toEqual(["sent"]);
    clock.pass(62_000);
    expect(await vendor.deliverDue()).toEqual({ told: 2, pending: 0 });
    expect(seen()).toEqual(["sent", "delivered", "read"]);
    expect(hook.statuses().map(({ timestamp }) => Number(timestamp) - START.getTime() / 1_000)).toEqual([1, 3, 63]);
    for (const status of hook.statuses()) {
      expect(status).toMatchObject({ id, recipient_id: "16505551234", biz_opaque_callback_data: reference(1) });
      expect(status.pricing === undefined).toBe(status.status === "read");
    }
  });

  test("a failure told later was accepted first", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: { successRate: 0, answerShare: 0, laterFailures: { "131049": 1 } } } });
    const id = await sendOk(vendor, textTo(TO));
    await vendor.drain();
    expect(hook.statuses()).toMatchObject([{ id, status: "failed", errors: [{ code: 131049 }] }]);
    expect(await vendor.ledger()).toMatchObject({ accepted: 1 });
  });

  test("read stands for delivered when both coincide; the price comes with it", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: { ...everything, skipDeliveredRate: 1 } } });
    await sendOk(vendor, textTo(TO));
    await vendor.drain();
    expect(hook.statuses().map(({ status, pricing }) => [status, pricing !== undefined])).toEqual([
      ["sent", true],
      ["read", true],
    ]);
  });

  test("held, then dropped with 132015", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: { heldRate: 1, heldFailShare: 1 } } });
    await sendOk(vendor, templateTo(TO));
    await vendor.drain();
    expect(hook.statuses()).toMatchObject([{ status: "failed", errors: [{ code: 132015 }] }]);
  });

  test("whatever the fault of the answer, an accepted message has its webhooks", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: { ...everything, faults: { garbageAccepted: 1 } } } });
    await send(vendor, textTo(TO, { biz_opaque_callback_data: reference(1) }));
    await vendor.drain();
    expect(hook.statuses().map(({ biz_opaque_callback_data }) => biz_opaque_callback_data)).toEqual([reference(1), reference(1), reference(1)]);
  });
});

describe("users who answer", () => {
  const fromCrowd = async (mix: Record<string, number>, body: (to: string) => unknown) => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: { ...everything, ...mix } } });
    const ids = await Promise.all(Array.from({ length: 60 }, (_, i) => sendOk(vendor, body(`+1650555${1000 + i}`))));
    await vendor.drain();
    return { hook, ids };
  };

  test("reply in words, or by the button, which quotes the message", async () => {
    const offer = { name: "spring_offer", components: springParts };
    const { hook, ids } = await fromCrowd({ optOutRate: 1 }, (to) => templateTo(to, offer));
    const types = new Set(hook.messages().map(({ type }) => type));
    expect(types).toEqual(new Set(["text", "button"]));
    for (const message of hook.messages()) {
      if (message.type === "button") {
        expect(message.button).toEqual({ payload: "Stop promotions", text: "Stop promotions" });
        expect(ids).toContain(message.context.id);
      } else expect(message.context).toBeUndefined();
    }
    expect(hook.messages().some(({ text }) => text?.body === "STOP")).toBe(true);
  });

  test("small talk never opts out", async () => {
    const { hook } = await fromCrowd({ replyRate: 1 }, (to) => textTo(to));
    expect(hook.messages()).toHaveLength(60);
    expect(hook.messages().filter(({ text }) => /stop|unsubscribe/i.test(text.body))).toEqual([]);
  });

  test("stop marketing in WhatsApp's own settings", async () => {
    const { hook } = await fromCrowd({ preferenceStopRate: 1 }, (to) => textTo(to));
    const stops = hook.changes().filter(({ field }) => field === "user_preferences");
    expect(stops.flatMap(({ value }) => value.user_preferences)).toHaveLength(60);
  });

  test("as told by control: text, button, preference", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: everything } });
    const id = await sendOk(vendor, templateTo(TO));
    vendor.inbound({ from: TO, text: "STOP" });
    vendor.inbound({ from: TO, button: { text: "Stop promotions", payload: "STOP_NOW" } });
    vendor.inbound({ from: TO, text: "about that", context: true });
    vendor.inbound({ from: TO, preference: "stop" });
    await vendor.deliverDue();
    expect(hook.messages()).toMatchObject([
      { from: "16505551234", type: "text", text: { body: "STOP" } },
      { type: "button", button: { payload: "STOP_NOW", text: "Stop promotions" }, context: { id } },
      { type: "text", context: { id } },
    ]);
    expect(hook.changes().at(-1)).toMatchObject({ field: "user_preferences", value: { user_preferences: [{ value: "stop" }] } });
  });
});

const springParts = [
  { type: "header", parameters: [{ type: "text", parameter_name: "company", text: "Acme" }] },
  {
    type: "body",
    parameters: [
      { type: "text", parameter_name: "first_name", text: "Ada" },
      { type: "text", parameter_name: "company", text: "Acme" },
    ],
  },
  { type: "button", sub_type: "url", index: "0", parameters: [{ type: "text", text: "abc" }] },
];

describe("handshake", () => {
  test("is asked for when a target with a verify token is set", async () => {
    const hook = await receiver();
    const vendor = await testVendor();
    await vendor.setWebhook({ ...hook.target, verifyToken: "verify-me" });
    expect(vendor.webhook()?.url).toBe(hook.target.url);
    await vendor.verifyWebhook();
  });

  test("nobody there sets nothing", async () => {
    const vendor = await testVendor();
    const nobody = { url: "http://127.0.0.1:1/webhooks/whatsapp", appSecret: "s", verifyToken: "t" };
    await expect(vendor.setWebhook(nobody)).rejects.toThrow(/127\.0\.0\.1:1\/webhooks\/whatsapp could not be verified: connect ECONNREFUSED/);
    expect(vendor.webhook()).toBeNull();
  });

  test("a wrong answer sets nothing", async () => {
    const hook = await receiver();
    const vendor = await testVendor();
    await expect(vendor.setWebhook({ ...hook.target, verifyToken: "wrong" })).rejects.toThrow(/answered 200 "no", not 200 with the challenge/);
    expect(vendor.webhook()).toBeNull();
  });
});

describe("news of the account", () => {
  test("templates: status, quality, category", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target });
    const template = vendor.templates().find(({ name }) => name === "hello_world");
    const id = template?.id ?? "";
    vendor.changeTemplate(id, { status: "PAUSED" });
    vendor.changeTemplate(id, { quality: "RED", category: "MARKETING" });
    vendor.deleteTemplate(id);
    await vendor.drain();
    expect(hook.changes()).toMatchObject([
      {
        field: "message_template_status_update",
        value: {
          event: "PAUSED",
          message_template_id: Number(id),
          message_template_name: "hello_world",
          message_template_language: "en-US",
          other_info: { title: "FIRST_PAUSE" },
        },
      },
      { field: "message_template_status_update", value: { event: "DELETED" } },
      { field: "message_template_quality_update", value: { previous_quality_score: "GREEN", new_quality_score: "RED" } },
      { field: "template_category_update", value: { previous_category: "UTILITY", new_category: "MARKETING" } },
    ]);
    expect((await send(vendor, templateTo(TO, { name: "hello_world", components: [] }))).json.error.code).toBe(132001);
  });

  test("blocked and let go, and whatever else is wanted", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target });
    vendor.block(368);
    vendor.block(131031);
    vendor.block(null);
    vendor.emit("business_capability_update", { max_daily_conversations_per_business: 2_000 });
    await vendor.drain();
    expect(hook.changes()).toMatchObject([
      {
        field: "account_update",
        value: { event: "ACCOUNT_RESTRICTION", restriction_info: [{ restriction_type: "RESTRICTED_BIZ_INITIATED_MESSAGING" }] },
      },
      { field: "account_update", value: { event: "DISABLED_UPDATE", ban_info: { waba_ban_state: "DISABLE" } } },
      { field: "account_update", value: { event: "DISABLED_UPDATE", ban_info: { waba_ban_state: "REINSTATE" } } },
      { field: "business_capability_update", value: { max_daily_conversations_per_business: 2_000 } },
    ]);
  });
});
