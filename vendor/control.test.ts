import { describe, expect, test } from "vitest";
import { CAMPAIGN, call, receiver, reference, START, send, sendOk, templateTo, testVendor, textTo } from "../test/support/vendor.ts";
import { startVendor } from "./main.ts";

const TO = "+16505551234";
type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

async function control() {
  const vendor = await testVendor();
  return { vendor, ask: (method: Method, path: string, body?: unknown) => call(vendor, `/_control${path}`, { method, body, token: null }) };
}

describe("settings", () => {
  test("are read and changed while running, name by name", async () => {
    const { vendor, ask } = await control();
    const { json } = await ask("PATCH", "/settings", { seed: 7, mix: { successRate: 0, answerShare: 1, answerFailures: { "131021": 1 } } });
    expect(json).toMatchObject({ seed: 7, mix: { successRate: 0, readRate: 0.6, answerFailures: { "131021": 1 } } });
    expect((await ask("GET", "/settings")).json).toEqual(json);
    expect((await send(vendor, textTo(TO))).json.error.code).toBe(131021);
  });

  test.each([
    [{ mix: { successRate: 2 } }, /mix\.successRate/],
    [{ mix: { sucessRate: 1 } }, /sucessRate/],
    [{ mix: { latencyMs: [5, 1] } }, /mix\.latencyMs: a span is \[min, max\]/],
    [{ mix: { faults: { earthquake: 1 } } }, /mix\.faults/],
    [{ limits: { throughput: -1 } }, /limits\.throughput/],
    [{ limits: 7 }, /limits/],
    [{ weather: "fine" }, /weather/],
    [[], /body/],
    ["{", /JSON/],
  ])("refuses %j, says why, and changes nothing", async (patch, cause) => {
    const { vendor, ask } = await control();
    const before = vendor.settings();
    expect(await ask("PATCH", "/settings", patch)).toMatchObject({ status: 400, json: { error: expect.stringMatching(cause) } });
    expect(vendor.settings()).toEqual(before);
  });

  test("scripts", async () => {
    const { vendor, ask } = await control();
    const refuse = { successRate: 0, answerShare: 1, answerFailures: { "130472": 1 } };
    expect((await ask("POST", "/scripts", { phone: TO, stage: 1, mix: refuse })).json).toEqual([{ phone: "16505551234", stage: 1, mix: refuse }]);
    expect((await send(vendor, textTo(TO))).json.error.code).toBe(130472);
    expect((await ask("POST", "/scripts", { phone: TO, mix: { luck: 1 } })).status).toBe(400);
    await ask("DELETE", "/scripts");
    await sendOk(vendor, textTo(TO));
  });
});

