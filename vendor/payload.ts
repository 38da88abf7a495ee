import { createHmac } from "node:crypto";
import { webhookError } from "./errors.ts";
import type { PhoneNumber } from "./world.ts";

/** What later webhooks need to know about an accepted message. */
export interface Accepted {
  readonly wamid: string;
  readonly to: string;
  readonly waId: string;
  readonly sender: PhoneNumber;
  readonly callback: string | null;
  readonly category: string;
  /** Labels of the template's quick-reply buttons. */
  readonly replies: readonly string[];
}

export interface User {
  readonly waId: string;
  readonly name: string;
}

/** One thing a webhook tells. `happenedAt` in milliseconds since 1970. */
export type Update =
  | {
      readonly kind: "status";
      readonly message: Accepted;
      readonly status: "sent" | "delivered" | "read" | "failed";
      readonly code?: number | undefined;
      /** Whether it carries `pricing`: `sent` does, and the first of delivered and read. */
      readonly priced: boolean;
      readonly happenedAt: number;
    }
  | {
      readonly kind: "message";
      readonly sender: PhoneNumber;
      readonly user: User;
      readonly id: string;
      /** `{type, text: {body}}`, `{type, button: {…}}`, … */
      readonly content: Readonly<Record<string, unknown>>;
      readonly contextId: string | null;
      readonly happenedAt: number;
    }
  | { readonly kind: "preference"; readonly sender: PhoneNumber; readonly user: User; readonly value: "stop" | "resume"; readonly happenedAt: number }
  | { readonly kind: "field"; readonly field: string; readonly value: unknown; readonly happenedAt: number };

export interface PayloadOptions {
  readonly wabaId: string;
  /** Of the webhook subscription. */
  readonly version: number;
  readonly asciiOnly: boolean;
}

const names = ["Pablo", "José Müller", "Ana María", "रिया", "Zoë", "Li Wei 李伟", "Olga", "Ahmed 😀"];
/** The same user always has the same name; some need more than ASCII, so that signatures are tried on it. */
export const profileName = (digits: string) => names[Number(digits.slice(-3)) % names.length] ?? "Pablo";

const seconds = (ms: number) => String(Math.floor(ms / 1_000));
const contactOf = ({ waId, name }: User) => ({ profile: { name }, wa_id: waId });

function statusOf(update: Update & { kind: "status" }, version: number) {
  const { message, status, happenedAt } = update;
  const timestamp = seconds(happenedAt);
  const free = message.category === "service";
  return {
    id: message.wamid,
    status,
    timestamp,
    recipient_id: message.waId,
    ...(message.callback === null ? {} : { biz_opaque_callback_data: message.callback }),
    ...(update.priced && version < 24
      ? {
          conversation: {
            id: message.wamid.slice(-32).toLowerCase(),
            ...(status === "sent" ? { expiration_timestamp: seconds(happenedAt + 24 * 3_600_000) } : {}),
            origin: { type: message.category },
          },
        }
      : {}),
    ...(update.priced
      ? {
          pricing: {
            billable: !free,
            pricing_model: "PMP",
            type: free ? "free_customer_service" : "regular",
            category: message.category,
          },
        }
      : {}),
    ...(update.code === undefined ? {} : { errors: [webhookError(update.code)] }),
  };
}

function inboundOf(update: Update & { kind: "message" }) {
  return {
    ...(update.contextId === null ? {} : { context: { from: update.sender.digits, id: update.contextId } }),
    from: update.user.waId,
    id: update.id,
    timestamp: seconds(update.happenedAt),
    ...update.content,
  };
}

const preferenceOf = ({ user, value, happenedAt }: Update & { kind: "preference" }) => ({
  wa_id: user.waId,
  detail: `User requested to ${value} marketing messages`,
  category: "marketing_messages",
  value,
  // An integer here and a string everywhere else: Meta's own.
  timestamp: Math.floor(happenedAt / 1_000),
});

interface Change {
  readonly field: string;
  readonly value: unknown;
}

/** One `changes[]` element for updates of one kind and one phone number. */
function changeOf(updates: readonly Update[], version: number): Change[] {
  const [first] = updates;
  if (!first) return [];
  if (first.kind === "field") return updates.map((update) => ({ field: first.field, value: (update as typeof first).value }));
  const sender = first.kind === "status" ? first.message.sender : first.sender;
  const value: Record<string, unknown> = {
    messaging_product: "whatsapp",
    metadata: { display_phone_number: sender.digits, phone_number_id: sender.id },
  };
  const users = new Map<string, User>();
  for (const update of updates) {
    // A failed status never brings the contact along.
    if (update.kind === "status") {
      if (update.status !== "failed") users.set(update.message.waId, { waId: update.message.waId, name: profileName(update.message.to) });
    } else if (update.kind !== "field") users.set(update.user.waId, update.user);
  }
  if (users.size > 0) value["contacts"] = Array.from(users.values(), contactOf);
  if (first.kind === "status") value["statuses"] = updates.map((update) => statusOf(update as typeof first, version));
  if (first.kind === "message") value["messages"] = updates.map((update) => inboundOf(update as typeof first));
  if (first.kind === "preference") value["user_preferences"] = updates.map((update) => preferenceOf(update as typeof first));
  return [{ field: first.kind === "preference" ? "user_preferences" : "messages", value }];
}

const UPDATES_PER_CHANGE = 25;
const CHANGES_PER_ENTRY = 3;

function* slices<T>(list: readonly T[], size: number): Iterable<readonly T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

const groupOf = (update: Update) =>
  update.kind === "field" ? `field ${update.field}` : `${update.kind} ${(update.kind === "status" ? update.message.sender : update.sender).id}`;

/**
 * The body of one webhook POST. A big batch comes as several entries, changes and statuses, so that a reader who looks only at the first
 * of each loses something and shows it.
 */
export function payload(updates: readonly Update[], { wabaId, version, asciiOnly }: PayloadOptions): string {
  const groups = new Map<string, Update[]>();
  for (const update of updates) {
    const key = groupOf(update);
    const group = groups.get(key);
    if (group) group.push(update);
    else groups.set(key, [update]);
  }
  const changes: Change[] = [];
  for (const group of groups.values()) for (const part of slices(group, UPDATES_PER_CHANGE)) changes.push(...changeOf(part, version));
  const time = Math.floor((updates[0]?.happenedAt ?? 0) / 1_000);
  const entry = Array.from(slices(changes, CHANGES_PER_ENTRY), (part) => ({
    id: wabaId,
    ...(part.some((change) => change.field === "messages") ? {} : { time }),
    changes: part,
  }));
  const body = JSON.stringify({ object: "whatsapp_business_account", entry });
  return asciiOnly ? escaped(body) : body;
}

/** As Meta writes JSON: ASCII only (`\u00e9`, lower case) and `\/`. */
export const escaped = (json: string) =>
  json.replace(/[\u0080-\uffff/]/g, (char) => (char === "/" ? "\\/" : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`));

/** Value of `X-Hub-Signature-256` for exactly these bytes. */
export const signature = (body: string, appSecret: string) => `sha256=${createHmac("sha256", appSecret).update(body).digest("hex")}`;
