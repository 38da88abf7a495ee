import fc from "fast-check";
import { Liquid } from "liquidjs";
import { describe, expect, test } from "vitest";
import type { Variables } from "./message.ts";
import { Refusal } from "./refusal.ts";
import { compileText, renderText } from "./template.ts";

const say = (source: string, variables: Variables = {}) => renderText(compileText(source), variables);
const missing = (detail: string) => ({ ok: false, reason: "missing_variable", detail });

describe("what a text becomes", () => {
  test.each<[string, Variables, unknown]>([
    ["Hi {{ firstName }}, {{company}}!", { firstName: "Ana", company: "Acme" }, "Hi Ana, Acme!"],
    ["{{ n }} {{ yes }} {{ zero }}", { n: 1.5, yes: true, zero: 0 }, "1.5 true 0"],
    ["no variables", {}, "no variables"],
    ["", {}, ""],
    ["Hi {{ firstName }}", {}, missing("firstName")],
    ["Hi {{ firstName }}", { firstName: null }, missing("firstName")],
    ["Hi {{ firstName }}", { firstName: "" }, missing("firstName")],
    ['Hi {{ firstName | default: "there" }}', {}, "Hi there"],
    ["Hi {{ firstName | default: 'there' }}", { firstName: "" }, "Hi there"],
    ['Hi {{ firstName | default: "" }}!', {}, "Hi !"],
    ["Hi {{ first_name | default: firstName }}", { firstName: "Ana" }, "Hi Ana"],
    ["Hi {{ first_name | default: firstName }}", {}, missing("first_name")],
    ['Hi {{ a | default: b | default: "c" }}', {}, "Hi c"],
    ["{{ a }}{{ b }}", {}, missing("a")],
    ["{{ имя }}, {{ prénom }}, {{ 名前 }}", { имя: "А", prénom: "B", 名前: "C" }, "А, B, C"],
    // the whole of Liquid
    ["{{ name | upcase }}", { name: "ana" }, "ANA"],
    ["{{ name | upcase }}", {}, missing("name")],
    ['{{ name | default: "you" | upcase }}', {}, "YOU"],
    ["{{ name | upcase | default: other }}", {}, missing("name")],
    ["{{ name | upcase | default: other }}", { other: "o" }, "o"],
    ["{{ 'x' | append: last }}", {}, missing("last")],
    ["{% if company %}at {{ company }}{% endif %}.", {}, "."],
    ["{% if company %}at {{ company }}{% endif %}.", { company: "" }, "."],
    ["{% if company %}at {{ company }}{% endif %}.", { company: "Acme" }, "at Acme."],
    ["{% if company %}{% else %}{{ name }}{% endif %}", {}, missing("name")],
    ["{% unless company %}{{ company }}{% endunless %}", {}, missing("company")],
    ['{% if tier == "gold" %}Gold{% else %}Hello{% endif %}', {}, "Hello"],
    ["{% assign name = name | capitalize %}{{ name }}", { name: "ana" }, "Ana"],
    ["{% assign name = name | capitalize %}{{ name }}", {}, missing("name")],
    ['{% assign who = name | default: "there" %}{{ who }}', {}, "there"],
    ["{% capture x %}{% if vip %}dear {% endif %}{% endcapture %}{{ x }}you", {}, "you"],
    ["{% for tag in tags %}{{ tag }}{% endfor %}", {}, ""],
    ["{% assign list = 'a,b' | split: ',' %}{% for x in list %}{{ x }}{{ name }}{% endfor %}", { name: "N" }, "aNbN"],
    ["{% cycle a, b %}", { a: "A" }, missing("b")],
    ["{% liquid echo name %}", {}, missing("name")],
    ["{% raw %}{{ name }}{% endraw %}", {}, "{{ name }}"],
    ["{% comment %}{{ name }}{% endcomment %}x", {}, "x"],
    ["{{ name.size }}", { name: "abc" }, "3"],
    ["{{ name.first }}", {}, missing("name.first")],
    ["{{ a[b] }}", {}, missing("a[b]")],
  ])("%s with %j", (source, variables, expected) => {
    expect(say(source, variables)).toEqual(expected);
  });
});

