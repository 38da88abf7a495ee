import { optOutScope } from "./opt-out.ts";

export const receiptKinds = ["sent", "delivered", "read", "replied", "failed"] as const;
export type ReceiptKind = (typeof receiptKinds)[number];

/**
 * What a message has that has a receipt of this kind: WhatsApp sends no `delivered` when delivery and reading coincide, and whoever
 * answers got the message though they may hide that they read it. Stored are the reported facts; the counts and the reach follow this.
 */
export const implied: Readonly<Record<ReceiptKind, readonly ReceiptKind[]>> = {
  sent: ["sent"],
  delivered: ["delivered", "sent"],
  read: ["read", "delivered", "sent"],
  replied: ["replied", "delivered", "sent"],
  failed: ["failed"],
};

const furthest: readonly ReceiptKind[] = ["replied", "read", "delivered", "sent", "failed"];

/** The furthest of a message's receipts. Never goes back: a `failed` after `delivered` is kept and changes nothing here. */
export const reachOf = (kinds: Iterable<ReceiptKind>): ReceiptKind | null => {
  const had = new Set(kinds);
  return furthest.find((kind) => had.has(kind)) ?? null;
};

/** `suppression.source` of what WhatsApp's own advertising switch caused; resuming there lifts these, and no others. */
export const PREFERENCE_SOURCE = "whatsapp_preference";

/** An element that matches no message is tried again so much later; at first quickly, for it may have overtaken our own record. */
export const matchAgainMs = (tries: number): number => Math.min(5_000 * 4 ** tries, 6 * 3_600_000);
export const MATCH_FOR_HOURS = 24;

/** One update of a WhatsApp webhook. Instants are ISO 8601 texts; it is stored as JSON while it waits for its message. */
export type Element = StatusElement | ReplyElement | PreferenceElement;

interface StatusElement {
  readonly kind: "status";
  readonly phoneNumberId: string;
  readonly providerRef: string;
  /** What we sent as `biz_opaque_callback_data`. */
  readonly reference?: string;
  readonly status: "sent" | "delivered" | "read" | "failed" | "played";
  readonly at: string;
  /** WhatsApp's id of the user, digits; may differ from the number written to. */
  readonly recipient?: string;
  readonly error?: { readonly code: string; readonly cause: string };
}

export interface ReplyElement {
  readonly kind: "reply";
  readonly phoneNumberId: string;
  /** Digits; a user with a username may have none. Then there is a `contextRef`. */
  readonly from?: string;
  readonly providerRef: string;
  /** Our message that is answered. Most free texts name none. */
  readonly contextRef?: string;
  readonly at: string;
  readonly text?: string;
  readonly button?: { readonly payload?: string; readonly label?: string };
}

interface PreferenceElement {
  readonly kind: "preference";
  readonly phoneNumberId: string;
  readonly from: string;
  readonly wanted: "stop" | "resume";
  readonly at: string;
}

