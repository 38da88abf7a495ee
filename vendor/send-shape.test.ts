import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bodyOf, templateTo, textTo } from "../test/support/vendor.ts";
import { readSend } from "./send-shape.ts";
import { Settings } from "./settings.ts";
import { DEFAULT_PHONE_NUMBER_ID, defaultWorld, type PhoneNumber, putTemplate } from "./world.ts";

const world = defaultWorld("token");
const sender = world.phoneNumbers.get(DEFAULT_PHONE_NUMBER_ID) as PhoneNumber;
const made = { category: "MARKETING", status: "APPROVED", language: "en_US", parameter_format: "POSITIONAL" } as const;
putTemplate(world, { ...made, name: "gone", status: "DISABLED", components: [{ type: "BODY", text: "x" }] });
putTemplate(world, {
  ...made,
  name: "picture",
  components: [
    { type: "HEADER", format: "IMAGE" },
    { type: "BODY", text: "Look" },
  ],
});
putTemplate(world, {
  ...made,
  name: "titled",
  components: [
    { type: "HEADER", format: "TEXT", text: "Dear {{1}}" },
    { type: "BODY", text: "Hi" },
  ],
});
putTemplate(world, {
  ...made,
  name: "buttons",
  components: [
    { type: "BODY", text: "Hi" },
    {
      type: "BUTTONS",
      buttons: [
        { type: "QUICK_REPLY", text: "Yes" },
        { type: "URL", text: "Fixed", url: "https://a.example/" },
        { type: "URL", text: "Yours", url: "https://a.example/{{1}}" },
        { type: "COPY_CODE", text: "Copy" },
      ],
    },
  ],
});

const quirks = Settings.parse({}).quirks;
const read = (body: unknown, changed: Partial<typeof quirks> = {}) => readSend(body, { world, sender, quirks: { ...quirks, ...changed } });
const TO = "+16505551234";
const template = (change: Record<string, unknown>) => templateTo(TO, change);
const components = (...list: unknown[]) => ({ components: list });
const named = (...pairs: [string | undefined, string][]) => ({
  type: "body",
  parameters: pairs.map(([parameter_name, text]) => ({ type: "text", parameter_name, text })),
});
const company = { type: "header", parameters: [{ type: "text", parameter_name: "company", text: "Acme" }] };
const offerButton = { type: "button", sub_type: "url", index: "0", parameters: [{ type: "text", text: "abc" }] };
const spring = (...list: unknown[]) => template({ name: "spring_offer", components: list });
const urlButton = (parameters: unknown[]) => ({ type: "button", sub_type: "url", index: 2, parameters });
const codeButton = { type: "button", sub_type: "copy_code", index: 3, parameters: [{ type: "coupon_code", coupon_code: "SAVE" }] };
const withButtons = (...list: unknown[]) => template({ name: "buttons", components: list });
const picture = (parameter: unknown) => template({ name: "picture", components: [{ type: "header", parameters: [parameter] }] });

