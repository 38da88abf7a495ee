import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { implied, phoneNumberIdsOf, reachOf, readWebhook, receiptKinds } from "./receipt.ts";

const RECEIVED_AT = new Date("2026-01-02T03:04:05.678Z");
const read = (body: unknown) => readWebhook(body, RECEIVED_AT);
const metadata = { display_phone_number: "15550783881", phone_number_id: "106540352242922" };
const body = (value: Record<string, unknown>, field = "messages") => ({
  object: "whatsapp_business_account",
  entry: [{ id: "102290129340398", changes: [{ field, value: { messaging_product: "whatsapp", metadata, ...value } }] }],
});
const phoneNumberId = metadata.phone_number_id;

describe("statuses", () => {
  test("a delivered one, with everything Meta puts around it", () => {
    const contacts = [{ profile: { name: "…", username: "…" }, wa_id: "16505551234", user_id: "US.1349" }];
    const one = {
      id: "wamid.HBgL",
      status: "delivered",
      timestamp: "1750263773",
      recipient_id: "16505551234",
      recipient_user_id: "US.13491208655302741918",
      biz_opaque_callback_data: "c1.x",
      conversation: { id: "…", expiration_timestamp: "1750350170", origin: { type: "marketing" } },
      pricing: { billable: true, pricing_model: "PMP", type: "regular", category: "marketing" },
    };
    expect(read(body({ contacts, statuses: [one] }))).toEqual({
      elements: [
        {
          kind: "status",
          phoneNumberId,
          providerRef: "wamid.HBgL",
          status: "delivered",
          at: "2025-06-18T16:22:53.000Z",
          reference: "c1.x",
          recipient: "16505551234",
        },
      ],
      ignored: 0,
      faults: [],
    });
  });

  test("a failed one says why, in the best words there are", () => {
    const failed = (errors: unknown) => read(body({ statuses: [{ id: "w", status: "failed", timestamp: 1750263773, errors }] })).elements[0];
    const full = { code: 131049, title: "T", message: "M", error_data: { details: "D" }, href: "…" };
    expect(failed([full])).toMatchObject({ at: "2025-06-18T16:22:53.000Z", error: { code: "131049", cause: "D" } });
    expect(failed([{ ...full, error_data: null }])).toMatchObject({ error: { cause: "M" } });
    expect(failed([{ code: "131049", title: "T" }])).toMatchObject({ error: { code: "131049", cause: "T" } });
    for (const errors of [undefined, null, [], [null], "x", [[]]]) {
      expect(failed(errors)).toMatchObject({ error: { code: "unknown", cause: "WhatsApp gave no reason." } });
    }
  });

  test("without a usable time it happened when it came", () => {
    for (const timestamp of [undefined, null, "", "soon", "1750263773.5", -1, "99999999999999999", Number.NaN, {}, "1750263773000"]) {
      expect(read(body({ statuses: [{ id: "w", status: "sent", timestamp }] })).elements).toMatchObject([{ at: RECEIVED_AT.toISOString() }]);
    }
  });

  test("kinds that came later are ignored, and counted", () => {
    expect(
      read(
        body({
          statuses: [
            { id: "w", status: "warning" },
            { id: "w", status: "played" },
          ],
        }),
      ),
    ).toMatchObject({ elements: [{ status: "played" }], ignored: 1, faults: [] });
  });

  test("each that is malformed is named, and the others are read", () => {
    const good = { id: "w", status: "sent", timestamp: "1750263773" };
    const { elements, faults } = read(body({ statuses: [good, null, "x", [], { status: "sent" }, { id: "w" }, { id: "", status: "sent" }, good] }));
    expect(elements).toHaveLength(2);
    const at = "entry[0].changes[0].statuses";
    expect(faults).toEqual([1, 2, 3].map((i) => `${at}[${i}]: not an object`).concat(`${at}[4]: no id`, `${at}[5]: no status`, `${at}[6]: no id`));
  });

  test("text that Postgres cannot hold is made storable", () => {
    const [element] = read(body({ statuses: [{ id: "w\0am\ud800id", status: "failed", errors: [{ code: 1, title: "a\0b\udfff😀" }] }] })).elements;
    expect(element).toMatchObject({ providerRef: "wam\ufffdid", error: { cause: "ab\ufffd😀" } });
  });
});