export interface Webhook {
  readonly elements: readonly Element[];
  /** Updates we have no use for: reactions, kinds of status and fields that came later, news of templates and accounts. */
  readonly ignored: number;
  /** Updates that cannot be understood, each with its place and what is wrong with it. */
  readonly faults: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;
/** An element, null for one to ignore, or what is wrong with it. */
type Reading = Element | null | string;
interface Context {
  readonly phoneNumberId: string | undefined;
  readonly receivedAt: string;
}

const TEXT_MAX = 4_096;
const ID_MAX = 512;

/**
 * Reads the parsed body of a WhatsApp webhook (field `messages` and `user_preferences`, Graph API v20 and later), whatever its shape.
 * An update without a usable time happened at `receivedAt`.
 */
export function readWebhook(body: unknown, receivedAt: Date): Webhook {
  const elements: Element[] = [];
  const faults: string[] = [];
  let ignored = 0;
  const take = (path: string, reading: Reading) => {
    if (reading === null) ignored++;
    else if (typeof reading === "string") faults.push(`${path}: ${reading}`);
    else elements.push(reading);
  };
  if (!Array.isArray(fieldsOf(body)?.entry)) faults.push("the body has no list 'entry'");
  for (const { path, field, value, phoneNumberId } of changesOf(body)) {
    const context = { phoneNumberId, receivedAt: receivedAt.toISOString() };
    const readers = field === undefined ? undefined : readersOf.get(field);
    if (value === undefined || field === undefined) take(path, "not an object with 'field' and 'value'");
    else if (readers === undefined) ignored++;
    else {
      for (const [name, read] of Object.entries(readers)) {
        const list = value[name];
        if (list === undefined) continue;
        if (!Array.isArray(list)) take(`${path}.${name}`, "not a list");
        else for (const [i, item] of list.entries()) take(`${path}.${name}[${i}]`, readItem(read, item, context));
      }
    }
  }
  return { elements, ignored, faults };
}

/** The phone number ids that a parsed body names, each once, in its order: whose webhook it is. */
export function phoneNumberIdsOf(body: unknown): string[] {
  const ids = new Set<string>();
  for (const { phoneNumberId } of changesOf(body)) if (phoneNumberId !== undefined) ids.add(phoneNumberId);
  return [...ids];
}

interface Change {
  readonly path: string;
  readonly field: string | undefined;
  readonly value: Fields | undefined;
  readonly phoneNumberId: string | undefined;
}

function* changesOf(body: unknown): Generator<Change> {
  for (const [e, entry] of listOf(fieldsOf(body)?.entry)) {
    for (const [c, raw] of listOf(fieldsOf(entry)?.changes)) {
      const change = fieldsOf(raw);
      const value = fieldsOf(change?.value);
      const id = textOf(fieldsOf(value?.metadata)?.phone_number_id, ID_MAX);
      const phoneNumberId = id !== undefined && /^[\w-]{1,64}$/.test(id) ? id : undefined;
      yield { path: `entry[${e}].changes[${c}]`, field: textOf(change?.field, ID_MAX), value, phoneNumberId };
    }
  }
}

const listOf = (value: unknown) => (Array.isArray(value) ? value.entries() : []);

function readItem(read: (raw: Fields, phoneNumberId: string, receivedAt: string) => Reading, raw: unknown, context: Context): Reading {
  const fields = fieldsOf(raw);
  if (fields === undefined) return "not an object";
  if (context.phoneNumberId === undefined) return "no usable metadata.phone_number_id";
  return read(fields, context.phoneNumberId, context.receivedAt);
}

const statuses: ReadonlySet<string> = new Set(["sent", "delivered", "read", "failed", "played"]);
const isStatus = (value: string): value is StatusElement["status"] => statuses.has(value);

function readStatus(raw: Fields, phoneNumberId: string, receivedAt: string): Reading {
  const providerRef = textOf(raw.id, ID_MAX);
  const status = textOf(raw.status, ID_MAX);
  if (providerRef === undefined) return "no id";
  if (status === undefined) return "no status";
  if (!isStatus(status)) return null;
  return {
    kind: "status",
    phoneNumberId,
    providerRef,
    status,
    at: instantOf(raw.timestamp, receivedAt),
    ...present("reference", textOf(raw.biz_opaque_callback_data, ID_MAX)),
    ...present("recipient", digitsOf(raw.recipient_id)),
    ...(status === "failed" ? { error: errorOf(raw.errors) } : {}),
  };
}

function errorOf(errors: unknown): { code: string; cause: string } {
  const error = fieldsOf(Array.isArray(errors) ? errors[0] : undefined) ?? {};
  const cause = [fieldsOf(error.error_data)?.details, error.message, error.title].map((text) => textOf(text, TEXT_MAX)).find(Boolean);
  return { code: textOf(error.code, ID_MAX) ?? "unknown", cause: cause ?? "WhatsApp gave no reason." };
}

/** No answers: an emoji put on a message, a message taken back or changed, and what WhatsApp itself has to say. */
const noReplies: ReadonlySet<string> = new Set(["reaction", "system", "request_welcome", "edit", "revoke"]);

function readReply(raw: Fields, phoneNumberId: string, receivedAt: string): Reading {
  const providerRef = textOf(raw.id, ID_MAX);
  if (providerRef === undefined) return "no id";
  if (noReplies.has(textOf(raw.type, ID_MAX) ?? "")) return null;
  const from = digitsOf(raw.from);
  const contextRef = textOf(fieldsOf(raw.context)?.id, ID_MAX);
  const text = textOf(fieldsOf(raw.text)?.body, TEXT_MAX);
  const button = buttonOf(raw);
  const answer = { ...present("text", text), ...present("button", button) };
  if (from === undefined && contextRef === undefined) {
    if (optOutScope(answer) === null) return null;
    return `an opt-out of user ${textOf(raw.from_user_id, ID_MAX) ?? "unknown"}, who shows no phone number and names no message of ours`;
  }
  const at = instantOf(raw.timestamp, receivedAt);
  return { kind: "reply", phoneNumberId, providerRef, at, ...present("from", from), ...present("contextRef", contextRef), ...answer };
}

function buttonOf(raw: Fields): ReplyElement["button"] {
  const tapped = fieldsOf(raw.button);
  if (tapped !== undefined) return { ...present("payload", textOf(tapped.payload, ID_MAX)), ...present("label", textOf(tapped.text, ID_MAX)) };
  const interactive = fieldsOf(raw.interactive);
  const chosen = fieldsOf(interactive?.button_reply) ?? fieldsOf(interactive?.list_reply);
  if (chosen === undefined) return undefined;
  return { ...present("payload", textOf(chosen.id, ID_MAX)), ...present("label", textOf(chosen.title, ID_MAX)) };
}

function readPreference(raw: Fields, phoneNumberId: string, receivedAt: string): Reading {
  const wanted = textOf(raw.value, ID_MAX);
  if (textOf(raw.category, ID_MAX) !== "marketing_messages") return null;
  if (wanted !== "stop" && wanted !== "resume") return "value is neither stop nor resume";
  const from = digitsOf(raw.wa_id);
  if (from === undefined) return `user ${textOf(raw.user_id, ID_MAX) ?? "unknown"}, who wants ${wanted}, shows no phone number`;
  return { kind: "preference", phoneNumberId, from, wanted, at: instantOf(raw.timestamp, receivedAt) };
}

const readersOf: ReadonlyMap<string, Readonly<Record<string, typeof readStatus>>> = new Map([
  ["messages", { statuses: readStatus, messages: readReply }],
  ["user_preferences", { user_preferences: readPreference }],
]);

const fieldsOf = (value: unknown): Fields | undefined => (isFields(value) ? value : undefined);
const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null && !Array.isArray(value);

/** A text, or a whole number as text, that Postgres can store: no NUL, no half of a surrogate pair. Undefined when nothing is left. */
function textOf(value: unknown, max: number): string | undefined {
  if (Number.isSafeInteger(value)) return String(value);
  if (typeof value !== "string") return undefined;
  return (
    value
      .slice(0, max)
      .replaceAll("\0", "")
      .replace(/\p{Surrogate}/gu, "\ufffd") || undefined
  );
}

function digitsOf(value: unknown): string | undefined {
  return /^\+?(\d{5,20})$/.exec(textOf(value, ID_MAX) ?? "")?.[1];
}

/** Unix seconds, as text or number, between 2001 and 2286. */
function instantOf(value: unknown, otherwise: string): string {
  const text = textOf(value, ID_MAX) ?? "";
  return /^[1-9]\d{9}$/.test(text) ? new Date(Number(text) * 1000).toISOString() : otherwise;
}

const present = <Name extends string, Value>(name: Name, value: Value | undefined) =>
  (value === undefined ? {} : { [name]: value }) as { [key in Name]?: Value };
