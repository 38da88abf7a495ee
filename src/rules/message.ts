/**
 * What a campaign says. Stored with the campaign when it is created, so a template that changes later changes nothing that was launched.
 * Every string value below is a Liquid text (rules/template.ts).
 */
export type MessageDefinition =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "template"; readonly name: string; readonly language: string; readonly components: readonly TemplateComponent[] };

/** One component of a WhatsApp template message as the Graph API takes it, its values still Liquid texts. */
export interface TemplateComponent {
  readonly type: "header" | "body" | "button";
  readonly sub_type?: "quick_reply" | "url" | "copy_code";
  readonly index?: number;
  readonly parameters: readonly TemplateParameter[];
}

export type TemplateParameter =
  | { readonly type: "text"; readonly text: string; readonly parameter_name?: string }
  | { readonly type: "payload"; readonly payload: string }
  | { readonly type: "coupon_code"; readonly coupon_code: string }
  | { readonly type: "image" | "video" | "document"; readonly link: string; readonly filename?: string };

/** A definition with one recipient's values in place. It has the same shape, and no Liquid left in it. */
export type RenderedMessage = MessageDefinition;

/** A recipient's frozen values, by variable name. */
export type Variables = Readonly<Record<string, string | number | boolean | null>>;

export type Rendering =
  | { readonly ok: true; readonly message: RenderedMessage }
  /** `missing_variable`: a variable without a value and without a default, by name. `invalid`: the result is not sendable (empty, too long). */
  | { readonly ok: false; readonly reason: "missing_variable" | "invalid"; readonly detail: string };

export type RenderingFault = Extract<Rendering, { readonly ok: false }>;
