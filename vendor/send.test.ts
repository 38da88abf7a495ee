import { describe, expect, test } from "vitest";
import { CAMPAIGN, call, reference, START, send, sendOk, templateTo, testVendor, textTo } from "../test/support/vendor.ts";

const TO = "+16505551234";

describe("an accepted message", () => {
  test("text: contacts and id, no message_status", async () => {
    const vendor = await testVendor();
    const { json } = await send(vendor, textTo("+1 650 555 1234"));
    expect(json).toEqual({
      messaging_product: "whatsapp",
      contacts: [{ input: "+1 650 555 1234", wa_id: "16505551234" }],
      messages: [{ id: expect.stringMatching(/^wamid\.HBgLMTY1MDU1NTEyMzQVAgARGB[A-Za-z0-9+/=]+$/) }],
    });
  });

  test("template: message_status accepted, or held_for_quality_assessment", async () => {
    const vendor = await testVendor();
    expect((await send(vendor, templateTo(TO))).json.messages[0].message_status).toBe("accepted");
    vendor.set({ mix: { heldRate: 1 } });
    expect((await send(vendor, templateTo(TO))).json.messages[0].message_status).toBe("held_for_quality_assessment");
  });

  test("is in the ledger, without its text", async () => {
    const vendor = await testVendor();
    const id = await sendOk(vendor, templateTo(TO, {}, { biz_opaque_callback_data: reference(7, { stage: 2, attempt: 3 }) }));
    await sendOk(vendor, textTo("16505559999", { text: { body: "a secret" } }));
    const [first, second] = await vendor.ledgerLines();
    expect(first).toEqual({
      at: START.toISOString(),
      begunAt: START.toISOString(),
      phoneNumberId: vendor.phoneNumberId,
      to: TO,
      wamid: id,
      reference: reference(7, { stage: 2, attempt: 3 }),
      campaign: CAMPAIGN,
      stage: 2,
      position: 7,
      attempt: 3,
      kind: "template",
      template: "hello_campanile en_US",
    });
    expect(second).toMatchObject({ to: "+16505559999", campaign: null, reference: null, kind: "text", bodyHash: expect.any(String) });
    expect(JSON.stringify(second)).not.toContain("secret");
  });

  test("ids are never given twice", async () => {
    const vendor = await testVendor();
    const ids = await Promise.all(Array.from({ length: 200 }, () => sendOk(vendor, textTo(TO))));
    expect(new Set(ids).size).toBe(200);
  });

  test("what Meta does to Mexican numbers shows in wa_id, not in the ledger", async () => {
    const vendor = await testVendor({ settings: { quirks: { mexico: true } } });
    expect((await send(vendor, textTo("+525512345678"))).json.contacts).toEqual([{ input: "+525512345678", wa_id: "5215512345678" }]);
    expect(await vendor.ledgerLines()).toMatchObject([{ to: "+525512345678" }]);
  });

  test("costs by category when it will be delivered", async () => {
    const vendor = await testVendor();
    await sendOk(vendor, templateTo(TO));
    await sendOk(vendor, templateTo(TO, { name: "hello_world", components: [] }));
    await sendOk(vendor, textTo(TO));
    expect(vendor.stats().cost).toEqual({ marketing: 0.025, utility: 0.004, service: 0 });
    vendor.set({ mix: { successRate: 0, answerShare: 0 } });
    await sendOk(vendor, templateTo(TO));
    expect(vendor.stats().cost).toMatchObject({ marketing: 0.025 });
  });
});

describe("refused by its fate", () => {
  test("in the answer, and never in the ledger", async () => {
    const vendor = await testVendor({ settings: { mix: { successRate: 0, answerShare: 1, answerFailures: { "131026": 1 } } } });
    expect(await send(vendor, textTo(TO))).toMatchObject({
      status: 400,
      json: { error: { code: 131026, error_data: { messaging_product: "whatsapp" } } },
    });
    expect(await vendor.ledgerLines()).toEqual([]);
    expect(vendor.stats().refused).toEqual({ "131026": 1 });
  });

  test("the same for the same stage and attempt whatever came before, and a new roll for the next attempt", async () => {
    const settings = { seed: 5, mix: { successRate: 0.5, answerShare: 1 } };
    const outcomes = async (positions: readonly number[]) => {
      const vendor = await testVendor({ settings });
      const found = new Map<string, number>();
      for (const position of positions) {
        for (const attempt of [1, 2]) {
          const { status } = await send(vendor, textTo(`+1650555${1000 + position}`, { biz_opaque_callback_data: reference(position, { attempt }) }));
          found.set(`${position} ${attempt}`, status);
        }
      }
      return found;
    };
    const positions = Array.from({ length: 40 }, (_, i) => i);
    const [forward, backward] = [await outcomes(positions), await outcomes(positions.toReversed())];
    expect(Object.fromEntries(backward)).toEqual(Object.fromEntries(forward));
    const attempts = (attempt: number) => positions.map((position) => forward.get(`${position} ${attempt}`));
    expect(attempts(1)).not.toEqual(attempts(2));
    expect(new Set(attempts(1))).toEqual(new Set([200, 400]));
  });

  test("a script says what happens to one person, or to one attempt of theirs", async () => {
    const vendor = await testVendor();
    const refuse = { successRate: 0, answerShare: 1, answerFailures: { "130472": 1 } };
    vendor.script({ phone: TO, attempt: 1, mix: refuse });
    const attempt = (n: number, to = TO) => send(vendor, textTo(to, { biz_opaque_callback_data: reference(1, { attempt: n }) }));
    expect((await attempt(1)).json.error.code).toBe(130472);
    expect((await attempt(2)).status).toBe(200);
    expect((await attempt(1, "+16505550000")).status).toBe(200);
    vendor.clearScripts();
    expect((await attempt(1)).status).toBe(200);
  });
});

