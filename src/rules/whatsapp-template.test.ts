import { describe, expect, test } from "vitest";
import { Refusal } from "./refusal.ts";
import { bindTemplate, type ListedComponent, planOf, type WhatsAppTemplate } from "./whatsapp-template.ts";

const template = (components: ListedComponent[], parameterFormat: WhatsAppTemplate["parameterFormat"] = "POSITIONAL"): WhatsAppTemplate => ({
  name: "offer",
  language: "en_US",
  parameterFormat,
  components,
});
const body = (text: string): ListedComponent => ({ type: "BODY", text });
const text = (value: string, name?: string) => ({ type: "text", ...(name === undefined ? {} : { parameter_name: name }), text: value });

const rich = template([
  { type: "HEADER", format: "TEXT", text: "Act fast, {{1}}!" },
  body("Use {{1}} within {{2}} days: {{1}}"),
  { type: "FOOTER", text: "Shop" },
  {
    type: "BUTTONS",
    buttons: [
      { type: "URL", text: "Deals", url: "https://x.example/deals" },
      { type: "URL", text: "Offer", url: "https://x.example/{{1}}" },
      { type: "COPY_CODE", text: "Copy" },
      { type: "QUICK_REPLY", text: "Stop" },
    ],
  },
]);
const named = template([body("Hi {{first_name}}, {{day}} in {{city_name}}")], "NAMED");

test("the plan says what must be supplied", () => {
  expect(planOf(rich)).toEqual({
    named: false,
    header: { kind: "text", names: ["1"] },
    body: ["1", "2"],
    buttons: [
      { index: 1, subType: "url", required: true },
      { index: 2, subType: "copy_code", required: true },
      { index: 3, subType: "quick_reply", required: false },
    ],
  });
  expect(planOf(named)).toEqual({ named: true, header: null, body: ["first_name", "day", "city_name"], buttons: [] });
  expect(planOf(template([body("{{10}}{{2}}{{1}}")])).body).toEqual(["1", "2", "10"]);
});

test("given values go where the template wants them", () => {
  const given = {
    header: ["{{ firstName }}"],
    body: ["SPRING", "3"],
    buttons: [
      { index: 2, value: "25OFF" },
      { index: 1, value: "o/{{ code }}" },
      { index: 3, value: "stop" },
    ],
  };
  expect(bindTemplate(rich, given)).toEqual([
    { type: "header", parameters: [text("{{ firstName }}")] },
    { type: "body", parameters: [text("SPRING"), text("3")] },
    { type: "button", sub_type: "url", index: 1, parameters: [text("o/{{ code }}")] },
    { type: "button", sub_type: "copy_code", index: 2, parameters: [{ type: "coupon_code", coupon_code: "25OFF" }] },
    { type: "button", sub_type: "quick_reply", index: 3, parameters: [{ type: "payload", payload: "stop" }] },
  ]);
  expect(bindTemplate(named, { body: { day: "Monday", first_name: "{{ firstName }}", city_name: "Pune" } })).toEqual([
    { type: "body", parameters: [text("{{ firstName }}", "first_name"), text("Monday", "day"), text("Pune", "city_name")] },
  ]);
  expect(bindTemplate(template([body("{{1}} {{2}}")]), { body: { 2: "b", 1: "a" } })).toEqual([{ type: "body", parameters: [text("a"), text("b")] }]);
  expect(bindTemplate(template([{ type: "HEADER", format: "DOCUMENT" }, body("Hi")]), { header: ["https://x.example/a.pdf", "a.pdf"] })).toEqual([
    { type: "header", parameters: [{ type: "document", link: "https://x.example/a.pdf", filename: "a.pdf" }] },
  ]);
  expect(bindTemplate(template([body("Hello")]), {})).toEqual([]);
});