describe("the world", () => {
  const parts = [{ type: "BODY", text: "Hi {{1}} and {{2}}" }];

  test("templates are made, changed and deleted", async () => {
    const { vendor, ask } = await control();
    const { json } = await ask("POST", "/templates", { name: "fresh", language: "en_US", components: parts });
    expect(json).toMatchObject({ id: expect.any(String), status: "APPROVED", category: "MARKETING", parameter_format: "POSITIONAL" });
    const fresh = templateTo(TO, {
      name: "fresh",
      components: [
        {
          type: "body",
          parameters: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
        },
      ],
    });
    await sendOk(vendor, fresh);
    expect((await ask("PATCH", `/templates/${json.id}`, { status: "PAUSED" })).json).toMatchObject({ id: json.id, status: "PAUSED" });
    expect((await send(vendor, fresh)).json.error.code).toBe(132015);
    await ask("DELETE", `/templates/${json.id}`);
    expect((await send(vendor, fresh)).json.error.code).toBe(132001);
    expect((await ask("DELETE", `/templates/${json.id}`)).status).toBe(404);
    const again = await ask("POST", "/templates", { name: "fresh", language: "en_US", components: parts });
    expect(again.json.id).not.toBe(json.id);
    expect((await ask("POST", "/templates", { name: "Not A Name", language: "en_US", components: [] })).status).toBe(400);
  });

  test("tokens, numbers, blocks", async () => {
    const { vendor, ask } = await control();
    await ask("PUT", "/tokens", { token: vendor.token, state: "expired" });
    expect((await send(vendor, textTo(TO))).status).toBe(401);
    await ask("PUT", "/tokens", { token: vendor.token, state: "valid" });
    await ask("PUT", "/phone-numbers", { id: "77", displayPhoneNumber: "+44 20 7946 0000", countryCode: "44" });
    expect(await call(vendor, "/v23.0/77/messages", { body: textTo(TO) })).toMatchObject({ status: 200 });
    expect((await ask("GET", "/phone-numbers")).json).toHaveLength(2);
    await ask("POST", "/block", { code: 131031 });
    expect((await send(vendor, textTo(TO))).status).toBe(403);
    await ask("POST", "/block", { code: null });
    await sendOk(vendor, textTo(TO));
  });

  test("users write, and a wrong one is refused", async () => {
    const { vendor, ask } = await control();
    const hook = await receiver();
    expect((await ask("PUT", "/webhook", hook.target)).json).toMatchObject({ url: hook.target.url, pending: 0 });
    expect((await ask("POST", "/inbound", { from: TO, text: "STOP" })).json).toEqual({ id: expect.stringMatching(/^wamid\./) });
    await ask("POST", "/inbound", { from: TO, button: { text: "Stop promotions" } });
    expect((await ask("GET", "/webhook")).json).toMatchObject({ pending: 2 });
    expect((await ask("POST", "/webhook/deliver")).json).toEqual({ told: 2, pending: 0 });
    expect(hook.messages()).toMatchObject([{ text: { body: "STOP" } }, { button: { payload: "Stop promotions" } }]);
    for (const wrong of [
      { from: TO },
      { from: "x", text: "hi" },
      { from: TO, text: "a", preference: "stop" },
      { from: TO, text: "a", phoneNumberId: "9" },
    ]) {
      expect((await ask("POST", "/inbound", wrong)).status).toBe(400);
    }
    expect(vendor.stats().inbound).toBe(2);
  });

  test("the webhook: set, verified, drained, anything emitted, taken away", async () => {
    const { vendor, ask } = await control();
    const hook = await receiver();
    expect((await ask("PUT", "/webhook", { ...hook.target, verifyToken: "wrong" })).json.error).toMatch(/could not be verified/);
    expect((await ask("POST", "/webhook/verify")).json.error).toMatch(/nothing to verify/);
    await ask("PUT", "/webhook", { ...hook.target, verifyToken: "verify-me" });
    expect((await ask("POST", "/webhook/verify")).json).toEqual({ verified: true });
    await sendOk(vendor, textTo(TO));
    await ask("POST", "/webhook/emit", { field: "account_alerts", value: { alert_type: "X" } });
    expect((await ask("POST", "/webhook/drain")).json).toMatchObject({ pending: 0 });
    expect(hook.changes().at(0)).toEqual({ field: "account_alerts", value: { alert_type: "X" } });
    await ask("PUT", "/webhook", null);
    expect(vendor.webhook()).toBeNull();
    expect((await ask("PUT", "/webhook", { url: "not a url", appSecret: "x" })).status).toBe(400);
  });
});