test("the names a text reads, and those without which it is never rendered", () => {
  const names = (source: string) => (({ variables, required }) => ({ variables, required }))(compileText(source));
  expect(names("{{ a }} {{ b | default: 'x' }} {{ c | default: d }} {{ a }}")).toEqual({ variables: ["a", "b", "c", "d"], required: ["a"] });
  expect(names("{{ a | upcase }} {% if b %}{{ b }} {{ c }}{% endif %} {{ d.e.f }} {% assign x = g %}{{ x }}")).toEqual({
    variables: ["a", "b", "c", "d.e.f", "g"],
    required: ["a", "d.e.f", "g"],
  });
});

describe("a text that cannot be understood", () => {
  test.each([
    ["Hi\n  {{ name", "line 2, column 3: {{ name is never closed with }}."],
    ["{% if x %}a", "line 1, column 1: {% if x %} is never closed."],
    ["a{% endif %}", "line 1, column 2: {% endif %} has no beginning before it."],
    ["{% else %}", "line 1, column 1: {% else %} has no beginning before it."],
    ["{% raw %}{{ x }}", "line 1, column 10: {% raw %} is never closed with {% endraw %}."],
    ["{% foo %}", 'line 1, column 1: there is no tag "foo".'],
    ["{{ x | nope }}", 'line 1, column 1: there is no filter "nope".'],
    ["{{ }}", "line 1, column 4: there is nothing to print between {{ and }}."],
    ["{{{ name }}}", 'line 1, column 3: "{ name" is no variable and no value.'],
    ["Hi {{ 1 }}", "line 1, column 4: {{ 1 }} prints the number 1. Put a variable's name there, for example {{ firstName }}."],
    ["{{ first name }}", "line 1, column 1: {{ first name }} names more than one thing. A variable's name has no spaces: {{ first_name }}."],
    ["x".repeat(65_537), "a template has at most 65536 characters."],
    ["{% if a %}".repeat(3_000) + "{% endif %}".repeat(3_000), "it is nested too deeply."],
  ])("is refused with line and column (%#)", (source, cause) => {
    expect(() => compileText(source)).toThrow(Refusal);
    expect(() => compileText(source)).toThrow(cause);
  });

  test.each(["include", "render", "layout", "block"])("{%% %s %%} would read a file: there is no such tag", (tag) => {
    expect(() => compileText(`{% ${tag} "package.json" %}`)).toThrow(`there is no tag "${tag}"`);
  });

  test.each(["where_exp", "find_exp", "group_by_exp", "sample"])("the filter %s is not there", (filter) => {
    expect(() => compileText(`{{ a | ${filter}: "x", "y" }}`)).toThrow(`there is no filter "${filter}"`);
  });
});

describe("bombs", () => {
  const nested = (depth: number) => `${"{% for i in list %}".repeat(depth)}x${"{% endfor %}".repeat(depth)}`;
  test.each([
    ["a range", "{% for i in (1..1000000000) %}x{% endfor %}"],
    ["nested loops", `{% assign list = "a,b,c,d,e,f,g,h,i,j,k,l" | split: "," %}${nested(7)}`],
    ["doubling", '{% assign a = "x" %}{% for i in (1..100) %}{% assign a = a | append: a %}{% endfor %}{{ a }}'],
    ["a wide date", '{{ "now" | date: "%99999999d" }}'],
    ["a long output", `{% for i in (1..2000) %}${"x".repeat(50)}{% endfor %}`],
  ])("%s is refused when the campaign is made", (_name, source) => {
    expect(() => compileText(source)).toThrow(/limit/);
  });

  const list = `{% assign list = "${"a,".repeat(100)}" | split: "," %}`;
  test.each([
    ["loops over a range", "{% for i in (1..200) %}{% for j in (1..200) %}x{% endfor %}{% endfor %}"],
    ["loops with nothing in them", `${list}${"{% for i in list %}".repeat(3)}${"{% endfor %}".repeat(3)}`],
    ["a table", "{% tablerow i in (1..200) %}{% tablerow j in (1..200) %}{% endtablerow %}{% endtablerow %}"],
    ["a long body", `{% for i in (1..1000) %}${"{% if x %}{% endif %}".repeat(50)}{% endfor %}`],
    ["a long range", "{% for i in (1..300000) %}{% endfor %}"],
  ])("%s, for some recipients only, are over by count, at once", (_name, bomb) => {
    const compiled = compileText(`Hi{% if vip == "yes" %}${bomb}{% endif %}`);
    expect(renderText(compiled, { x: "x" })).toBe("Hi");
    const begun = performance.now();
    for (let i = 0; i < 10; i++) {
      const rendered = renderText(compiled, { vip: "yes", x: "x" });
      expect(rendered).toEqual({ ok: false, reason: "invalid", detail: "The text needs more steps or memory than the limit to put together." });
    }
    expect(performance.now() - begun).toBeLessThan(500);
  });

  test("a long but honest text is none", () => {
    expect(say(`{% for i in (1..1000) %}{{ i }}{% if i == 7 %}!{% endif %}{% endfor %}`)).toContain("67!8");
  });

  test.each([
    ["replace", "{{ x | replace: 'a', x }}"],
    ["plain", "{{ x }}{{ x }}"],
    ["plain and Liquid", "{{ x | upcase }}{{ x | upcase }}"],
  ])("%s with long values is invalid, not sent", (_name, source) => {
    expect(say(source, { x: "a".repeat(40_000) })).toMatchObject({ ok: false, reason: "invalid", detail: expect.stringContaining("limit") });
  });
});