const refusals: readonly [name: string, body: unknown, code: number, status: number, sentence: RegExp | string][] = [
  ["no JSON", undefined, 100, 400, "(#100) The parameter messaging_product is required."],
  ["an array", [], 100, 400, /messaging_product is required/],
  ["no messaging_product", { ...textTo(TO), messaging_product: undefined }, 100, 400, /The parameter messaging_product is required/],
  ["another product", textTo(TO, { messaging_product: "sms" }), 100, 400, /messaging_product must be one of \{WHATSAPP\} - got "sms"/],
  ["no to", { ...textTo(TO), to: undefined }, 100, 400, "(#100) The parameter to is required."],
  ["empty to", textTo(""), 100, 400, /The parameter to is required/],
  ["to a number", { ...textTo(TO), to: 16505551234 }, 100, 400, /Param to must be a string/],
  ["to garbage", textTo("Ada"), 131009, 400, "Parameter Invalid"],
  ["to too short", textTo("+12345"), 131009, 400, "Parameter Invalid"],
  ["to too long", textTo("+1234567890123456"), 131009, 400, "Parameter Invalid"],
  ["to with letters", textTo("+1650555CALL"), 131009, 400, "Parameter Invalid"],
  ["to with 00", textTo("0016505551234"), 100, 400, "Parameter Invalid"],
  ["to itself", textTo("+1 (555) 078-3881"), 131021, 400, /Recipient cannot be sender/],
  ["a group", textTo(TO, { recipient_type: "group" }), 100, 400, /recipient_type must be one of/],
  ["an unknown type", textTo(TO, { type: "telegram" }), 100, 400, /Param type must be one of/],
  ["a type that is not a string", textTo(TO, { type: 7 }), 100, 400, /Param type must be one of/],
  ["a type not simulated", { ...textTo(TO), type: "image", image: { id: "1" } }, 131051, 400, /Unsupported message type/],
  ["an unknown key", textTo(TO, { typ: "text" }), 100, 400, 'Unexpected key "typ".'],
  ["a long callback", textTo(TO, { biz_opaque_callback_data: "x".repeat(513) }), 100, 400, /at most 512 characters/],
  ["a callback object", textTo(TO, { biz_opaque_callback_data: {} }), 100, 400, /must be a string/],
  ["an empty context", textTo(TO, { context: {} }), 100, 400, /context\['message_id'\] is required/],
  ["no text", { ...textTo(TO), text: undefined }, 100, 400, /text\['body'\] is required/],
  ["an empty text", textTo(TO, { text: { body: "" } }), 100, 400, /text\['body'\] is required/],
  ["a text of another type", textTo(TO, { text: { body: 7 } }), 100, 400, "(#100) Param text['body'] must be a string."],
  ["a long text", textTo(TO, { text: { body: "x".repeat(4097) } }), 100, 400, "(#100) Param text['body'] must be at most 4096 characters long."],
  ["an unknown text key", textTo(TO, { text: { body: "x", html: true } }), 100, 400, 'Unexpected key "html" on param "text".'],
  ["a preview that is no boolean", textTo(TO, { text: { body: "x", preview_url: "yes" } }), 100, 400, /must be a boolean/],
  ["no template", { ...templateTo(TO), template: undefined }, 100, 400, /template\['name'\] is required/],
  ["no template name", template({ name: undefined }), 100, 400, /template\['name'\] is required/],
  ["no language", template({ language: undefined }), 100, 400, /template\['language'\] is required/],
  ["no language code", template({ language: {} }), 100, 400, /template\['language'\]\['code'\] is required/],
  ["a language as a string", template({ language: "en_US" }), 100, 400, /template\['language'\] is required/],
  ["an unknown template key", template({ lang: "en" }), 100, 400, 'Unexpected key "lang" on param "template".'],
  ["an unknown template", template({ name: "nope" }), 132001, 404, "template name (nope) does not exist in en_US"],
  ["an unknown language", template({ language: { code: "de" } }), 132001, 404, "template name (hello_campanile) does not exist in de"],
  ["a rejected template", template({ name: "free_money" }), 132001, 404, "template name (free_money) is not approved in en_US"],
  ["a paused template", template({ name: "winter_sale" }), 132015, 400, /paused due to low quality/],
  ["a disabled template", template({ name: "gone" }), 132016, 400, /permanently disabled/],
  [
    "too few body parameters",
    template(components()),
    132000,
    400,
    "body: number of localizable_params (0) does not match the expected number of params (1)",
  ],
  ["too many body parameters", template(components(bodyOf("a", "b"))), 132000, 400, /localizable_params \(2\) does not match .*\(1\)/],
  ["parameters nobody declared", template({ name: "hello_world", components: [bodyOf("a")] }), 132000, 400, /\(1\) does not match .*\(0\)/],
  [
    "no header parameter",
    template({ name: "titled", components: [] }),
    132000,
    400,
    "header: number of localizable_params (0) does not match the expected number of params (1)",
  ],
  ["a header nobody declared", template(components(company, bodyOf("Ada"))), 132018, 400, /does not contain a header/],
  ["a name in a positional template", template(components(named(["first_name", "Ada"]))), 132012, 400, /expected POSITIONAL, received NAMED/],
  ["no name in a named template", spring(company, bodyOf("Ada", "Acme"), offerButton), 100, 400, "Parameter name is missing or empty"],
  [
    "a wrong name",
    spring(company, named(["name", "Ada"], ["company", "Acme"]), offerButton),
    100,
    400,
    "Parameter name is missing for the parameter '{{first_name}}'",
  ],
  [
    "an image in the body",
    template(components({ type: "body", parameters: [{ type: "image", image: { id: "1" } }] })),
    132012,
    400,
    /body: Format mismatch/,
  ],
  [
    "a parameter without its text",
    template(components({ type: "body", parameters: [{ type: "text" }] })),
    100,
    400,
    "Parameter 'text' is mandatory for component parameter type 'text'",
  ],
  ["a currency without its object", template(components({ type: "body", parameters: [{ type: "currency" }] })), 100, 400, /'currency' is mandatory/],
  ["a parameter without type", template(components({ type: "body", parameters: [{}] })), 100, 400, /\['type'\] is required/],
  ["a parameter that is a string", template(components({ type: "body", parameters: ["Ada"] })), 100, 400, /array of JSON objects/],
  ["parameters that are no array", template(components({ type: "body", parameters: {} })), 100, 400, /must be an array/],
  ["components that are no array", template({ components: {} }), 100, 400, /template\['components'\] must be an array/],
  ["a component that is a string", template(components("body")), 100, 400, /must be a JSON object/],
  ["a component without type", template(components({ parameters: [] })), 100, 400, /\['type'\] is required/],
  ["an unknown component", template(components(bodyOf("Ada"), { type: "sidebar" })), 132018, 400, "Unknown component type 'sidebar'"],
  ["an unknown component key", template(components({ ...bodyOf("Ada"), subtype: "x" })), 100, 400, /Unexpected key "subtype"/],
  ["an empty parameter", template(components(bodyOf(""))), 131008, 400, "Parameter of type text is missing text value"],
  ["a blank parameter", template(components(bodyOf("  "))), 131008, 400, "Parameter of type text is missing text value"],
  [
    "a newline",
    template(components(bodyOf("a\nb"))),
    132018,
    400,
    "Param text cannot have new-line/tab characters or more than 4 consecutive spaces",
  ],
  ["a tab", template(components(bodyOf("a\tb"))), 132018, 400, /new-line\/tab/],
  ["five spaces", template(components(bodyOf("a     b"))), 132018, 400, /more than 4 consecutive spaces/],
  ["a body too long when filled", template(components(bodyOf("x".repeat(1_000)))), 132005, 400, /^Translated text too long.* 1026, .* 1024$/],
  [
    "a header too long when filled",
    template({ name: "titled", components: [{ type: "header", parameters: [{ type: "text", text: "x".repeat(56) }] }] }),
    132005,
    400,
    /61, .* 60$/,
  ],
  ["no picture", template({ name: "picture", components: [] }), 132012, 400, "header: Format mismatch, expected IMAGE, received UNKNOWN"],
  ["a video for a picture", picture({ type: "video", video: { id: "1" } }), 132012, 400, "header: Format mismatch, expected IMAGE, received VIDEO"],
  ["a picture that is none", picture({ type: "image" }), 100, 400, "Parameter 'image' is mandatory for component parameter type 'image'"],
  ["a picture without id or link", picture({ type: "image", image: {} }), 132018, 400, "Either one of media ID or link must be present"],
  ["no parameter for a dynamic URL", withButtons(codeButton), 131008, 400, "buttons: Button at index 2 of type Url requires a parameter"],
  ["an empty button", withButtons(urlButton([]), codeButton), 131008, 400, /index 2 of type Url requires a parameter/],
  ["an empty suffix", withButtons(urlButton([{ type: "text", text: "" }]), codeButton), 100, 400, /'text' is mandatory .* cannot be empty/],
  ["a payload for a URL", withButtons(urlButton([{ type: "payload", payload: "x" }]), codeButton), 132012, 400, /expected text, received payload/],
  ["a suffix with a newline", withButtons(urlButton([{ type: "text", text: "a\nb" }]), codeButton), 132018, 400, /new-line/],
  ["no coupon code", withButtons(urlButton([{ type: "text", text: "a" }])), 131008, 400, /index 3 of type copy_code requires a parameter/],
  ["a parameter for a fixed URL", withButtons({ ...offerButton, index: 1 }), 132018, 400, /index 1 of type Url does not require parameters/],
  ["another type of button", withButtons({ ...offerButton, index: 0 }), 132018, 400, "buttons: Button at index 0 must be of type QuickReply"],
  ["a button nobody declared", withButtons({ ...offerButton, index: 9 }), 132018, 400, /index 9 does not exist/],
  ["a button without index", withButtons({ ...offerButton, index: undefined }), 100, 400, /\['index'\] is required/],
];