describe("answers", () => {
  const answer = (message: Record<string, unknown>) =>
    read(body({ messages: [{ id: "in", from: "16505551234", timestamp: "1750091045", ...message }] }));

  test.each([
    ["text", { type: "text", text: { body: "Hi" } }, { text: "Hi" }],
    [
      "a tap on a template's button",
      { type: "button", context: { from: "1", id: "wamid.ours" }, button: { payload: "p", text: "Unsubscribe" } },
      { contextRef: "wamid.ours", button: { payload: "p", label: "Unsubscribe" } },
    ],
    [
      "an interactive button",
      { type: "interactive", interactive: { type: "button_reply", button_reply: { id: "a", title: "A" } } },
      { button: { payload: "a", label: "A" } },
    ],
    [
      "a list",
      { type: "interactive", interactive: { type: "list_reply", list_reply: { id: "b", title: "B", description: "…" } } },
      { button: { payload: "b", label: "B" } },
    ],
    ["an image", { type: "image", image: { id: "1" } }, {}],
    ["something Meta cannot show", { type: "unsupported", errors: [{ code: 131051 }] }, {}],
  ])("%s", (_, message, expected) => {
    const element = { kind: "reply", phoneNumberId, from: "16505551234", providerRef: "in", at: "2025-06-16T16:24:05.000Z" };
    expect(answer(message)).toEqual({ elements: [{ ...element, ...expected }], ignored: 0, faults: [] });
  });

  test.each(["reaction", "system", "request_welcome", "edit", "revoke"])("a %s is none", (type) => {
    expect(answer({ type })).toEqual({ elements: [], ignored: 1, faults: [] });
  });

  test("of somebody who shows no number counts if it names our message; else an opt-out must not be lost unseen", () => {
    const nameless = { from: undefined, from_user_id: "US.1349" };
    expect(answer({ ...nameless, context: { id: "wamid.ours" } }).elements).toMatchObject([{ kind: "reply", contextRef: "wamid.ours" }]);
    expect(answer({ ...nameless, type: "text", text: { body: "hello" } })).toMatchObject({ elements: [], ignored: 1, faults: [] });
    expect(answer({ ...nameless, type: "text", text: { body: "STOP" } }).faults).toEqual([expect.stringContaining("an opt-out of user US.1349")]);
  });
});

describe("preferences", () => {
  const preference = (one: Record<string, unknown>) =>
    read(
      body(
        { user_preferences: [{ wa_id: "16505551234", category: "marketing_messages", value: "stop", timestamp: 1731705721, ...one }] },
        "user_preferences",
      ),
    );

  test("stop and resume", () => {
    const element = { kind: "preference", phoneNumberId, from: "16505551234", wanted: "stop", at: "2024-11-15T21:22:01.000Z" };
    expect(preference({}).elements).toEqual([element]);
    expect(preference({ value: "resume" }).elements).toEqual([{ ...element, wanted: "resume" }]);
  });

  test("another category is ignored; no number or no known value is a fault", () => {
    expect(preference({ category: "calls" })).toMatchObject({ ignored: 1, faults: [] });
    expect(preference({ wa_id: undefined, user_id: "US.1" }).faults).toEqual([
      expect.stringContaining("user US.1, who wants stop, shows no phone number"),
    ]);
    expect(preference({ value: "pause" }).faults).toEqual([expect.stringContaining("value is neither stop nor resume")]);
  });
});

