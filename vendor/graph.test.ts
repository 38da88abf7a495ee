import { describe, expect, test } from "vitest";
import { bodyOf, call, send, sendOk, templateTo, testVendor, textTo } from "../test/support/vendor.ts";

const TO = "+16505551234";

describe("who may call", () => {
  test.each([
    ["no token", null, /access token is required/],
    ["an unknown token", "nope", /Cannot parse access token/],
  ])("%s: 401, code 190", async (_, token, sentence) => {
    const vendor = await testVendor();
    const answer = await call(vendor, `/v23.0/${vendor.phoneNumberId}/messages`, { body: textTo(TO), token });
    expect(answer).toMatchObject({ status: 401, json: { error: { code: 190, type: "OAuthException", message: expect.stringMatching(sentence) } } });
    expect(await vendor.ledger()).toMatchObject({ accepted: 0 });
  });

  test("an expired token: 190 with subcode 463, until it is valid again", async () => {
    const vendor = await testVendor({ token: "mine" });
    vendor.setToken("mine", "expired");
    expect(await send(vendor, textTo(TO))).toMatchObject({ status: 401, json: { error: { code: 190, error_subcode: 463 } } });
    vendor.setToken("mine", "valid");
    await sendOk(vendor, textTo(TO));
    vendor.setToken("mine", "absent");
    expect(await send(vendor, textTo(TO))).toMatchObject({ status: 401 });
  });
});

describe("what exists", () => {
  test.each([
    ["POST", "/v23.0/1/messages", 400, 100, 33],
    ["GET", "/v23.0/1", 400, 100, 33],
    ["GET", "/v23.0/1/message_templates", 400, 100, 33],
    ["DELETE", "/v23.0/1", 400, 100, 33],
    ["GET", "/messages", 400, 2500, undefined],
    ["GET", "/latest/1", 400, 2500, undefined],
    ["GET", "/v23.0/1/a/b", 400, 2500, undefined],
    ["GET", "/", 400, 2500, undefined],
  ] as const)("%s %s: %i, code %i", async (method, path, status, code, error_subcode) => {
    const vendor = await testVendor();
    const answer = await call(vendor, path, { method, ...(method === "POST" ? { body: textTo(TO) } : {}) });
    expect(answer).toMatchObject({ status, json: { error: { code, ...(error_subcode ? { error_subcode, type: "GraphMethodException" } : {}) } } });
  });

  test.each(["v19.0", "v23.0", "v26.0"])("any version: %s", async (version) => {
    const vendor = await testVendor();
    expect(await call(vendor, `/${version}/${vendor.phoneNumberId}/messages`, { body: textTo(TO) })).toMatchObject({ status: 200 });
  });

  test("a body of 2 MB is refused, and one that is no JSON", async () => {
    const vendor = await testVendor();
    expect(await send(vendor, textTo(TO, { text: { body: "x".repeat(2_000_000) } }))).toMatchObject({ status: 400, json: { error: { code: 100 } } });
    expect(await send(vendor, "{")).toMatchObject({
      status: 400,
      json: { error: { message: "(#100) The parameter messaging_product is required." } },
    });
  });
});

