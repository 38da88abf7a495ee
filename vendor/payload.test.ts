import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { type Accepted, escaped, payload, profileName, signature, type Update } from "./payload.ts";
import { DEFAULT_PHONE_NUMBER_ID, phoneNumber } from "./world.ts";

const sender = phoneNumber({ id: DEFAULT_PHONE_NUMBER_ID, displayPhoneNumber: "+1 555-078-3881" });
const happenedAt = Date.UTC(2026, 10, 22, 8);
const message: Accepted = { wamid: "wamid.A", to: "16505550001", waId: "16505550001", sender, callback: "ref-1", category: "marketing", replies: [] };
const options = { wabaId: "102", version: 24, asciiOnly: false };
const status = (change: Partial<Update & { kind: "status" }> = {}): Update => ({
  kind: "status",
  message,
  status: "sent",
  priced: true,
  happenedAt,
  ...change,
});
const build = (updates: readonly Update[], change: Partial<typeof options> = {}) => JSON.parse(payload(updates, { ...options, ...change }));

describe("signature", () => {
  test.each([
    ['{"object":"whatsapp_business_account","entry":[]}', "sha256=c236c758c9b2bd40b388a550eeca09eaca72384dd0aa5e7c31d19cddac5bba46"],
    ['{"t":"caf\\u00e9 \\ud83d\\ude00"}', "sha256=3ddbd07d567ef2bc0d2880f98ae116bf05d0010136e1349a7bb43bad462e0394"],
  ])("of %s", (body, expected) => expect(signature(body, "app_secret")).toBe(expected));

  test("covers the bytes as sent, non-ASCII too", () => {
    expect(signature("é", "s")).toBe(`sha256=${createHmac("sha256", "s").update(Buffer.from("é")).digest("hex")}`);
  });
});

test("escaped bodies are ASCII, say the same, and write / as \\/", () => {
  const json = JSON.stringify({ t: "café 😀", u: "https://a.example/" });
  expect(escaped(json)).toBe('{"t":"caf\\u00e9 \\ud83d\\ude00","u":"https:\\/\\/a.example\\/"}');
  expect(JSON.parse(escaped(json))).toEqual(JSON.parse(json));
});

describe("a status", () => {
  test("as Meta's schema has it", () => {
    expect(build([status()])).toEqual({
      object: "whatsapp_business_account",
      entry: [
        {
          id: "102",
          changes: [
            {
              field: "messages",
              value: {
                messaging_product: "whatsapp",
                metadata: { display_phone_number: "15550783881", phone_number_id: DEFAULT_PHONE_NUMBER_ID },
                contacts: [{ profile: { name: profileName("16505550001") }, wa_id: "16505550001" }],
                statuses: [
                  {
                    id: "wamid.A",
                    status: "sent",
                    timestamp: "1795334400",
                    recipient_id: "16505550001",
                    biz_opaque_callback_data: "ref-1",
                    pricing: { billable: true, pricing_model: "PMP", type: "regular", category: "marketing" },
                  },
                ],
              },
            },
          ],
        },
      ],
    });
  });

  test("failed: errors, no contact, no price; no callback when none was set", () => {
    const [change] = build([status({ status: "failed", code: 131049, priced: false, message: { ...message, callback: null } })]).entry[0].changes;
    expect(change.value.contacts).toBeUndefined();
    const [failed] = change.value.statuses;
    expect(failed).not.toHaveProperty("biz_opaque_callback_data");
    expect(failed).not.toHaveProperty("pricing");
    expect(failed.errors).toEqual([
      {
        code: 131049,
        title: "This message was not delivered to maintain healthy ecosystem engagement.",
        message: "This message was not delivered to maintain healthy ecosystem engagement.",
        error_data: { details: expect.stringContaining("healthy ecosystem engagement") },
        href: expect.stringMatching(/^https:/),
      },
    ]);
  });

  test("a conversation only below version 24, its end only with sent", () => {
    const [sent, delivered] = build([status(), status({ status: "delivered" })], { version: 23 }).entry[0].changes[0].value.statuses;
    expect(sent.conversation).toMatchObject({ origin: { type: "marketing" }, expiration_timestamp: "1795420800" });
    expect(delivered.conversation).not.toHaveProperty("expiration_timestamp");
    expect(build([status({ priced: false })], { version: 23 }).entry[0].changes[0].value.statuses[0]).not.toHaveProperty("conversation");
  });

  test("free text inside a window costs nothing", () => {
    const [value] = build([status({ message: { ...message, category: "service" } })]).entry[0].changes;
    expect(value.value.statuses[0].pricing).toMatchObject({ billable: false, type: "free_customer_service" });
  });
});

test("timestamps are strings, but for preferences, whose are integers", () => {
  const user = { waId: "16505550001", name: "Ana" };
  const [inbound, preference] = build([
    { kind: "message", sender, user, id: "wamid.I", content: { type: "text", text: { body: "STOP" } }, contextId: "wamid.A", happenedAt },
    { kind: "preference", sender, user, value: "stop", happenedAt },
  ]).entry[0].changes;
  expect(inbound.value.messages).toEqual([
    {
      context: { from: "15550783881", id: "wamid.A" },
      from: "16505550001",
      id: "wamid.I",
      timestamp: "1795334400",
      type: "text",
      text: { body: "STOP" },
    },
  ]);
  expect(preference).toMatchObject({
    field: "user_preferences",
    value: { user_preferences: [{ wa_id: "16505550001", value: "stop", timestamp: 1795334400 }] },
  });
});

test("a big batch spreads over entries, changes and statuses, and loses nothing", () => {
  const other = { ...message, sender: phoneNumber({ id: "2", displayPhoneNumber: "+1 555 000 0000" }) };
  const updates = Array.from({ length: 200 }, (_, i) => status({ message: { ...(i % 2 ? message : other), wamid: `wamid.${i}` } }));
  const { entry } = build(updates);
  expect(entry.length).toBeGreaterThan(1);
  expect(entry[0].changes.length).toBeGreaterThan(1);
  const changes = entry.flatMap(
    (each: { changes: { value: { metadata: { phone_number_id: string }; statuses: { id: string }[] } }[] }) => each.changes,
  );
  expect(changes.every((each: { value: { statuses: unknown[] } }) => each.value.statuses.length > 1)).toBe(true);
  const ids = changes.flatMap((each: { value: { statuses: { id: string }[] } }) => each.value.statuses.map(({ id }) => id));
  expect(new Set(ids)).toEqual(new Set(updates.map((_, i) => `wamid.${i}`)));
});

test("management webhooks carry a time, and the value as given", () => {
  const { entry } = build([{ kind: "field", field: "account_update", value: { event: "X" }, happenedAt }]);
  expect(entry).toEqual([{ id: "102", time: 1795334400, changes: [{ field: "account_update", value: { event: "X" } }] }]);
});
