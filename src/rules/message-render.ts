import type { MessageDefinition, Rendering, RenderingFault, TemplateComponent, TemplateParameter, Variables } from "./message.ts";
import { Refusal } from "./refusal.ts";
import { compileText, renderText } from "./template.ts";
import { cleanBody, cleanValue, TEXT_BODY_MAX } from "./whatsapp-value.ts";

/** Characters; Meta's limits of header text and coupon codes, of a button's payload as of an interactive reply's id. */
const HEADER_TEXT_MAX = 60;
const BODY_VALUE_MAX = 1_024;
const COUPON_CODE_MAX = 20;
const PAYLOAD_MAX = 256;
const URL_MAX = 2_000;
const FILE_NAME_MAX = 240;

/** A message ready to be said to one recipient after the other. */
export interface CompiledMessage {
  /** Every variable it reads. */
  readonly variables: readonly string[];
  /** Those without which nobody gets it. */
  readonly required: readonly string[];
  readonly render: (variables: Variables) => Rendering;
}

/**
 * Parses every text of a message once. Throws Refusal `liquid_invalid` for a text that cannot be understood and
 * `template_parameters` for a fixed value that WhatsApp would refuse for everybody.
 */
export function compileMessage(definition: MessageDefinition): CompiledMessage {
  return definition.type === "text" ? compileTextMessage(definition.text) : compileTemplateMessage(definition);
}

function compileTextMessage(source: string): CompiledMessage {
  const compiled = compileText(source);
  const { variables, required } = compiled;
  const render = (values: Variables): Rendering => {
    const rendered = renderText(compiled, values);
    if (typeof rendered !== "string") return rendered;
    const text = cleanBody(rendered);
    if (text === "") return invalid("The text is empty.");
    if (text.length > TEXT_BODY_MAX) return invalid(`The text has ${text.length} characters; WhatsApp takes ${TEXT_BODY_MAX}.`);
    return { ok: true, message: { type: "text", text } };
  };
  return { variables, required, render };
}

function compileTemplateMessage(definition: Extract<MessageDefinition, { type: "template" }>): CompiledMessage {
  const { type, name, language } = definition;
  const parts = definition.components.map((component) => compileComponent(component));
  for (const part of parts) {
    if (part.fixed !== null && "ok" in part.fixed) throw new Refusal("template_parameters", { name, language, cause: part.fixed.detail });
  }
  const render = (values: Variables): Rendering => {
    const components: TemplateComponent[] = [];
    for (const part of parts) {
      const component = part.fixed ?? part.render(values);
      if ("ok" in component) return component;
      components.push(component);
    }
    return { ok: true, message: { type, name, language, components } };
  };
  return { ...namesOf(parts), render };
}

/** One value of a message: `fixed` is what it is for everybody, null when it depends on the recipient. */
interface Part<T extends object> {
  readonly variables: readonly string[];
  readonly required: readonly string[];
  readonly fixed: T | RenderingFault | null;
  readonly render: (values: Variables) => T | RenderingFault;
}

const namesOf = (parts: readonly { readonly variables: readonly string[]; readonly required: readonly string[] }[]) => ({
  variables: [...new Set(parts.flatMap((part) => part.variables))],
  required: [...new Set(parts.flatMap((part) => part.required))],
});

function compileComponent(component: TemplateComponent): Part<TemplateComponent> {
  const parts = component.parameters.map((parameter, at) => compileParameter(parameter, placeOf(component, parameter, at)));
  const render = (values: Variables): TemplateComponent | RenderingFault => {
    const parameters: TemplateParameter[] = [];
    for (const part of parts) {
      const parameter = part.fixed ?? part.render(values);
      if ("ok" in parameter) return parameter;
      parameters.push(parameter);
    }
    return { ...component, parameters };
  };
  const isFixed = parts.every((part) => part.fixed !== null);
  return { ...namesOf(parts), fixed: isFixed ? render({}) : null, render };
}

/** How a parameter is called in front of people, and the most characters it may have. */
interface Place {
  readonly words: string;
  readonly max: number;
  readonly isSuffix: boolean;
}

function placeOf(component: TemplateComponent, parameter: TemplateParameter, at: number): Place {
  if (component.type === "button") return { words: `the value of button ${component.index}`, max: URL_MAX, isSuffix: component.sub_type === "url" };
  const which = parameter.type === "text" && parameter.parameter_name ? parameter.parameter_name : at + 1;
  return { words: `${component.type} parameter ${which}`, max: component.type === "header" ? HEADER_TEXT_MAX : BODY_VALUE_MAX, isSuffix: false };
}

function compileParameter(parameter: TemplateParameter, place: Place): Part<TemplateParameter> {
  switch (parameter.type) {
    case "text":
      return compileValue(parameter.text, place, (text) => ({ ...parameter, text: place.isSuffix ? text.replaceAll(" ", "%20") : text }));
    case "payload":
      return compileValue(parameter.payload, { ...place, max: PAYLOAD_MAX }, (payload) => ({ type: "payload", payload }));
    case "coupon_code":
      return compileValue(parameter.coupon_code, { ...place, max: COUPON_CODE_MAX }, (code) =>
        /^[A-Za-z0-9]+$/.test(code) ? { type: "coupon_code", coupon_code: code } : wrong(place, code, "a coupon code has letters and digits only"),
      );
    default:
      return compileMedia(parameter, place);
  }
}

function compileMedia(parameter: Extract<TemplateParameter, { link: string }>, place: Place): Part<TemplateParameter> {
  const link = compileValue(parameter.link, { ...place, max: URL_MAX }, (value) =>
    /^https?:\/\/[^\s/]+/.test(value)
      ? { ...parameter, link: value.replaceAll(" ", "%20") }
      : wrong(place, value, `the address of the ${parameter.type} must begin with https://`),
  );
  if (parameter.filename === undefined) return link;
  const name = compileValue(parameter.filename, { ...place, words: `the file name of ${place.words}`, max: FILE_NAME_MAX }, (filename) => ({
    filename,
  }));
  const join = (made: TemplateParameter | RenderingFault, named: { filename: string } | RenderingFault) =>
    "ok" in made ? made : "ok" in named ? named : { ...made, ...named };
  const fixed = link.fixed !== null && name.fixed !== null ? join(link.fixed, name.fixed) : null;
  return { ...namesOf([link, name]), fixed, render: (values) => join(link.render(values), name.render(values)) };
}

function compileValue<T extends object>(source: string, { words, max }: Place, made: (value: string) => T | RenderingFault): Part<T> {
  const compiled = compileText(source);
  const { variables, required } = compiled;
  const render = (values: Variables): T | RenderingFault => {
    const rendered = renderText(compiled, values);
    if (typeof rendered !== "string") return rendered;
    const value = cleanValue(rendered);
    if (value === "") return invalid(`${capital(words)} is empty.`);
    if (value.length > max) return invalid(`${capital(words)} has ${value.length} characters; WhatsApp takes ${max}.`);
    return made(value);
  };
  const isFixed = variables.length === 0 && !source.includes("{%");
  return { variables, required, fixed: isFixed ? render({}) : null, render };
}

const invalid = (detail: string): RenderingFault => ({ ok: false, reason: "invalid", detail });
const wrong = (place: Place, value: string, rule: string): RenderingFault =>
  invalid(`${capital(place.words)} is "${value.length > 60 ? `${value.slice(0, 60)}…` : value}"; ${rule}.`);
const capital = (words: string) => words.charAt(0).toUpperCase() + words.slice(1);
