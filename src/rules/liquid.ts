import { type Arguments, AssignTag, CycleTag, EchoTag, Liquid, Output, type Template, toValueSync, Value, Variable } from "liquidjs";
import type { RenderingFault, Variables } from "./message.ts";
import { Refusal } from "./refusal.ts";
import { isPresent } from "./variables.ts";

/** Characters of a template, and of what it may become. */
export const TEXT_MAX = 65_536;
/** Objects and characters one rendering may allocate: 4 times the longest text. */
const MEMORY_MAX = 262_144;
/** What one step of a rendering (a round of a loop, a tag, an output) counts of that: about 10,000 steps are all there are. */
const STEP = 26;
/** A rendering takes some microseconds; steps end a bomb long before. This is for what steps do not count. */
const RENDER_MAX_MS = 250;

/** Tags that read other templates: there are none here. */
const REMOVED_TAGS = ["include", "render", "layout", "block"];
/** Filters that read a text as Liquid, and one that draws lots: the same values must always give the same text. */
const REMOVED_FILTERS = ["where_exp", "reject_exp", "group_by_exp", "has_exp", "find_exp", "find_index_exp", "sample"];

/** Filters that calculate. Of words, or by nought, they would make "Your share: NaN", which nobody should be sent. */
const CALCULATING_FILTERS = ["abs", "at_least", "at_most", "ceil", "divided_by", "floor", "minus", "modulo", "plus", "round", "sum", "times"];

function openEngine(): Liquid {
  const engine = new Liquid({
    templates: {}, // no files: by default {% include %} reads from the working directory
    ownPropertyOnly: true,
    strictFilters: true,
    parseLimit: TEXT_MAX,
    renderLimit: RENDER_MAX_MS,
    memoryLimit: MEMORY_MAX,
    timezoneOffset: 0,
    locale: "en-US",
  });
  for (const tag of REMOVED_TAGS) delete engine.tags[tag];
  for (const filter of REMOVED_FILTERS) engine.unregisterFilter(filter);
  for (const name of CALCULATING_FILTERS) calculateOnly(engine, name);
  const { renderer } = engine;
  const renderTemplates = renderer.renderTemplates;
  renderer.renderTemplates = (templates, context, emitter) => {
    context.memoryLimit.use(STEP * (1 + templates.length)); // every block that is entered comes by here, an empty one too
    return renderTemplates.call(renderer, templates, context, emitter);
  };
  return engine;
}

function calculateOnly(engine: Liquid, name: string): void {
  const filter = engine.filters[name];
  if (typeof filter !== "function") throw new Error(`liquidjs has no filter ${name}`);
  engine.registerFilter(name, function (this: unknown, ...args: unknown[]) {
    const result: unknown = Reflect.apply(filter, this, args);
    if (typeof result === "number" && !Number.isFinite(result)) throw new Error(`${name} has no result here`);
    return result;
  });
}

const engine = openEngine();

class Missing extends Error {
  readonly path: string;
  constructor(path: string) {
    super(path);
    this.path = path;
  }
}

/** A text that needs the whole of Liquid, parsed once. */
export interface LiquidText {
  /** Every variable it reads, by its full path, each once. */
  readonly variables: readonly string[];
  /** Those printed without a default and outside of any condition: without them it is never rendered. */
  readonly required: readonly string[];
  readonly render: (variables: Variables) => string | RenderingFault;
}

/** Throws Refusal `liquid_invalid` with line and column. */
export function parseLiquid(source: string): LiquidText {
  const templates = refusing(() => engine.parse(source));
  const globals = refusing(() => Object.values(engine.analyzeSync(templates, { partials: false }).globals).flat());
  const required = new Set<string>();
  refusing(() => guardAll(templates, { globals: new Set(globals.map(at)), required, top: true }));
  const variables = [...new Set(globals.map(String))];
  const trial = renderWith(templates, Object.fromEntries(variables.map((path) => [path, "x"])));
  if (typeof trial !== "string" && trial.detail.includes("limit")) throw new Refusal("liquid_invalid", { cause: trial.detail });
  return { variables, required: [...required], render: (values) => renderWith(templates, values) };
}

function renderWith(templates: Template[], variables: Variables): string | RenderingFault {
  const scope: Record<string, unknown> = Object.create(null);
  for (const [name, value] of Object.entries(variables)) if (isPresent(value)) scope[name] = value;
  try {
    const text = String(engine.renderSync(templates, scope));
    return text.length <= TEXT_MAX ? text : invalid(`The text is ${text.length} characters long; the limit is ${TEXT_MAX}.`);
  } catch (error) {
    const cause = error instanceof Error && "originalError" in error ? error.originalError : error;
    if (cause instanceof Missing) return { ok: false, reason: "missing_variable", detail: cause.path };
    const [, message = ""] = positionOf(error);
    if (message.startsWith("template render limit")) return invalid(`The text takes longer than the limit of ${RENDER_MAX_MS} ms to put together.`);
    if (message.startsWith("memory alloc limit")) return invalid("The text needs more steps or memory than the limit to put together.");
    return invalid(`The text cannot be put together: ${message}.`);
  }
}

const invalid = (detail: string): RenderingFault => ({ ok: false, reason: "invalid", detail });

interface Walk {
  /** Where each variable stands that the recipient must bring (not set by the template itself). */
  readonly globals: ReadonlySet<string>;
  readonly required: Set<string>;
  readonly top: boolean;
}

/**
 * Makes everything that prints check its variables when it is reached. Liquid prints an absent variable as nothing; we must not. What
 * stands in a condition, or in a branch that is not taken, is not looked at.
 */
