import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { receiver, sendOk, stoppedClock, testVendor, textTo } from "../test/support/vendor.ts";
import { startVendor } from "./main.ts";

const TO = "+16505551234";
const everything = { readRate: 1, skipDeliveredRate: 0, optOutRate: 0, replyRate: 0 };
const HOUR_MS = 3_600_000;

describe("the webhook of a bad day", () => {
  const kinds = async (mix: Record<string, number>) => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { webhook: { batchMax: 1 }, mix: { ...everything, ...mix } } });
    await sendOk(vendor, textTo(TO));
    await vendor.drain();
    return hook.statuses().map(({ status, timestamp }) => ({ status, timestamp }));
  };

  test("tells everything twice, with the same time", async () => {
    const told = await kinds({ duplicateRate: 1 });
    expect(told).toHaveLength(6);
    for (const status of ["sent", "delivered", "read"]) {
      const [first, second] = told.filter((each) => each.status === status);
      expect(second).toEqual(first);
    }
  });

  test("tells it backwards", async () => {
    expect((await kinds({ reorderRate: 1 })).map(({ status }) => status)).toEqual(["read", "delivered", "sent"]);
  });

  test("tells nothing", async () => {
    expect(await kinds({ loseRate: 1 })).toEqual([]);
  });

  test("tells failed after delivered", async () => {
    expect((await kinds({ contradictRate: 1 })).map(({ status }) => status)).toEqual(["sent", "delivered", "read", "failed"]);
  });

  test("tells it before the answer is written", async () => {
    let answered = false;
    const order: string[] = [];
    const hook = await receiver(() => {
      order.push(answered ? "late" : "early");
      return 200;
    });
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: { ...everything, earlyRate: 1 } } });
    await sendOk(vendor, textTo(TO));
    answered = true;
    expect(order).toEqual(["early"]);
    expect(hook.statuses()).toMatchObject([{ status: "sent" }]);
    expect(vendor.pendingWebhooks()).toBe(2);
  });
});

describe("delivery", () => {
  test("signed over the very bytes, ASCII only", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: everything } });
    await Promise.all(Array.from({ length: 20 }, (_, i) => sendOk(vendor, textTo(`+1650555${1000 + i}`))));
    await vendor.drain();
    for (const { headers, raw } of hook.received) {
      expect(headers["x-hub-signature-256"]).toBe(`sha256=${createHmac("sha256", "app_secret").update(raw).digest("hex")}`);
      expect(headers["content-type"]).toBe("application/json");
      expect(raw.every((byte) => byte < 128)).toBe(true);
    }
    expect(
      hook.changes().some(({ value }) => value.contacts.some((contact: { profile: { name: string } }) => /[^ -~]/.test(contact.profile.name))),
    ).toBe(true);
  });

  test("in batches of at most batchMax updates", async () => {
    const hook = await receiver();
    const vendor = await testVendor({ webhook: hook.target, settings: { webhook: { batchMax: 7 }, mix: everything } });
    await Promise.all(Array.from({ length: 10 }, (_, i) => sendOk(vendor, textTo(`+1650555${1000 + i}`))));
    await vendor.drain();
    expect(hook.received).toHaveLength(Math.ceil(30 / 7));
    expect(hook.statuses()).toHaveLength(30);
  });

  test("a refused one is tried again, at once and then ever later, with the same bytes, and nothing is lost", async () => {
    const clock = stoppedClock();
    let open = false;
    const hook = await receiver(() => (open ? 200 : 503));
    const settings = {
      webhook: { batchMax: 1, retryMinMs: 1_000, retryMaxMs: HOUR_MS },
      mix: { ...everything, readRate: 0, sentAfterMs: [0, 0] as [number, number], deliveredAfterMs: [0, 0] as [number, number] },
    };
    const vendor = await testVendor({ clock, webhook: hook.target, settings });
    await sendOk(vendor, textTo(TO));
    const tried: number[] = [];
    for (const ms of [0, 999, 1, 1_999, 1, 4_000]) {
      clock.pass(ms);
      const before = hook.received.length;
      await vendor.deliverDue();
      tried.push(hook.received.length - before);
    }
    expect(tried).toEqual([4, 0, 2, 0, 2, 2]);
    expect(vendor.pendingWebhooks()).toBe(2);
    open = true;
    clock.pass(HOUR_MS);
    expect(await vendor.deliverDue()).toEqual({ told: 2, pending: 0 });
    expect(new Set(hook.received.map(({ raw }) => raw.toString())).size).toBe(2);
    expect(vendor.stats().webhooks).toMatchObject({ updates: 2, failedPosts: 10, givenUp: 0 });
  });

  test("for seven days, then given up", async () => {
    const clock = stoppedClock();
    const hook = await receiver(() => 500);
    const vendor = await testVendor({ clock, webhook: hook.target, settings: { mix: everything } });
    await sendOk(vendor, textTo(TO));
    for (let hours = 0; hours < 6 * 24; hours++) {
      clock.pass(HOUR_MS);
      await vendor.deliverDue();
    }
    expect(vendor.pendingWebhooks()).toBe(3);
    for (let hours = 0; hours < 25; hours++) {
      clock.pass(HOUR_MS);
      await vendor.deliverDue();
    }
    expect(vendor.pendingWebhooks()).toBe(0);
    expect(vendor.stats().webhooks).toMatchObject({ givenUp: 3, updates: 0 });
  });

  test("draining does not go round in circles with a receiver that is down", async () => {
    const hook = await receiver(() => 500);
    const vendor = await testVendor({ webhook: hook.target, settings: { mix: everything } });
    await sendOk(vendor, textTo(TO));
    expect(await vendor.drain()).toEqual({ told: 0, pending: 3 });
    expect(hook.received).toHaveLength(1);
  });

  test("draining goes on while something gets through", async () => {
    const hook = await receiver((_, count) => (count % 2 ? 500 : 200));
    const vendor = await testVendor({ webhook: hook.target, settings: { webhook: { batchMax: 1 }, mix: everything } });
    await sendOk(vendor, textTo(TO));
    expect(await vendor.drain()).toEqual({ told: 3, pending: 0 });
    expect(
      hook
        .statuses()
        .map(({ status }) => status)
        .toSorted(),
    ).toEqual(["delivered", "read", "read", "read", "sent", "sent"]);
  });

  test("without a target nothing is kept", async () => {
    const vendor = await testVendor({ settings: { mix: everything } });
    await sendOk(vendor, textTo(TO));
    expect(vendor.pendingWebhooks()).toBe(0);
    const hook = await receiver();
    await vendor.setWebhook(hook.target);
    expect(await vendor.drain()).toEqual({ told: 0, pending: 0 });
  });

  test("by itself while time runs", async () => {
    let done = () => {};
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    const hook = await receiver(() => {
      if (hook.statuses().length === 30) done();
      return 200;
    });
    const vendor = await startVendor({
      webhook: hook.target,
      settings: {
        limits: { throughput: null },
        webhook: { gatherMs: 1 },
        mix: { successRate: 1, ...everything, sentAfterMs: [0, 5], deliveredAfterMs: [0, 5], readAfterMs: [0, 5] },
      },
    });
    await Promise.all(Array.from({ length: 10 }, (_, i) => sendOk(vendor, textTo(`+1650555${1000 + i}`))));
    await all;
    await vendor.drain();
    expect(vendor.pendingWebhooks()).toBe(0);
    await vendor.stop();
  });
});
