import { type GraphFault, graphFault, paramFault } from "./errors.ts";
import { isShape, type Shape, strangerFault, stringFault } from "./shape.ts";
import { fill, type PlannedButton, type Template, type TemplatePlan } from "./template.ts";
import type { World } from "./world.ts";

/**
 * Checks a `template` object against the template it names, in the order Meta was seen to check: existence, then the parameters'
 * own shape, the header's medium, the counts, the names, the buttons, and last the length of the filled text.
 */
export function readTemplate(template: unknown, world: World): Template | GraphFault {
  if (!isShape(template)) return paramFault("The parameter template['name'] is required.");
  const language = template["language"];
  const shapeFault =
    strangerFault(template, templateKeys, "template") ??
    stringFault(template["name"], "template['name']") ??
    (isShape(language)
      ? (strangerFault(language, languageKeys, "template['language']") ?? stringFault(language["code"], "template['language']['code']"))
      : paramFault("The parameter template['language'] is required."));
  if (shapeFault) return shapeFault;
  const found = findTemplate(world, template["name"] as string, (language as { code: string }).code);
  if ("code" in found) return found;
  const components = readComponents(template["components"]);
  if ("code" in components) return components;
  const { header, body, buttons } = components;
  const fault =
    headerFault(found.plan, header) ??
    textsFault(found.plan, { part: "header", parameters: header ?? [] }) ??
    textsFault(found.plan, { part: "body", parameters: body ?? [] }) ??
    buttonsFault(found.plan.buttons, buttons);
  return fault ?? found.template;
}

const templateKeys = new Set(["name", "language", "components", "namespace"]);
const languageKeys = new Set(["code", "policy"]);

function findTemplate(world: World, name: string, language: string): { template: Template; plan: TemplatePlan } | GraphFault {
  const found = world.sendable.get(`${name} ${language}`);
  if (!found) return graphFault(132001, `template name (${name}) does not exist in ${language}`);
  const { status } = found.template;
  if (status === "APPROVED") return found;
  if (status === "PAUSED") return graphFault(132015);
  if (status === "DISABLED") return graphFault(132016);
  return graphFault(132001, `template name (${name}) is not approved in ${language}`);
}

interface Components {
  readonly header: readonly Shape[] | null;
  readonly body: readonly Shape[] | null;
  readonly buttons: ReadonlyMap<number, { subType: string; parameters: readonly Shape[] }>;
}

const componentKeys = new Set(["type", "parameters", "sub_type", "index"]);
const texts: readonly string[] = ["text", "currency", "date_time"];
const media: readonly string[] = ["image", "video", "document", "location"];

function readComponents(given: unknown): Components | GraphFault {
  const found: { header: Shape[] | null; body: Shape[] | null } = { header: null, body: null };
  const buttons = new Map<number, { subType: string; parameters: readonly Shape[] }>();
  if (given !== undefined && !Array.isArray(given)) return paramFault("Param template['components'] must be an array.");
  for (const [at, component] of ((given ?? []) as unknown[]).entries()) {
    const param = `template['components'][${at}]`;
    if (!isShape(component)) return paramFault(`Param ${param} must be a JSON object.`);
    const fault = strangerFault(component, componentKeys, param) ?? stringFault(component["type"], `${param}['type']`);
    if (fault) return fault;
    const parameters = readParameters(component["parameters"], `${param}['parameters']`);
    if ("code" in parameters) return parameters;
    const type = (component["type"] as string).toLowerCase();
    if (type === "button") {
      const index = indexOf(component["index"]);
      if (index === null) return paramFault(`The parameter ${param}['index'] is required.`);
      buttons.set(index, { subType: String(component["sub_type"] ?? "").toLowerCase(), parameters });
    } else if (type === "header" || type === "body") found[type] = parameters;
    else return graphFault(132018, `Unknown component type '${String(component["type"])}'`);
  }
  return { ...found, buttons };
}

/** Meta takes a button's index as a string as well as a number. */
const indexOf = (given: unknown) => ((typeof given === "number" || typeof given === "string") && /^\d+$/.test(String(given)) ? Number(given) : null);

/** Each parameter carries what its type promises: `{type: "text", text}`, `{type: "image", image: {id | link}}`, … */
function readParameters(given: unknown, param: string): Shape[] | GraphFault {
  if (given === undefined) return [];
  if (!Array.isArray(given)) return paramFault(`Param ${param} must be an array.`);
  for (const parameter of given as unknown[]) {
    if (!isShape(parameter)) return paramFault(`Param ${param} must be an array of JSON objects.`);
    const type = parameter["type"] ?? (parameter["text"] === undefined ? undefined : "text");
    if (typeof type !== "string") return paramFault(`The parameter ${param}['type'] is required.`);
    if (type === "text" && typeof parameter["text"] !== "string") return mandatory("text");
    if ((texts.includes(type) || media.includes(type)) && type !== "text" && !isShape(parameter[type])) return mandatory(type);
  }
  return given as Shape[];
}

const mandatory = (type: string) => graphFault(100, `Parameter '${type}' is mandatory for component parameter type '${type}'`);
const typeOf = (parameter: Shape) => String(parameter["type"] ?? "text").toLowerCase();

function headerFault({ header }: TemplatePlan, parameters: readonly Shape[] | null): GraphFault | null {
  if (header === null) {
    return parameters === null || parameters.length === 0 ? null : graphFault(132018, "Template does not contain a header component");
  }
  if (header.format === "TEXT") return null;
  const [parameter] = parameters ?? [];
  const received = parameter === undefined ? "UNKNOWN" : typeOf(parameter).toUpperCase();
  if (received !== header.format) return graphFault(132012, `header: Format mismatch, expected ${header.format}, received ${received}`);
  const medium = parameter?.[received.toLowerCase()] as Shape;
  if (received === "LOCATION" || typeof medium["id"] === "string" || typeof medium["link"] === "string") return null;
  return graphFault(132018, "Either one of media ID or link must be present");
}