function guardAll(templates: readonly Template[], walk: Walk): void {
  for (const template of templates) {
    if (template instanceof Output) refuseSlips(template);
    const demands = demandsOf(template, walk.globals);
    if (walk.top) for (const [first, ...others] of demands) if (first && others.length === 0) walk.required.add(String(first));
    if (demands.length > 0) guard(template, demands);
    guardAll(childrenOf(template), { ...walk, top: false });
  }
}

/** Before it renders, at least one variable of each demand must have a value. */
function guard(template: Template, demands: readonly Demand[]): void {
  const render = template.render;
  const checks = demands.map((demand) => ({ name: String(demand[0]), paths: demand.map(fixedPath) }));
  template.render = (context, emitter) => {
    for (const { name, paths } of checks) {
      if (!paths.some((path) => isPresent(scalar(context.getSync(path))))) throw new Missing(name);
    }
    return render.call(template, context, emitter);
  };
}

/** `a.b` of `a.b[c].d`: as far as the path does not depend on another variable. */
function fixedPath({ segments }: Variable): (string | number)[] {
  const end = segments.findIndex((segment) => segment instanceof Variable);
  return segments.slice(0, end < 0 ? segments.length : end) as (string | number)[];
}

/** What is not a plain value (a list made by `split`) is there as soon as it is anything. */
const scalar = (value: unknown) => (typeof value === "object" && value !== null ? true : value);

const childrenOf = (template: Template): Template[] => (template.children ? toValueSync(template.children(false, true)) : []);

/** Variables of which one must have a value. */
type Demand = readonly Variable[];

/**
 * What a template that prints needs: one of each list. `{{ a | append: b }}` needs a and b; `{{ a | default: b }}` one of the two;
 * `{{ a | default: "x" }}` nothing.
 */
function demandsOf(template: Template, globals: ReadonlySet<string>): Demand[] {
  const prints = template instanceof Output || template instanceof EchoTag || template instanceof AssignTag || template instanceof CycleTag;
  if (!prints || !template.arguments) return [];
  const read = (args: Iterable<unknown>) => variablesIn(template, args, globals);
  return [...template.arguments()].flatMap((argument) => {
    if (!(argument instanceof Value)) return read([argument]).map((variable) => [variable]);
    const lastDefault = argument.filters.findLastIndex((filter) => filter.name === "default");
    const after = argument.filters.slice(lastDefault + 1).flatMap((filter) => filter.args.flat());
    const demands = read(lastDefault < 0 ? [...argument.initial.postfix, ...after] : after).map((variable) => [variable]);
    const defaults = argument.filters.filter((filter) => filter.name === "default").map((filter) => read(filter.args.slice(0, 1)));
    const either = defaults.length > 0 && defaults.every((variables) => variables.length > 0);
    return either ? [...demands, [...read(argument.initial.postfix), ...defaults.flat()]] : demands;
  });
}

function variablesIn(template: Template, args: Iterable<unknown>, globals: ReadonlySet<string>): Variable[] {
  const asked: Template = { token: template.token, render: () => "", arguments: () => args as Arguments };
  const found = Object.values(engine.analyzeSync([asked], { partials: false }).variables).flat();
  return found.filter((variable) => globals.has(at(variable)));
}
const at = (variable: Variable) => `${variable.location.row}:${variable.location.col}`;

/** Two things Liquid accepts and nobody means. */
function refuseSlips(output: Output): void {
  const tokens = output.value.initial.postfix.map((token) => token.getText());
  const refuse = (cause: string) => {
    const [line = 1, column = 1] = output.token.getPosition();
    return new Refusal("liquid_invalid", { cause: `line ${line}, column ${column}: ${output.token.getText()} ${cause}` });
  };
  if (tokens.length === 1 && output.value.filters.length === 0 && /^\d+$/.test(tokens[0] ?? "")) {
    throw refuse(`prints the number ${tokens[0]}. Put a variable's name there, for example {{ firstName }}.`);
  }
  if (tokens.length > 1 && tokens.every((token) => /^[\w-]+$/.test(token))) {
    throw refuse(`names more than one thing. A variable's name has no spaces: {{ ${tokens.join("_")} }}.`);
  }
}

function refusing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const [place, message] = positionOf(error);
    throw new Refusal("liquid_invalid", { cause: `${place}${inWords(message)}` });
  }
}

/** liquidjs ends its messages with ", line:2, col:7". */
function positionOf(error: unknown): [place: string, message: string] {
  const whole = error instanceof Error ? error.message : String(error);
  const match = /^(.*), line:(\d+), col:(\d+)$/s.exec(whole);
  return match ? [`line ${match[2]}, column ${match[3]}: `, match[1] ?? whole] : ["", whole];
}

const sayings: readonly [RegExp, string][] = [
  [/^output "?(.*?)"? not closed$/s, "$1 is never closed with }}."],
  [/^tag "?(\{%.*?)"? not closed$/s, "$1 is never closed."],
  [/^raw .* not closed$/s, "{% raw %} is never closed with {% endraw %}."],
  [/^tag "(end\w+|els\w+|when)" not found$/, "{% $1 %} has no beginning before it."],
  [/^tag "(.*)" not found$/s, 'there is no tag "$1".'],
  [/^undefined filter: (.*)$/s, 'there is no filter "$1".'],
  [/^invalid value expression: ""$/, "there is nothing to print between {{ and }}."],
  [/^invalid value expression: "(.*)"$/s, '"$1" is no variable and no value.'],
  [/^parse length limit.*$/s, `a template has at most ${TEXT_MAX} characters.`],
  [/^.*call stack.*$/s, "it is nested too deeply."],
];

function inWords(message: string): string {
  for (const [pattern, saying] of sayings) if (pattern.test(message)) return message.replace(pattern, saying);
  return `${message}.`;
}