describe("the envelope", () => {
  test.each([
    [{ entry: [] }, []],
    [{ entry: {} }, ["the body has no list 'entry'"]],
    [null, ["the body has no list 'entry'"]],
    ["x", ["the body has no list 'entry'"]],
    [
      { entry: [null, { changes: [null, { field: "messages" }, { value: {} }] }] },
      [0, 1, 2].map((i) => `entry[1].changes[${i}]: not an object with 'field' and 'value'`),
    ],
    [body({ statuses: {} }), ["entry[0].changes[0].statuses: not a list"]],
    [body({ statuses: [{ id: "w", status: "sent" }], metadata: null }), ["entry[0].changes[0].statuses[0]: no usable metadata.phone_number_id"]],
    [
      body({ statuses: [{ id: "w", status: "sent" }], metadata: { phone_number_id: "1,2" } }),
      ["entry[0].changes[0].statuses[0]: no usable metadata.phone_number_id"],
    ],
  ])("%j", (envelope, faults) => {
    expect(read(envelope)).toEqual({ elements: [], ignored: 0, faults });
  });

  test("fields of other kinds are ignored, even with statuses in them", () => {
    for (const field of ["account_update", "message_template_status_update", "calls", "constructor", "__proto__"]) {
      expect(read(body({ statuses: [{ id: "w", status: "sent" }] }, field))).toEqual({ elements: [], ignored: 1, faults: [] });
    }
  });

  test("every entry, change and element is read", () => {
    const many = Array.from({ length: 250 }, (_, i) => ({ id: `w${i}`, status: "sent", timestamp: "1750263773" }));
    const { changes } = body({ statuses: many }).entry[0] ?? {};
    const { elements } = read({ entry: [{ changes }, { changes: [...(changes ?? []), ...(changes ?? [])] }, { changes }] });
    expect(elements).toHaveLength(1_000);
  });

  test("the phone numbers it names, each once", () => {
    const of = (...ids: unknown[]) => phoneNumberIdsOf({ entry: [{ changes: ids.map((id) => ({ value: { metadata: { phone_number_id: id } } })) }] });
    expect(of("2", "1", "2", 3, null, "", "a b")).toEqual(["2", "1", "3"]);
    expect(phoneNumberIdsOf("x")).toEqual([]);
  });
});

test("no shape makes it fail, and a broken element never takes a good one with it", () => {
  const odd = fc.object({
    key: fc.constantFrom(
      "id",
      "status",
      "timestamp",
      "errors",
      "code",
      "error_data",
      "from",
      "text",
      "body",
      "button",
      "interactive",
      "context",
      "type",
      "wa_id",
      "value",
    ),
    values: [
      fc.string({ unit: "binary" }),
      fc.integer(),
      fc.constant(null),
      fc.constant("sent"),
      fc.constant("stop"),
      fc.double(),
      fc.array(fc.string()),
    ],
    maxDepth: 4,
  });
  const good = { id: "wamid.good", status: "read", timestamp: "1750263773" };
  fc.assert(
    fc.property(fc.array(odd, { maxLength: 5 }), fc.array(fc.anything(), { maxLength: 3 }), (elements, anything) => {
      const statuses = [...elements, ...anything, good];
      const value = { metadata, statuses, messages: [...anything, ...elements] };
      const webhook = read({ entry: [...anything, { changes: [...elements, { field: "messages", value }] }] });
      expect(webhook.elements).toContainEqual({
        kind: "status",
        phoneNumberId,
        providerRef: "wamid.good",
        status: "read",
        at: "2025-06-18T16:22:53.000Z",
      });
      expect(JSON.stringify(webhook.elements)).not.toMatch(/\\u0000|\\ud[89a-f]/i);
      read(anything);
    }),
  );
});

describe("reach", () => {
  test("is the furthest, in whatever order receipts come", () => {
    expect(reachOf([])).toBeNull();
    expect(reachOf(["failed"])).toBe("failed");
    expect(reachOf(["delivered", "failed"])).toBe("delivered");
    expect(reachOf(["replied", "read", "sent"])).toBe("replied");
  });

  test("never goes back", () => {
    const order = ["failed", "sent", "delivered", "read", "replied"];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...receiptKinds), { minLength: 1 }), fc.constantFrom(...receiptKinds), (had, next) => {
        expect(order.indexOf(reachOf([...had, next]) ?? "")).toBeGreaterThanOrEqual(order.indexOf(reachOf(had) ?? ""));
        expect(implied[next]).toContain(next);
      }),
    );
  });
});
