import type { TemplateComponent, TemplateParameter } from "./message.ts";
import { type FieldFault, Refusal } from "./refusal.ts";

/** A template as the Graph API lists it (GET /<WABA_ID>/message_templates), as far as sending asks. */
export interface WhatsAppTemplate {
  readonly name: string;
  readonly language: string;
  readonly parameterFormat: "POSITIONAL" | "NAMED";
  readonly components: readonly ListedComponent[];
}

export interface ListedComponent {
  readonly type: string;
  readonly format?: string;
  readonly text?: string;
  readonly buttons?: readonly { readonly type: string; readonly text?: string; readonly url?: string }[];
}

type Media = "image" | "video" | "document";

/** What a template demands of whoever sends it. Positional parameters are called "1", "2". */
export interface ParameterPlan {
  readonly named: boolean;
  readonly header: { readonly kind: "text"; readonly names: readonly string[] } | { readonly kind: Media } | null;
  readonly body: readonly string[];
  /** Buttons that take a value; a quick reply may do without. */
  readonly buttons: readonly { readonly index: number; readonly subType: "url" | "copy_code" | "quick_reply"; readonly required: boolean }[];
}

/** The values of a template message, each a Liquid text. A document's header may have its file name as second value. */
export interface GivenParameters {
  readonly header?: readonly string[] | undefined;
  readonly body?: readonly string[] | Readonly<Record<string, string>> | undefined;
  readonly buttons?: readonly { readonly index: number; readonly value: string }[] | undefined;
}

/**
 * Puts the given values where the template wants them. Without any, they come from `variables`: a list in the order header, body,
 * buttons; or by key, "1", "2" for the body, "header", "button_0"; a named parameter reads the variable of its name, `first_name` or
 * `firstName`. Throws Refusal `template_parameters` that names every parameter that is missing or too many.
 */
export function bindTemplate(
  template: WhatsAppTemplate,
  given: GivenParameters | undefined,
  variables: readonly unknown[] | Readonly<Record<string, unknown>> = {},
): TemplateComponent[] {
  const plan = planOf(template);
  const faults: FieldFault[] = [];
  const components = fillPlan(plan, given ?? givenFrom(plan, variables, faults), faults);
  if (faults.length === 0) return components;
  const hint = given === undefined && faults.length > 0 ? ` ${hintOf(plan)}` : "";
  throw refusal(template, `${faults.map((fault) => fault.message).join("; ")}.${hint}`, faults);
}

const refusal = ({ name, language }: WhatsAppTemplate, cause: string, faults: readonly FieldFault[] = []) =>
  new Refusal("template_parameters", { name, language, cause }, faults);

/** Throws Refusal `template_parameters` for a template with parts that cannot be filled here. */
export function planOf(template: WhatsAppTemplate): ParameterPlan {
  const kinds = new Set(["HEADER", "BODY", "FOOTER", "BUTTONS"]);
  const strange = template.components.find((component) => !kinds.has(component.type.toUpperCase()));
  if (strange) throw refusal(template, `it has a ${strange.type.toLowerCase().replaceAll("_", " ")}, which cannot be sent from here.`);
  const part = (type: string) => template.components.find((component) => component.type.toUpperCase() === type);
  return {
    named: template.parameterFormat === "NAMED",
    header: headerOf(template, part("HEADER")),
    body: placeholders(part("BODY")?.text ?? ""),
    buttons: (part("BUTTONS")?.buttons ?? []).flatMap((button, index) => buttonOf(template, button, index)),
  };
}

function headerOf(template: WhatsAppTemplate, header: ListedComponent | undefined): ParameterPlan["header"] {
  const format = header?.format?.toLowerCase() ?? "text";
  if (format === "image" || format === "video" || format === "document") return { kind: format };
  if (format !== "text") throw refusal(template, `its header is a ${format}, which cannot be sent from here.`);
  const names = placeholders(header?.text ?? "");
  return names.length > 0 ? { kind: "text", names } : null;
}

/** An authentication template's OTP button is filled like an address. */
function buttonOf(template: WhatsAppTemplate, button: { type: string; url?: string }, index: number): ParameterPlan["buttons"] {
  switch (button.type.toUpperCase()) {
    case "URL":
      return placeholders(button.url ?? "").length > 0 ? [{ index, subType: "url", required: true }] : [];
    case "OTP":
      return [{ index, subType: "url", required: true }];
    case "COPY_CODE":
      return [{ index, subType: "copy_code", required: true }];
    case "QUICK_REPLY":
      return [{ index, subType: "quick_reply", required: false }];
    case "PHONE_NUMBER":
    case "VOICE_CALL":
      return [];
    default:
      throw refusal(template, `its button ${index} is of type ${button.type}, which cannot be sent from here.`);
  }
}

/** Each once; positional ones in the order of their numbers. */
function placeholders(text: string): string[] {
  const names = [...new Set(Array.from(text.matchAll(/\{\{\s*([A-Za-z0-9_]+)\s*\}\}/g), ([, name = ""]) => name))];
  return names.every((name) => /^\d+$/.test(name)) ? names.sort((a, b) => Number(a) - Number(b)) : names;
}

function fillPlan(plan: ParameterPlan, given: GivenParameters, faults: FieldFault[]): TemplateComponent[] {
  const components: TemplateComponent[] = [];
  const header = fillHeader(plan, given.header ?? [], faults);
  if (header.length > 0) components.push({ type: "header", parameters: header });
  const body = fillBody(plan, given.body ?? [], faults);
  if (body.length > 0) components.push({ type: "body", parameters: body });
  return [...components, ...fillButtons(plan, given.buttons ?? [], faults)];
}