const lengthMax = { header: 60, body: 1_024 } as const;
const UNCLEAN = /[\n\r\t]| {5}/;

/** What a user reads in place of a parameter. */
const shownAs = (parameter: Shape) =>
  typeOf(parameter) === "text" ? String(parameter["text"]) : String((parameter[typeOf(parameter)] as Shape)["fallback_value"] ?? "");

function textsFault(plan: TemplatePlan, { part, parameters }: { part: "header" | "body"; parameters: readonly Shape[] }): GraphFault | null {
  const planned = plan[part];
  const given = parameters.filter((parameter) => texts.includes(typeOf(parameter)));
  if (part === "body" && given.length < parameters.length) {
    const stranger = parameters.find((parameter) => !texts.includes(typeOf(parameter)));
    return graphFault(132012, `body: Format mismatch, expected TEXT, received ${stranger ? typeOf(stranger).toUpperCase() : "UNKNOWN"}`);
  }
  const expected = planned?.parameters ?? [];
  if (given.length !== expected.length) {
    const counts = `number of localizable_params (${given.length}) does not match the expected number of params (${expected.length})`;
    return graphFault(132000, `${part}: ${counts}`);
  }
  if (planned === null || given.length === 0) return null;
  const fault = namesFault(plan, part, given) ?? valuesFault(given);
  if (fault) return fault;
  const length = filledLength(plan, part, given);
  if (length <= lengthMax[part]) return null;
  return graphFault(
    132005,
    `Translated text too long. Length of the parameters and the template text is ${length}, which exceeds the allowed length of ${lengthMax[part]}`,
  );
}

/** Characters a user would see. Exact when it matters; below a quarter of the limit a cheap upper bound does. */
function filledLength(plan: TemplatePlan, part: "header" | "body", given: readonly Shape[]): number {
  const { text = "", parameters = [] } = plan[part] ?? {};
  const values = given.map(shownAs);
  const bound = text.length * (1 + Math.max(0, ...values.map((value) => value.length)));
  if (bound <= lengthMax[part] / 4) return bound;
  const names = given.map((parameter, i) => (plan.named ? String(parameter["parameter_name"]) : (parameters[i] ?? "")));
  return [...fill(text, new Map(names.map((name, i) => [name, values[i] ?? ""])))].length;
}

/** Named templates are filled by name, positional ones by order; each refuses the other's way. */
function namesFault(plan: TemplatePlan, part: "header" | "body", given: readonly Shape[]): GraphFault | null {
  if (!plan.named) {
    return given.some((parameter) => parameter["parameter_name"] !== undefined)
      ? graphFault(132012, `${part}: Format mismatch, expected POSITIONAL, received NAMED`)
      : null;
  }
  const names = new Set(given.map((parameter) => parameter["parameter_name"]));
  // Observed: not 132012 but 100, for a missing name as well as for a wrong one.
  if (names.has(undefined) || names.has("")) return graphFault(100, "Parameter name is missing or empty");
  const missing = plan[part]?.parameters.find((name) => !names.has(name));
  return missing === undefined ? null : graphFault(100, `Parameter name is missing for the parameter '{{${missing}}}'`);
}

function valuesFault(given: readonly Shape[]): GraphFault | null {
  for (const parameter of given) {
    const value = shownAs(parameter);
    if (value.trim() === "") return graphFault(131008, "Parameter of type text is missing text value");
    if (UNCLEAN.test(value)) {
      return graphFault(132018, "Param text cannot have new-line/tab characters or more than 4 consecutive spaces");
    }
  }
  return null;
}

const buttonNames: Readonly<Record<string, string>> = { URL: "Url", QUICK_REPLY: "QuickReply", COPY_CODE: "copy_code", FLOW: "Flow" };
const parameterOf: Readonly<Record<string, string>> = { url: "text", quick_reply: "payload", copy_code: "coupon_code", flow: "action" };

function buttonsFault(planned: readonly PlannedButton[], given: Components["buttons"]): GraphFault | null {
  for (const [index, { subType, parameters }] of given) {
    const button = planned[index];
    const name = button === undefined ? "" : (buttonNames[button.type] ?? button.type);
    const at = `buttons: Button at index ${index}`;
    if (button === undefined) return graphFault(132018, `${at} does not exist in the template`);
    if (subType !== button.type.toLowerCase()) return graphFault(132018, `${at} must be of type ${name}`);
    if (button.type === "URL" && !button.dynamic) return graphFault(132018, `${at} of type Url does not require parameters`);
    const field = parameterOf[subType] ?? "text";
    const [parameter] = parameters;
    if (parameter === undefined) return graphFault(131008, `${at} of type ${name} requires a parameter`);
    if (typeOf(parameter) !== field) return graphFault(132012, `button: Format mismatch, expected ${field}, received ${typeOf(parameter)}`);
    if (parameter[field] === undefined || parameter[field] === "") {
      return graphFault(100, `button: Parameter '${field}' is mandatory for component parameter type '${field}' and cannot be empty`);
    }
    if (field === "text" && UNCLEAN.test(String(parameter["text"]))) return valuesFault([parameter]);
  }
  const bare = planned.findIndex((button, i) => (button.dynamic || button.type === "COPY_CODE") && !given.has(i));
  return bare < 0
    ? null
    : graphFault(131008, `buttons: Button at index ${bare} of type ${buttonNames[planned[bare]?.type ?? ""]} requires a parameter`);
}