test.each(refusals)("refuses %s", (_, body, code, status, sentence) => {
  const fault = read(body);
  expect(fault).toMatchObject({ code, status });
  const { error } = JSON.parse((fault as { body: string }).body);
  expect(error).toMatchObject({ code, message: expect.stringMatching(new RegExp(`^\\(#${code}\\) `)) });
  expect(error.type).toBe("OAuthException");
  expect(error.fbtrace_id).toMatch(/^A[\w-]{22}$/);
  const said = [error.message, error.message.replace(`(#${code}) `, ""), error.error_data?.details ?? ""];
  if (typeof sentence === "string") expect(said).toContain(sentence);
  else expect(said.some((each) => sentence.test(each))).toBe(true);
});

const accepted: readonly [name: string, body: unknown][] = [
  ["a text", textTo(TO)],
  ["a text without type", { ...textTo(TO), type: undefined, recipient_type: undefined }],
  ["a text of 4,096 characters", textTo(TO, { text: { body: "😀".repeat(4096), preview_url: true } })],
  ["a callback of 512 characters", textTo(TO, { biz_opaque_callback_data: "x".repeat(512) })],
  ["an answer to a message", textTo(TO, { context: { message_id: "wamid.x" } })],
  ["a positional template", templateTo(TO)],
  ["another language", template({ language: { code: "pt_BR", policy: "deterministic" } })],
  ["four spaces", template(components(bodyOf("a    b")))],
  ["a body just long enough", template(components(bodyOf("x".repeat(998))))],
  ["a parameter that only has text", template(components({ type: "BODY", parameters: [{ text: "Ada" }] }))],
  [
    "a currency",
    template(components({ type: "body", parameters: [{ type: "currency", currency: { fallback_value: "$1", code: "USD", amount_1000: 1000 } }] })),
  ],
  ["a template without variables", template({ name: "vendor_signup_confirmation", components: undefined })],
  ["no variables and empty components", template({ name: "hello_world", components: [] })],
  ["a named template, in any order", spring(company, named(["company", "Acme"], ["first_name", "Ada"]), offerButton)],
  ["a picture by id", picture({ type: "image", image: { id: "1" } })],
  ["a picture by link", picture({ type: "image", image: { link: "https://a.example/p.jpg" } })],
  [
    "every button",
    withButtons(
      { type: "button", sub_type: "quick_reply", index: "0", parameters: [{ type: "payload", payload: "YES" }] },
      urlButton([{ type: "text", text: "x" }]),
      codeButton,
    ),
  ],
];