describe("the witness", () => {
  test("sums up, by campaign, with its lines and its fullest window", async () => {
    const { vendor, ask } = await control();
    for (const position of [1, 2, 2]) await sendOk(vendor, textTo(`+1650555000${position}`, { biz_opaque_callback_data: reference(position) }));
    await sendOk(vendor, textTo(TO));
    expect((await ask("GET", "/ledger")).json).toMatchObject({ accepted: 4, duplicates: 1, unreferenced: 1, recipients: 3 });
    expect((await ask("GET", `/ledger?campaign=${CAMPAIGN}`)).json).toMatchObject({ accepted: 3, duplicates: 1, unreferenced: 0 });
    expect((await ask("GET", `/ledger/lines?campaign=${CAMPAIGN}`)).json).toHaveLength(3);
    expect((await ask("GET", "/ledger/window?windowMs=1000&unique=false")).json).toEqual([
      { phoneNumberId: vendor.phoneNumberId, max: 4, until: START.toISOString() },
    ]);
    expect((await ask("GET", "/ledger/window?windowMs=1000&together=true&by=begunAt")).json).toMatchObject([{ phoneNumberId: "*", max: 3 }]);
    expect((await ask("GET", "/ledger/window")).status).toBe(400);
    expect((await ask("GET", "/stats")).json).toMatchObject({ requests: 4, accepted: 4, cost: { service: 0 }, webhooks: { pending: 0 } });
  });

  test("reset forgets all but the webhook and what the vendor was started with", async () => {
    const { vendor, ask } = await control();
    const hook = await receiver();
    await vendor.setWebhook(hook.target);
    await ask("PATCH", "/settings", { mix: { successRate: 0.5 } });
    vendor.script({ phone: TO, mix: {} });
    vendor.block(368);
    await ask("POST", "/reset");
    await sendOk(vendor, textTo(TO));
    expect(vendor.scripts()).toEqual([]);
    expect(vendor.settings().mix.successRate).toBe(1);
    expect(await vendor.ledger()).toMatchObject({ accepted: 1 });
    expect(vendor.webhook()?.url).toBe(hook.target.url);
  });
});

describe("the clock", () => {
  test("is stopped, passed by hand and set running; webhooks follow", async () => {
    const hook = await receiver();
    const vendor = await startVendor({
      webhook: hook.target,
      settings: { mix: { successRate: 1, readRate: 0, sentAfterMs: [60_000, 60_000], deliveredAfterMs: [3_600_000, 3_600_000] } },
    });
    const ask = (method: Method, path: string, body?: unknown) => call(vendor, `/_control${path}`, { method, body });
    expect((await ask("POST", "/clock", { stopAt: "2026-01-01T00:00:00Z" })).json).toEqual({ kind: "stopped", now: "2026-01-01T00:00:00.000Z" });
    await sendOk(vendor, textTo(TO));
    expect((await vendor.ledgerLines())[0]?.at).toBe("2026-01-01T00:00:00.000Z");
    expect((await ask("POST", "/webhook/deliver")).json).toEqual({ told: 0, pending: 2 });
    expect((await ask("POST", "/clock", { advanceMs: 60_000 })).json).toMatchObject({ now: "2026-01-01T00:01:00.000Z" });
    expect((await ask("POST", "/webhook/deliver")).json).toEqual({ told: 1, pending: 1 });
    expect((await ask("POST", "/clock", { runOffsetMs: 0 })).json.kind).toBe("running");
    await ask("POST", "/clock", { advanceMs: 3_600_000 });
    expect((await ask("POST", "/webhook/deliver")).json).toMatchObject({ pending: 0 });
    expect((await ask("POST", "/clock", { stopAt: "soon" })).status).toBe(400);
    await vendor.stop();
  });

  test("one that was lent cannot be moved", async () => {
    const { ask } = await control();
    expect((await ask("GET", "/clock")).json).toEqual({ kind: "lent", now: START.toISOString() });
    expect((await ask("POST", "/clock", { advanceMs: 1 })).json.error).toMatch(/was lent/);
  });
});

describe("who may ask", () => {
  test("with a control token: only who brings it", async () => {
    const vendor = await testVendor({ controlToken: "secret" });
    const ask = (token: string | null) => call(vendor, "/_control/stats", { token });
    expect((await ask(null)).status).toBe(401);
    expect((await ask(vendor.token)).status).toBe(401);
    expect((await ask("secret")).status).toBe(200);
  });

  test("an unknown path is told what there is", async () => {
    const { ask } = await control();
    expect(await ask("GET", "/nothing")).toMatchObject({ status: 404, json: { error: expect.stringMatching(/GET \/_control lists/) } });
    expect((await ask("GET", "")).json).toContain("GET /settings");
  });
});