describe("without given values", () => {
  test("a named parameter reads the variable of its name, in either spelling", () => {
    expect(bindTemplate(named, undefined, { code: "X" })).toEqual([
      {
        type: "body",
        parameters: [
          text("{{ first_name | default: firstName }}", "first_name"),
          text("{{ day }}", "day"),
          text("{{ city_name | default: cityName }}", "city_name"),
        ],
      },
    ]);
  });

  test("a list fills header, body and buttons in order", () => {
    expect(bindTemplate(rich, undefined, ["Ana", "SPRING", 3, "o/1", "25OFF"])).toEqual([
      { type: "header", parameters: [text("Ana")] },
      { type: "body", parameters: [text("SPRING"), text("3")] },
      { type: "button", sub_type: "url", index: 1, parameters: [text("o/1")] },
      { type: "button", sub_type: "copy_code", index: 2, parameters: [{ type: "coupon_code", coupon_code: "25OFF" }] },
    ]);
    expect(bindTemplate(named, undefined, ["Ana", "Monday", "Pune"])[0]?.parameters[0]).toEqual(text("Ana", "first_name"));
  });

  test("keys fill what they name; others are the campaign's own business", () => {
    const keys = { 1: "SPRING", 2: 3, header: "{{ firstName }}", button_1: "o/1", button_2: "25OFF", shop: "Pune" };
    expect(bindTemplate(rich, undefined, keys)).toEqual(bindTemplate(rich, undefined, ["{{ firstName }}", "SPRING", 3, "o/1", "25OFF"]));
  });

  test("a template that needs nothing gets nothing", () => {
    expect(bindTemplate(template([body("Hello")]), undefined)).toEqual([]);
  });

  test("a refusal lists everything that is needed", () => {
    expect(faultsOf(() => bindTemplate(rich, undefined, { 1: "SPRING" }))).toEqual({
      message:
        "Template offer (en_US): header parameter 1 is missing; body parameter 2 is missing; the end of the address of button 1 is missing; the code to copy of button 2 is missing. " +
        'Give them as variables: {"header": "…", "1": "…", "2": "…", "button_1": "…", "button_2": "…"}.',
      paths: ["components.header[0]", "components.body.2", "components.buttons", "components.buttons"],
    });
    expect(faultsOf(() => bindTemplate(template([body("{{1}}")]), undefined, ["a", "b"])).message).toContain(
      "2 variables are given and 1 are needed",
    );
  });
});

describe("missing and superfluous values are refused by name", () => {
  test.each<[string, WhatsAppTemplate, Parameters<typeof bindTemplate>[1], string[]]>([
    [
      "too few and too many",
      template([body("{{1}} {{2}}")]),
      { header: ["x"], body: ["a"], buttons: [{ index: 0, value: "v" }] },
      ["header value 1 is too many: the header takes none", "body parameter 2 is missing", "button 0 takes no value"],
    ],
    ["a list too long", template([body("{{1}}")]), { body: ["a", "b"] }, ["body parameter 2 is too many: the body has only 1"]],
    ["nothing to fill", template([body("Hi")]), { body: ["a"] }, ["body parameter 1 is too many: the body has no parameters"]],
    [
      "a wrong name",
      named,
      { body: { first_name: "a", day: "b", town: "c" } },
      ["body parameter town is too many: the body has only first_name, day, city_name", "body parameter city_name is missing"],
    ],
    [
      "a list for names",
      named,
      { body: ["a", "b", "c"] },
      ["the body's parameters have names (first_name, day, city_name): give an object, not a list"],
    ],
    ["an empty value", template([body("{{1}}")]), { body: [""] }, ["body parameter 1 is missing"]],
    ["no image", template([{ type: "HEADER", format: "IMAGE" }, body("Hi")]), {}, ["the header's image (an https address) is missing"]],
    [
      "two files",
      template([{ type: "HEADER", format: "DOCUMENT" }, body("Hi")]),
      { header: ["https://a", "b", "c"] },
      ["header value 3 is too many: the header takes 2"],
    ],
    [
      "a button twice",
      rich,
      {
        header: ["a"],
        body: ["b", "c"],
        buttons: [
          { index: 1, value: "x" },
          { index: 1, value: "y" },
          { index: 2, value: "z" },
        ],
      },
      ["button 1 is given twice"],
    ],
    [
      "a button that takes none",
      rich,
      {
        header: ["a"],
        body: ["b", "c"],
        buttons: [
          { index: 0, value: "x" },
          { index: 1, value: "y" },
          { index: 2, value: "z" },
        ],
      },
      ["button 0 takes no value"],
    ],
  ])("%s", (_name, listed, given, causes) => {
    expect(faultsOf(() => bindTemplate(listed, given)).message).toBe(`Template offer (en_US): ${causes.join("; ")}.`);
  });
});

test.each([
  [template([{ type: "HEADER", format: "LOCATION" }, body("Hi")]), "its header is a location, which cannot be sent from here."],
  [template([{ type: "CAROUSEL" }]), "it has a carousel, which cannot be sent from here."],
  [template([body("Hi"), { type: "BUTTONS", buttons: [{ type: "FLOW" }] }]), "its button 0 is of type FLOW, which cannot be sent from here."],
])("a template that cannot be filled is refused", (listed, cause) => {
  expect(() => bindTemplate(listed, undefined)).toThrow(cause);
});

function faultsOf(work: () => unknown): { message: string; paths: string[] } {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return { message: error.message, paths: error.faults.map((fault) => fault.path) };
    throw error;
  }
  throw new Error("nothing was refused");
}