describe("GET", () => {
  test("templates, page by page, following next", async () => {
    const vendor = await testVendor();
    const names: string[] = [];
    let path: string | null = `/v23.0/${vendor.wabaId}/message_templates?limit=3&fields=name,language`;
    let pages = 0;
    while (path !== null) {
      const { json } = await call(vendor, path);
      pages++;
      for (const template of json.data) {
        expect(Object.keys(template).toSorted()).toEqual(["id", "language", "name"]);
        names.push(`${template.name} ${template.language}`);
      }
      expect(json.paging.cursors).toEqual({ before: expect.any(String), after: expect.any(String) });
      path = json.paging.next ? json.paging.next.replace(vendor.url, "") : null;
    }
    expect(pages).toBe(3);
    expect(names).toEqual(vendor.templates().map(({ name, language }) => `${name} ${language}`));
    expect(new Set(names).size).toBe(7);
  });

  test("templates by status, in Meta's own shape", async () => {
    const vendor = await testVendor();
    const { json } = await call(vendor, `/v23.0/${vendor.wabaId}/message_templates?status=approved&name=spring`);
    expect(json.data).toMatchObject([
      {
        id: expect.stringMatching(/^\d{16}$/),
        name: "spring_offer",
        parameter_format: "NAMED",
        language: "en_US",
        status: "APPROVED",
        category: "MARKETING",
        components: [{ type: "HEADER", format: "TEXT" }, { type: "BODY" }, { type: "FOOTER" }, { type: "BUTTONS" }],
      },
    ]);
    expect((await call(vendor, `/v23.0/${vendor.wabaId}/message_templates?status=paused`)).json.data).toHaveLength(1);
    expect((await call(vendor, `/v23.0/${vendor.wabaId}/message_templates?status=in_appeal`)).json).toEqual({ data: [] });
  });

  test.each([
    ["v24.0", "after=zzz", 131059],
    ["v23.0", "after=zzz", 100],
    ["v23.0", "limit=0", 100],
    ["v23.0", "limit=x", 100],
  ])("templates at %s with %s: code %i", async (version, query, code) => {
    const vendor = await testVendor();
    expect((await call(vendor, `/${version}/${vendor.wabaId}/message_templates?${query}`)).json.error.code).toBe(code);
  });

  test("a phone number, and the fields asked for", async () => {
    const vendor = await testVendor();
    const { json } = await call(vendor, `/v23.0/${vendor.phoneNumberId}`);
    expect(json).toMatchObject({
      id: vendor.phoneNumberId,
      display_phone_number: "+1 555-078-3881",
      verified_name: "Campanile Demo",
      quality_rating: "GREEN",
    });
    const fields = "status,name_status,throughput,whatsapp_business_manager_messaging_limit,nonsense";
    expect((await call(vendor, `/v23.0/${vendor.phoneNumberId}?fields=${fields}`)).json).toEqual({
      id: vendor.phoneNumberId,
      status: "CONNECTED",
      name_status: "APPROVED",
      throughput: { level: "HIGH" },
      whatsapp_business_manager_messaging_limit: "TIER_100K",
    });
    expect((await call(vendor, `/v23.0/${vendor.wabaId}/phone_numbers`)).json.data).toHaveLength(1);
  });

  test("health: available, and blocked with its reason", async () => {
    const vendor = await testVendor();
    const health = async (id: string) => (await call(vendor, `/v23.0/${id}?fields=health_status`)).json.health_status;
    expect(await health(vendor.phoneNumberId)).toMatchObject({
      can_send_message: "AVAILABLE",
      entities: [{ entity_type: "PHONE_NUMBER" }, { entity_type: "WABA" }, { entity_type: "BUSINESS" }, { entity_type: "APP" }],
    });
    vendor.block(131031);
    expect(await health(vendor.wabaId)).toMatchObject({
      can_send_message: "BLOCKED",
      entities: [{ entity_type: "WABA", can_send_message: "BLOCKED", errors: [{ error_code: 141014 }] }, {}, {}],
    });
    const paused = vendor.templates().find(({ status }) => status === "PAUSED");
    expect(await health(paused?.id ?? "")).toMatchObject({
      entities: [{ entity_type: "MESSAGE_TEMPLATE", errors: [{ error_code: 141002 }] }, {}, {}, {}],
    });
  });

  test("a paused template is resumed by unpause", async () => {
    const vendor = await testVendor();
    const id = vendor.templates().find(({ status }) => status === "PAUSED")?.id ?? "";
    const winter = templateTo(TO, { name: "winter_sale", components: [bodyOf("Ada")] });
    expect((await send(vendor, winter)).json.error.code).toBe(132015);
    expect(await call(vendor, `/v23.0/${id}/unpause`, { method: "POST", body: {} })).toMatchObject({ status: 200, json: { success: true } });
    await sendOk(vendor, winter);
    expect((await call(vendor, `/v23.0/${id}/unpause`, { method: "POST", body: {} })).status).toBe(400);
  });
});