describe("blocked", () => {
  test.each([
    [368, 403],
    [131031, 403],
    [190, 401],
    [131042, 400],
    [131048, 400],
  ])("an account with code %i answers %i until it is let go", async (code, status) => {
    const vendor = await testVendor();
    vendor.block(code);
    expect(await send(vendor, textTo(TO))).toMatchObject({ status, json: { error: { code } } });
    vendor.block(null);
    await sendOk(vendor, textTo(TO));
  });

  test("from the k-th accepted message on", async () => {
    const vendor = await testVendor({ settings: { blockAfter: { accepted: 3, code: 131031 } } });
    const statuses: number[] = [];
    for (let i = 0; i < 5; i++) statuses.push((await send(vendor, textTo(`+1650555000${i}`))).status);
    expect(statuses).toEqual([200, 200, 200, 403, 403]);
  });

  test.each([
    ["DELETED", 33],
    ["DISCONNECTED", 133010],
    ["BANNED", 131031],
  ])("a number that is %s: code %i", async (status, code) => {
    const vendor = await testVendor();
    vendor.putPhoneNumber({ id: vendor.phoneNumberId, displayPhoneNumber: "+1 555-078-3881", status });
    expect((await send(vendor, textTo(TO))).json.error.code).toBe(code);
  });
});

describe("limits", () => {
  test("throughput: 130429 as HTTP 400, on the vendor's own clock", async () => {
    let now = START.getTime();
    const vendor = await testVendor({ clock: { now: () => new Date(now) }, settings: { limits: { throughput: 5 } } });
    const tried = async () => (await Promise.all(Array.from({ length: 10 }, () => send(vendor, textTo(TO))))).map(({ status }) => status);
    expect((await tried()).filter((status) => status === 200)).toHaveLength(5);
    expect(await send(vendor, textTo(TO))).toMatchObject({ status: 400, json: { error: { code: 130429, message: "(#130429) Rate limit hit" } } });
    now += 200;
    expect((await tried()).filter((status) => status === 200)).toHaveLength(1);
  });

  test("pair and messaging limits", async () => {
    const vendor = await testVendor({ settings: { limits: { pair: { intervalMs: 6_000, burst: 1 }, messaging: 2 } } });
    await sendOk(vendor, templateTo(TO));
    expect((await send(vendor, templateTo(TO))).json.error.code).toBe(131056);
    await sendOk(vendor, templateTo("+16505550001"));
    expect((await send(vendor, templateTo("+16505550002"))).json.error.code).toBe(131048);
  });

  test("free text outside the window: 131047 when windows are strict, until the user writes, for a day", async () => {
    let now = START.getTime();
    const vendor = await testVendor({ clock: { now: () => new Date(now) }, settings: { windows: "strict", limits: { messaging: 0 } } });
    expect((await send(vendor, textTo(TO))).json.error.code).toBe(131047);
    expect((await send(vendor, templateTo(TO))).json.error.code).toBe(131048);
    vendor.inbound({ from: TO, text: "hi" });
    await sendOk(vendor, textTo(TO));
    await sendOk(vendor, templateTo(TO));
    now += 24 * 3_600_000;
    expect((await send(vendor, textTo(TO))).json.error.code).toBe(131047);
  });
});

describe("the marketing endpoint", () => {
  test("takes marketing templates and nothing else", async () => {
    const vendor = await testVendor();
    const marketing = (body: unknown) => call(vendor, `/v23.0/${vendor.phoneNumberId}/marketing_messages`, { body });
    expect(await marketing(templateTo(TO, {}, { product_policy: "STRICT" }))).toMatchObject({ status: 200 });
    expect((await marketing(textTo(TO))).json.error.error_data.details).toBe("Message must be a template message.");
    expect((await marketing(templateTo(TO, { name: "hello_world", components: [] }))).json.error.code).toBe(131055);
  });
});

test("a ledger that cannot be written refuses instead of accepting", async () => {
  const vendor = await testVendor({ ledgerPath: "/dev/full", fsync: false });
  expect(await send(vendor, textTo(TO))).toMatchObject({
    status: 400,
    json: { error: { code: 1, error_data: { details: expect.stringMatching(/ENOSPC/) } } },
  });
});
