/** A template as the list API shows it. */
export interface Template {
  readonly id: string;
  readonly name: string;
  readonly language: string;
  readonly status: string;
  readonly category: string;
  readonly parameter_format: "POSITIONAL" | "NAMED";
  readonly components: readonly TemplateComponent[];
  readonly quality_score: { readonly score: string; readonly date: number };
}

export interface TemplateComponent {
  readonly type: string;
  readonly format?: string | undefined;
  readonly text?: string | undefined;
  readonly buttons?: readonly TemplateButton[] | undefined;
  readonly example?: unknown;
}

interface TemplateButton {
  readonly type: string;
  readonly text?: string | undefined;
  readonly url?: string | undefined;
  readonly phone_number?: string | undefined;
  readonly example?: unknown;
}

interface PlannedText {
  readonly text: string;
  /** Names ("1", "2" when positional) in order of first appearance; each is supplied once however often it appears. */
  readonly parameters: readonly string[];
}

/** What a template demands of whoever sends it, worked out once. */
export interface TemplatePlan {
  readonly named: boolean;
  /** TEXT with its text, or a format that takes a medium (IMAGE, VIDEO, DOCUMENT, LOCATION); null without header. */
  readonly header: (PlannedText & { readonly format: string }) | null;
  readonly body: PlannedText;
  readonly buttons: readonly PlannedButton[];
}

export interface PlannedButton {
  readonly type: string;
  readonly text: string;
  /** A URL that ends in a variable: its suffix must come with the send. */
  readonly dynamic: boolean;
}

const PLACEHOLDER = /\{\{\s*([A-Za-z0-9_]+)\s*\}\}/g;

function planned(text: string): PlannedText {
  return { text, parameters: [...new Set(Array.from(text.matchAll(PLACEHOLDER), ([, name = ""]) => name))] };
}

const plannedButton = (button: TemplateButton): PlannedButton => ({
  type: button.type.toUpperCase(),
  text: button.text ?? "",
  dynamic: button.type.toUpperCase() === "URL" && planned(button.url ?? "").parameters.length > 0,
});

export function templatePlan(template: Template): TemplatePlan {
  const component = (type: string) => template.components.find((candidate) => candidate.type.toUpperCase() === type);
  const header = component("HEADER");
  return {
    named: template.parameter_format === "NAMED",
    header: header ? { format: (header.format ?? "TEXT").toUpperCase(), ...planned(header.text ?? "") } : null,
    body: planned(component("BODY")?.text ?? ""),
    buttons: (component("BUTTONS")?.buttons ?? []).map(plannedButton),
  };
}

/** The text a user would read, with each variable replaced; the vendor measures it and throws it away. */
export const fill = (text: string, values: ReadonlyMap<string, string>) =>
  text.replace(PLACEHOLDER, (whole, name: string) => values.get(name) ?? whole);
