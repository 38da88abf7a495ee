import { parseLiquid, TEXT_MAX } from "./liquid.ts";
import type { RenderingFault, Variables } from "./message.ts";
import { isPresent } from "./variables.ts";

/** A Liquid text, parsed once and rendered for every recipient. */
export interface CompiledText {
  /** Every variable it reads, by its full path, each once. */
  readonly variables: readonly string[];
  /** Those printed without a default and outside of any condition: without them it is never rendered. */
  readonly required: readonly string[];
  readonly render: (variables: Variables) => string | RenderingFault;
}

/**
 * Parses a text. One that is only text and plain outputs, `{{ name }}` or `{{ name | default: "there" }}`, is split once and needs no
 * engine: some millions per second, where Liquid itself makes a hundred thousand. Both ways print the same (template.test.ts).
 * Throws Refusal `liquid_invalid` with line and column.
 */
export function compileText(source: string): CompiledText {
  return (source.length <= TEXT_MAX && compilePlain(source)) || parseLiquid(source);
}

/**
 * The text for one recipient; at most 64 kB. A variable that is absent, null or an empty text, is printed and has no default, is a
 * fault: `missing_variable`, with its name. A value is only ever printed, never read as a template.
 */
export const renderText = (compiled: CompiledText, variables: Variables): string | RenderingFault => compiled.render(variables);

/** `{{ first | default: other | default: "last" }}`: the first of the choices that is there. */
interface Slot {
  readonly choices: readonly Choice[];
  /** The text behind it. */
  readonly after: string;
}
type Choice = { readonly name: string } | { readonly literal: string };

const NAME = String.raw`[\p{L}_](?:[\p{L}\p{N}_-]*[\p{L}\p{N}_])?`;
const LITERAL = String.raw`"[^"\\]*"|'[^'\\]*'`;
const OUTPUT = new RegExp(String.raw`\{\{[ \t]*(${NAME})((?:[ \t]*\|[ \t]*default[ \t]*:[ \t]*(?:${LITERAL}|${NAME}))*)[ \t]*\}\}`, "uy");
const DEFAULT = new RegExp(String.raw`default[ \t]*:[ \t]*(${LITERAL}|${NAME})`, "gu");
/** Words that mean something else in Liquid. */
const RESERVED = new Set(["true", "false", "nil", "null", "empty", "blank", "and", "or", "not", "contains"]);

/** Null when the text needs the whole of Liquid. */
function compilePlain(source: string): CompiledText | null {
  if (source.includes("{%")) return null;
  const slots: Slot[] = [];
  const opening = source.indexOf("{{");
  const first = opening < 0 ? source : source.slice(0, opening);
  for (let from = opening; from >= 0; ) {
    OUTPUT.lastIndex = from;
    const match = OUTPUT.exec(source);
    if (!match) return null;
    const end = from + match[0].length;
    from = source.indexOf("{{", end);
    const choices = [{ name: match[1] ?? "" }, ...Array.from((match[2] ?? "").matchAll(DEFAULT), ([, text = ""]) => choiceOf(text))];
    if (choices.some((choice) => "name" in choice && RESERVED.has(choice.name))) return null;
    slots.push({ choices, after: from < 0 ? source.slice(end) : source.slice(end, from) });
  }
  const names = (choices: readonly Choice[]) => choices.flatMap((choice) => ("name" in choice ? [choice.name] : []));
  return {
    variables: [...new Set(slots.flatMap((slot) => names(slot.choices)))],
    required: [...new Set(slots.flatMap((slot) => (slot.choices.length === 1 ? names(slot.choices) : [])))],
    render: (variables) => fill(first, slots, variables),
  };
}

const choiceOf = (text: string): Choice => (/^["']/.test(text) ? { literal: text.slice(1, -1) } : { name: text });

function fill(first: string, slots: readonly Slot[], variables: Variables): string | RenderingFault {
  let text = first;
  for (const slot of slots) {
    const value = pick(slot.choices, variables);
    if (value === undefined) return { ok: false, reason: "missing_variable", detail: nameOf(slot) };
    text += value + slot.after;
  }
  if (text.length > TEXT_MAX)
    return { ok: false, reason: "invalid", detail: `The text is ${text.length} characters long; the limit is ${TEXT_MAX}.` };
  return text;
}

/** As Liquid's `default` does it: nothing, an empty text and `false` give way to the next choice; the last one stays. */
function pick(choices: readonly Choice[], variables: Variables): string | number | boolean | undefined {
  let value: unknown;
  for (const choice of choices) {
    value = "name" in choice ? variables[choice.name] : choice.literal;
    if (value !== false && isPresent(value)) return value;
  }
  const last = choices.at(-1);
  return isPresent(value) ? value : last !== undefined && "literal" in last ? last.literal : undefined;
}

const nameOf = (slot: Slot): string => {
  const [first] = slot.choices;
  return first !== undefined && "name" in first ? first.name : "";
};