function fillHeader({ header, named }: ParameterPlan, values: readonly string[], faults: FieldFault[]): TemplateParameter[] {
  const path = "components.header";
  const names =
    header === null ? [] : header.kind === "text" ? header.names : header.kind === "document" ? [header.kind, "file name"] : [header.kind];
  for (const at of values.slice(names.length).keys()) {
    const why = names.length === 0 ? "takes none" : `takes ${names.length}`;
    faults.push({ path: `${path}[${names.length + at}]`, message: `header value ${names.length + at + 1} is too many: the header ${why}` });
  }
  const isMissing = (at: number, what: string) => {
    if (values[at]) return false;
    faults.push({ path: `${path}[${at}]`, message: `${what} is missing` });
    return true;
  };
  if (header === null) return [];
  if (header.kind === "text") {
    return names.flatMap((name, at) => (isMissing(at, `header parameter ${name}`) ? [] : [textParameter(values[at], named ? name : undefined)]));
  }
  if (isMissing(0, `the header's ${header.kind} (an https address)`)) return [];
  const filename = header.kind === "document" ? values[1] : undefined;
  return [{ type: header.kind, link: values[0] ?? "", ...(filename ? { filename } : {}) }];
}

const textParameter = (text = "", name?: string): TemplateParameter =>
  name === undefined ? { type: "text", text } : { type: "text", parameter_name: name, text };

function fillBody(
  { body, named }: ParameterPlan,
  given: readonly string[] | Readonly<Record<string, string>>,
  faults: FieldFault[],
): TemplateParameter[] {
  const path = "components.body";
  if (isList(given) && named && given.length > 0) {
    faults.push({ path, message: `the body's parameters have names (${body.join(", ")}): give an object, not a list` });
    return [];
  }
  const values = new Map(isList(given) ? given.map((value, at) => [String(at + 1), value]) : Object.entries(given));
  const stepInto = (name: string) => (isList(given) ? `${path}[${Number(name) - 1}]` : `${path}.${name}`);
  for (const name of values.keys()) {
    if (body.includes(name)) continue;
    const has = body.length === 0 ? "no parameters" : named ? `only ${body.join(", ")}` : `only ${body.length}`;
    faults.push({ path: stepInto(name), message: `body parameter ${name} is too many: the body has ${has}` });
  }
  return body.flatMap((name) => {
    const value = values.get(name);
    if (value) return [textParameter(value, named ? name : undefined)];
    faults.push({ path: stepInto(name), message: `body parameter ${name} is missing` });
    return [];
  });
}

const isList = (given: readonly string[] | Readonly<Record<string, string>>): given is readonly string[] => Array.isArray(given);

function fillButtons({ buttons }: ParameterPlan, given: NonNullable<GivenParameters["buttons"]>, faults: FieldFault[]): TemplateComponent[] {
  const path = "components.buttons";
  for (const [at, { index }] of given.entries()) {
    if (!buttons.some((button) => button.index === index)) faults.push({ path: `${path}[${at}]`, message: `button ${index} takes no value` });
    else if (given.findIndex((other) => other.index === index) < at)
      faults.push({ path: `${path}[${at}]`, message: `button ${index} is given twice` });
  }
  return buttons.flatMap(({ index, subType, required }) => {
    const value = given.find((button) => button.index === index)?.value;
    if (!value) {
      const what = subType === "url" ? "the end of the address" : "the code to copy";
      if (required) faults.push({ path, message: `${what} of button ${index} is missing` });
      return [];
    }
    const parameter: TemplateParameter =
      subType === "url"
        ? { type: "text", text: value }
        : subType === "copy_code"
          ? { type: "coupon_code", coupon_code: value }
          : { type: "payload", payload: value };
    return [{ type: "button", sub_type: subType, index, parameters: [parameter] }];
  });
}

/** What nobody gave, taken from the campaign's variables. */
function givenFrom(plan: ParameterPlan, variables: readonly unknown[] | Readonly<Record<string, unknown>>, faults: FieldFault[]): GivenParameters {
  const headers = plan.header === null ? [] : plan.header.kind === "text" ? plan.header.names.map(() => "header") : ["header"];
  const needed = plan.buttons.filter((button) => button.required);
  const keys = [...headers, ...plan.body, ...needed.map(({ index }) => `button_${index}`)];
  const list = Array.isArray(variables) ? (variables as readonly unknown[]) : null;
  if (list !== null && list.length > keys.length) {
    faults.push({ path: "variables", message: `${list.length} variables are given and ${keys.length} are needed` });
  }
  const values = list === null ? new Map(Object.entries(variables)) : new Map(keys.map((key, at) => [key, list[at]]));
  const text = (key: string) => (values.get(key) === undefined || values.get(key) === null ? "" : String(values.get(key)));
  const isNamed = plan.named && list === null;
  const header = plan.header?.kind === "text" && isNamed ? plan.header.names.map(ofSameName) : headers.map(text);
  const body = Object.fromEntries(plan.body.map((name) => [name, isNamed ? ofSameName(name) : text(name)]));
  return { header, body, buttons: needed.map(({ index }) => ({ index, value: text(`button_${index}`) })) };
}

/** `first_name` → `{{ first_name | default: firstName }}`: contacts may have it under either spelling. */
function ofSameName(name: string): string {
  const camel = name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return camel === name ? `{{ ${name} }}` : `{{ ${name} | default: ${camel} }}`;
}

function hintOf(plan: ParameterPlan): string {
  const header = plan.header === null || (plan.named && plan.header.kind === "text") ? [] : ["header"];
  const keys = [
    ...header,
    ...(plan.named ? [] : plan.body),
    ...plan.buttons.filter((button) => button.required).map(({ index }) => `button_${index}`),
  ];
  return keys.length === 0 ? "" : `Give them as variables: {${keys.map((key) => `"${key}": "…"`).join(", ")}}.`;
}