describe("values are values", () => {
  test("they are never read as a template", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.constantFrom("{{ 7 | times: 7 }}", "{% if %}", "{{ other }}", "{% raw %}", "}}", "$&", "$1")), (value) => {
        fc.pre(value !== "");
        expect(say("[{{ name }}]", { name: value, other: "secret" })).toBe(`[${value}]`);
        expect(say("[{{ name | append: '' }}]", { name: value, other: "secret" })).toBe(`[${value}]`);
      }),
    );
  });

  test.each(["constructor", "__proto__", "toString", "hasOwnProperty", "__defineGetter__"])("%s is a variable nobody set", (name) => {
    expect(say(`{{ ${name} }}`)).toEqual(missing(name));
    expect(say(`{{ ${name} | upcase }}`)).toEqual(missing(name));
    expect(say(`{{ name.${name} | append: "" }}`, { name: "x" })).toEqual(missing(`name.${name}`));
  });
});

test("the fast path prints what Liquid prints", () => {
  const liquid = new Liquid({ templates: {}, ownPropertyOnly: true });
  const name = fc.constantFrom("a", "b", "firstName", "x-y", "é", "_z9");
  const space = fc.constantFrom("", " ", "  ", "\t");
  const literal = fc.string().map((text) => `"${text.replace(/["\\{}%]/g, "")}"`);
  const fallback = fc.tuple(space, fc.oneof(literal, name)).map(([gap, choice]) => `${gap}|${gap}default:${gap}${choice}`);
  const output = fc
    .tuple(space, name, fc.array(fallback, { maxLength: 2 }))
    .map(([gap, variable, rest]) => `{{${gap}${variable}${rest.join("")}${gap}}}`);
  const text = fc.string().map((part) => part.replace(/[{}%]/g, ""));
  const values = fc.dictionary(name, fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean()));
  fc.assert(
    fc.property(fc.array(fc.oneof(output, text)), values, (parts, variables) => {
      const source = parts.join("");
      const rendered = say(source, variables);
      fc.pre(typeof rendered === "string");
      expect(rendered).toBe(liquid.parseAndRenderSync(source, variables));
    }),
    { numRuns: 500 },
  );
});

test("whatever a text says, it compiles or is refused, and renders or says why not", () => {
  const piece = fc.constantFrom(
    "{{",
    "}}",
    "{%",
    "%}",
    " ",
    "a",
    "|",
    "default:",
    '"',
    "if",
    "endif",
    "for",
    "in",
    "assign",
    "=",
    ".",
    "[",
    "]",
    "1",
    "\n",
    "raw",
    "-",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 3 })), { maxLength: 12 }), (parts) => {
      try {
        const rendered = say(parts.join(""), { a: "A" });
        expect(typeof rendered === "string" || rendered.ok === false).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal);
      }
    }),
    { numRuns: 500 },
  );
});