test.each(accepted)("accepts %s", (_, body) => {
  expect(read(body)).toMatchObject({ input: TO, to: "16505551234", waId: "16505551234" });
});

describe("numbers", () => {
  test.each([
    ["+1 (650) 555-1234", "16505551234"],
    ["16505551234", "16505551234"],
    ["+52 1 55 1234 5678", "5215512345678"],
  ])("%s leads to %s", (to, digits) => expect(read(textTo(to))).toMatchObject({ input: to, to: digits }));

  test("a number without + gets the sender's country code where Meta does that", () => {
    expect(read(textTo("(631) 555-1234"), { prependCountryCode: true })).toMatchObject({ to: "16315551234" });
    expect(read(textTo("+6315551234"), { prependCountryCode: true })).toMatchObject({ to: "6315551234" });
  });

  test.each([
    ["mexico", "+525512345678", "5215512345678"],
    ["brazil", "+5531987654321", "553187654321"],
    ["brazil", "+5511987654321", "5511987654321"],
  ] as const)("%s: %s is known as %s", (quirk, to, waId) => {
    const plain = read(textTo(to));
    expect(plain).toMatchObject({ to: to.slice(1), waId: to.slice(1) });
    expect(read(textTo(to), { [quirk]: true })).toMatchObject({ to: to.slice(1), waId });
  });
});

test("two texts can be told apart, and neither is kept", () => {
  const hash = (body: string) => (read(textTo(TO, { text: { body } })) as { bodyHash: string }).bodyHash;
  expect(hash("Hello")).toMatch(/^[0-9a-f]{16}$/);
  expect(hash("Hello")).not.toBe(hash("Hello!"));
});

test("whatever JSON comes, the answer is a send or a refusal, never a crash", () => {
  const nested = fc.json().map((text): unknown => JSON.parse(text));
  const shaped = fc.record(
    { messaging_product: fc.constant("whatsapp"), to: fc.constant(TO), type: fc.constantFrom("text", "template"), text: nested, template: nested },
    { requiredKeys: ["messaging_product", "to", "type"] },
  );
  const almost = fc.record(
    { type: fc.constantFrom("header", "body", "button"), parameters: nested, index: nested, sub_type: nested },
    { requiredKeys: ["type"] },
  );
  const close = fc
    .record({ name: fc.constantFrom("spring_offer", "buttons", "picture"), components: fc.array(almost) })
    .map((given) => template(given));
  fc.assert(
    fc.property(fc.oneof(nested, shaped, close), (body) => {
      const result = read(body);
      expect("to" in result || "code" in result).toBe(true);
    }),
    { numRuns: 500 },
  );
});
