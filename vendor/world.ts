import { type Template, type TemplateComponent, type TemplatePlan, templatePlan } from "./template.ts";

export interface PhoneNumber {
  readonly id: string;
  readonly displayPhoneNumber: string;
  readonly digits: string;
  readonly countryCode: string;
  readonly verifiedName: string;
  /** CONNECTED, PENDING, DELETED, BANNED, … */
  readonly status: string;
  readonly qualityRating: string;
  readonly nameStatus: string;
  readonly messagingLimit: string;
}

/** What exists at the vendor: one WhatsApp Business Account, its numbers, its templates, and the tokens that open it. */
export interface World {
  readonly wabaId: string;
  readonly wabaName: string;
  /** Every send is answered with this code while it is set. */
  block: number | null;
  readonly phoneNumbers: Map<string, PhoneNumber>;
  readonly tokens: Map<string, "valid" | "expired">;
  readonly templates: Map<string, Template>;
  /** Counts ids up; a deleted template's id is never given again. */
  templatesMade: number;
  /** By `name language`. */
  readonly sendable: Map<string, { template: Template; plan: TemplatePlan }>;
}

export const DEFAULT_TOKEN = "EAAcampanileVendorToken";
const DEFAULT_WABA_ID = "102290129340398";
export const DEFAULT_PHONE_NUMBER_ID = "106540352242922";
const QUALITY_DATE = 1_767_225_600;

const positional = { parameter_format: "POSITIONAL", category: "MARKETING", status: "APPROVED", language: "en_US" } as const;

const body = (text: string, values: string[] = []): TemplateComponent => ({
  type: "BODY",
  text,
  ...(values.length > 0 ? { example: { body_text: [values] } } : {}),
});

const springOffer = (language: string, offer: string, stop: string): Omit<Template, "id" | "quality_score"> => ({
  ...positional,
  name: "spring_offer",
  language,
  parameter_format: "NAMED",
  components: [
    {
      type: "HEADER",
      format: "TEXT",
      text: "{{company}}",
      example: { header_text_named_params: [{ param_name: "company", example: "Lucky Shrub" }] },
    },
    {
      type: "BODY",
      text: offer,
      example: {
        body_text_named_params: [
          { param_name: "first_name", example: "Pablo" },
          { param_name: "company", example: "Lucky Shrub" },
        ],
      },
    },
    { type: "FOOTER", text: "Campanile demo" },
    {
      type: "BUTTONS",
      buttons: [
        { type: "URL", text: "See the offer", url: "https://shop.example/o/{{1}}", example: ["https://shop.example/o/spring"] },
        { type: "QUICK_REPLY", text: stop },
      ],
    },
  ],
});

const defaultTemplates: readonly Omit<Template, "id" | "quality_score">[] = [
  { ...positional, name: "hello_campanile", components: [body("Hello {{1}}, this is Campanile.", ["Pablo"])] },
  { ...positional, name: "hello_campanile", language: "pt_BR", components: [body("Olá {{1}}, aqui é o Campanile.", ["Pablo"])] },
  springOffer("en_US", "Hi {{first_name}}, spring is here: {{company}} saved something for you.", "Stop promotions"),
  {
    ...positional,
    name: "hello_world",
    category: "UTILITY",
    components: [body("Welcome and congratulations!"), { type: "FOOTER", text: "WhatsApp Business Platform sample message" }],
  },
  {
    ...positional,
    name: "vendor_signup_confirmation",
    category: "UTILITY",
    components: [body("Thank you for signing up. Your account is confirmed.")],
  },
  { ...positional, name: "winter_sale", status: "PAUSED", components: [body("Winter sale for {{1}}.", ["Pablo"])] },
  { ...positional, name: "free_money", status: "REJECTED", components: [body("Free money, {{1}}!", ["Pablo"])] },
];

export function phoneNumber(given: Partial<PhoneNumber> & { id: string; displayPhoneNumber: string }): PhoneNumber {
  return {
    countryCode: "1",
    verifiedName: "Campanile Demo",
    status: "CONNECTED",
    qualityRating: "GREEN",
    nameStatus: "APPROVED",
    messagingLimit: "TIER_100K",
    ...given,
    digits: given.displayPhoneNumber.replace(/\D/g, ""),
  };
}

/** Adds a template, or replaces the one of its name and language (which keeps its id). Returns it as stored. */
export function putTemplate(world: World, given: Omit<Template, "id" | "quality_score"> & { quality?: string }): Template {
  const { quality = "GREEN", ...template } = given;
  const key = `${template.name} ${template.language}`;
  const id = world.sendable.get(key)?.template.id ?? String(1_304_694_804_498_700 + world.templatesMade++);
  const stored: Template = { ...template, id, quality_score: { score: quality, date: QUALITY_DATE } };
  world.templates.set(id, stored);
  world.sendable.set(key, { template: stored, plan: templatePlan(stored) });
  return stored;
}

export function removeTemplate(world: World, id: string): Template | null {
  const template = world.templates.get(id);
  if (!template) return null;
  world.templates.delete(id);
  world.sendable.delete(`${template.name} ${template.language}`);
  return template;
}

/** The world every vendor starts with, and returns to on reset. */
export function defaultWorld(token: string): World {
  const world: World = {
    wabaId: DEFAULT_WABA_ID,
    wabaName: "Campanile Demo",
    block: null,
    phoneNumbers: new Map(),
    tokens: new Map([[token, "valid"]]),
    templates: new Map(),
    templatesMade: 0,
    sendable: new Map(),
  };
  const first = phoneNumber({ id: DEFAULT_PHONE_NUMBER_ID, displayPhoneNumber: "+1 555-078-3881" });
  world.phoneNumbers.set(first.id, first);
  for (const template of defaultTemplates) putTemplate(world, template);
  return world;
}
