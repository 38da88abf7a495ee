import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TemplateComponent } from "./message.ts";
import { compileMessage } from "./message-render.ts";

const template = (...components: TemplateComponent[]) => compileMessage({ type: "template", name: "spring", language: "en_US", components });
const body = (...texts: string[]): TemplateComponent => ({ type: "body", parameters: texts.map((text) => ({ type: "text", text })) });

describe("a text", () => {
  test("is filled in and cleaned", () => {
    const message = compileMessage({ type: "text", text: "Hi {{ firstName }},\r\n{{ company | default: 'friend' }} \n" });
    expect(message).toMatchObject({ variables: ["firstName", "company"], required: ["firstName"] });
    expect(message.render({ firstName: "Ana" })).toEqual({ ok: true, message: { type: "text", text: "Hi Ana,\nfriend" } });
    expect(message.render({})).toEqual({ ok: false, reason: "missing_variable", detail: "firstName" });
  });

  test("has 1 to 4096 characters", () => {
    const message = compileMessage({ type: "text", text: "{{ text }}" });
    expect(message.render({ text: " \u200b " })).toEqual({ ok: false, reason: "invalid", detail: "The text is empty." });
    expect(message.render({ text: "x".repeat(4_096) })).toMatchObject({ ok: true });
    expect(message.render({ text: "x".repeat(4_097) })).toEqual({
      ok: false,
      reason: "invalid",
      detail: "The text has 4097 characters; WhatsApp takes 4096.",
    });
  });
});

describe("a template", () => {
  test("keeps its shape; every value is filled in and cleaned", () => {
    const message = template(
      { type: "header", parameters: [{ type: "document", link: "https://x.example/{{ file }}.pdf", filename: "{{ firstName }}.pdf" }] },
      {
        type: "body",
        parameters: [
          { type: "text", parameter_name: "first_name", text: "{{ firstName }}" },
          { type: "text", parameter_name: "city", text: "Pune" },
        ],
      },
      { type: "button", sub_type: "url", index: 0, parameters: [{ type: "text", text: "o/{{ code }}" }] },
      { type: "button", sub_type: "quick_reply", index: 1, parameters: [{ type: "payload", payload: "stop {{ code }}" }] },
      { type: "button", sub_type: "copy_code", index: 2, parameters: [{ type: "coupon_code", coupon_code: "{{ code }}" }] },
    );
    expect(message.required).toEqual(["file", "firstName", "code"]);
    expect(message.render({ firstName: "Ana\n\nMaria", file: "a b", code: "X1" })).toEqual({
      ok: true,
      message: {
        type: "template",
        name: "spring",
        language: "en_US",
        components: [
          { type: "header", parameters: [{ type: "document", link: "https://x.example/a%20b.pdf", filename: "Ana Maria.pdf" }] },
          {
            type: "body",
            parameters: [
              { type: "text", parameter_name: "first_name", text: "Ana Maria" },
              { type: "text", parameter_name: "city", text: "Pune" },
            ],
          },
          { type: "button", sub_type: "url", index: 0, parameters: [{ type: "text", text: "o/X1" }] },
          { type: "button", sub_type: "quick_reply", index: 1, parameters: [{ type: "payload", payload: "stop X1" }] },
          { type: "button", sub_type: "copy_code", index: 2, parameters: [{ type: "coupon_code", coupon_code: "X1" }] },
        ],
      },
    });
  });

  test.each<[string, TemplateComponent, string, string]>([
    ["an empty value", body("{{ x }}"), " \n ", "Body parameter 1 is empty."],
    ["a long value", body("a", "{{ x }}"), "x".repeat(1_025), "Body parameter 2 has 1025 characters; WhatsApp takes 1024."],
    [
      "a long header",
      { type: "header", parameters: [{ type: "text", text: "{{ x }}" }] },
      "x".repeat(61),
      "Header parameter 1 has 61 characters; WhatsApp takes 60.",
    ],
    [
      "a code with a space",
      { type: "button", sub_type: "copy_code", index: 1, parameters: [{ type: "coupon_code", coupon_code: "{{ x }}" }] },
      "A B",
      'The value of button 1 is "A B"; a coupon code has letters and digits only.',
    ],
    [
      "no address",
      { type: "header", parameters: [{ type: "image", link: "{{ x }}" }] },
      "ftp://x",
      'Header parameter 1 is "ftp://x"; the address of the image must begin with https://.',
    ],
    [
      "no file name",
      { type: "header", parameters: [{ type: "document", link: "https://x.example/a", filename: "{{ x }}" }] },
      "\u0000",
      "The file name of header parameter 1 is empty.",
    ],
  ])("%s is invalid", (_name, component, x, detail) => {
    expect(template(component).render({ x })).toEqual({ ok: false, reason: "invalid", detail });
  });

  test("a fixed value that WhatsApp would refuse is refused when the campaign is made", () => {
    expect(() => template(body("ok", " \t "))).toThrow("Template spring (en_US): Body parameter 2 is empty.");
    expect(() => template(body("{{ x"))).toThrow("never closed");
  });

  test("what is the same for everybody is made once", () => {
    const message = template(body("Pune"), { type: "button", sub_type: "url", index: 0, parameters: [{ type: "text", text: "{{ x }}" }] });
    const [first, second] = [message.render({ x: "1" }), message.render({ x: "2" })];
    if (!first.ok || !second.ok || first.message.type !== "template" || second.message.type !== "template") throw new Error("not rendered");
    expect(first.message.components[0]).toBe(second.message.components[0]);
    expect(first.message.components[1]).not.toEqual(second.message.components[1]);
  });
});

test("no parameter ever breaks WhatsApp's rule, whatever a contact's values are", () => {
  const message = template(body("{{ a }}", "Dear {{ b | default: 'friend' }}", "{{ a | upcase }}"));
  // fast-check's own unit "binary" takes 30 ms per string to make
  const hostile = fc
    .array(fc.oneof(fc.integer({ min: 0, max: 0xffff }), fc.constantFrom(9, 10, 13, 32, 0x200b, 0xd83d)))
    .map((codes) => String.fromCharCode(...codes));
  fc.assert(
    fc.property(hostile, fc.string({ unit: fc.constantFrom(" ", "\n", "\t", "x", "{{ a }}") }), (a, b) => {
      const rendering = message.render({ a, b });
      if (!rendering.ok || rendering.message.type !== "template") return;
      for (const { parameters } of rendering.message.components) {
        for (const parameter of parameters) expect(parameter.type === "text" ? parameter.text : "").toMatch(/^(?!.*(?:[\n\t\r]| {5})).+$/su);
      }
    }),
  );
});
