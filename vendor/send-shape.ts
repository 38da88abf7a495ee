import { hash } from "node:crypto";
import { type GraphFault, graphFault, paramFault } from "./errors.ts";
import type { Settings } from "./settings.ts";
import { isShape, type Shape, strangerFault, stringFault } from "./shape.ts";
import type { Template } from "./template.ts";
import { readTemplate } from "./template-shape.ts";
import type { PhoneNumber, World } from "./world.ts";

/** A send whose every part has a documented shape. */
export interface Send {
  /** As the caller wrote it. */
  readonly input: string;
  /** Digits of the number it goes to, country code included. */
  readonly to: string;
  /** Digits WhatsApp knows the user by; may differ from `to` (Mexico, Brazil). */
  readonly waId: string;
  readonly kind: "text" | "template";
  readonly template: Template | null;
  /** Of free text, so that two texts can be told apart without keeping either; null for templates. */
  readonly bodyHash: string | null;
  readonly callback: string | null;
}

const messageTypeList = "AUDIO, CONTACTS, DOCUMENT, IMAGE, INTERACTIVE, LOCATION, REACTION, STICKER, TEMPLATE, TEXT, VIDEO";
const messageTypes = new Set(messageTypeList.toLowerCase().split(", "));
const commonKeys = new Set([
  "messaging_product",
  "recipient_type",
  "to",
  "type",
  "text",
  "template",
  "context",
  "biz_opaque_callback_data",
  "message_activity_sharing",
  "product_policy",
]);
const CALLBACK_LENGTH_MAX = 512;
const TEXT_LENGTH_MAX = 4_096;

function productFault(product: unknown): GraphFault | null {
  if (product === undefined || product === null) return paramFault("The parameter messaging_product is required.");
  if (product === "whatsapp") return null;
  return paramFault(`Param messaging_product must be one of {WHATSAPP} - got "${String(product)}".`);
}

function commonFault(body: Shape): GraphFault | null {
  const { recipient_type: recipientType, type = "text", biz_opaque_callback_data: callback, context } = body;
  if (recipientType !== undefined && recipientType !== "individual") {
    return paramFault(`Param recipient_type must be one of {INDIVIDUAL} - got "${String(recipientType)}".`);
  }
  if (typeof type !== "string" || !messageTypes.has(type.toLowerCase())) {
    return paramFault(`Param type must be one of {${messageTypeList}} - got "${String(type)}".`);
  }
  if (callback !== undefined && typeof callback !== "string") return paramFault("Param biz_opaque_callback_data must be a string.");
  if (typeof callback === "string" && callback.length > CALLBACK_LENGTH_MAX) {
    return paramFault(`Param biz_opaque_callback_data must be at most ${CALLBACK_LENGTH_MAX} characters long.`);
  }
  if (context !== undefined && !(isShape(context) && typeof context["message_id"] === "string")) {
    return paramFault("The parameter context['message_id'] is required.");
  }
  return null;
}

const textKeys = new Set(["body", "preview_url"]);

function textFault(text: unknown): GraphFault | null {
  if (!isShape(text)) return paramFault("The parameter text['body'] is required.");
  const fault = strangerFault(text, textKeys, "text") ?? stringFault(text["body"], "text['body']");
  if (fault) return fault;
  const body = text["body"] as string;
  if (body.length > TEXT_LENGTH_MAX && [...body].length > TEXT_LENGTH_MAX) {
    return paramFault(`Param text['body'] must be at most ${TEXT_LENGTH_MAX} characters long.`);
  }
  const preview = text["preview_url"];
  return preview === undefined || typeof preview === "boolean" ? null : paramFault("Param text['preview_url'] must be a boolean.");
}

const PLAIN_NUMBER = /^\+?\d+$/;

/** The digits a number as typed leads to; a fault when it leads nowhere. */
function readNumber(to: unknown, sender: PhoneNumber, quirks: Settings["quirks"]): string | GraphFault {
  const fault = stringFault(to, "to");
  if (fault || typeof to !== "string") return fault ?? paramFault("Param to must be a string.");
  const plain = PLAIN_NUMBER.test(to) ? to : to.replace(/[-() ]/g, "");
  if (!PLAIN_NUMBER.test(plain)) return graphFault(131009, "Parameter Invalid");
  const explicit = plain.startsWith("+");
  const digits = explicit ? plain.slice(1) : quirks.prependCountryCode ? sender.countryCode + plain : plain;
  // Seen in the field: 00 in front of the country code is refused as an invalid parameter, not as an invalid value.
  if (digits.startsWith("0")) return graphFault(100, "Parameter Invalid");
  return digits.length >= 7 && digits.length <= 15 ? digits : graphFault(131009, "Parameter Invalid");
}

function waIdOf(digits: string, quirks: Settings["quirks"]): string {
  if (quirks.mexico && /^52\d{10}$/.test(digits)) return `521${digits.slice(2)}`;
  if (quirks.brazil && /^55[3-9]\d9\d{8}$/.test(digits)) return digits.slice(0, 4) + digits.slice(5);
  return digits;
}

interface Reader {
  readonly world: World;
  readonly sender: PhoneNumber;
  readonly quirks: Settings["quirks"];
}

/** Reads the body of `POST /<phone number>/messages`: the send it asks for, or Meta's refusal. */
export function readSend(body: unknown, { world, sender, quirks }: Reader): Send | GraphFault {
  if (!isShape(body)) return paramFault("The parameter messaging_product is required.");
  const fault = productFault(body["messaging_product"]) ?? commonFault(body);
  if (fault) return fault;
  const digits = readNumber(body["to"], sender, quirks);
  if (typeof digits !== "string") return digits;
  if (digits === sender.digits) return graphFault(131021);
  const kind = String(body["type"] ?? "text").toLowerCase();
  if (kind !== "text" && kind !== "template") return graphFault(131051);
  const stranger = strangerFault(body, commonKeys, null);
  if (stranger) return stranger;
  const common = {
    input: body["to"] as string,
    to: digits,
    waId: waIdOf(digits, quirks),
    callback: (body["biz_opaque_callback_data"] as string | undefined) ?? null,
  };
  if (kind === "text") {
    const wrong = textFault(body["text"]);
    if (wrong) return wrong;
    const text = (body["text"] as { body: string }).body;
    return { ...common, kind, template: null, bodyHash: hash("sha256", text, "hex").slice(0, 16) };
  }
  const read = readTemplate(body["template"], world);
  return "code" in read ? read : { ...common, kind, template: read, bodyHash: null };
}
