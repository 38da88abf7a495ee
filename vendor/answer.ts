import { graphFault } from "./errors.ts";
import type { Fate } from "./fate.ts";

/** What goes back over the wire: a body, silence until the caller leaves, or a torn connection. */
export type Answer = { readonly status: number; readonly body: string; readonly type?: string; readonly code?: number } | "hang" | "reset";

const html = "text/html; charset=utf-8";
const gateway = (title: string) => `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`;
const FLOOD_BYTES = 10 * 1024 * 1024;

/** Servers that break in the ways servers do: Meta's own 5xx, and a proxy's pages in front of it. */
const broken: readonly (() => Answer)[] = [
  () => graphFault(131000),
  () => graphFault(2),
  () => graphFault(131016),
  () => ({ status: 502, body: gateway("502 Bad Gateway"), type: html }),
  () => ({ status: 504, body: "", type: html }),
];

/** 200, and nothing of use: a page, half an answer, right JSON of the wrong shape, nothing, bytes. */
const garbage: readonly string[] = [
  gateway("Welcome to hotel Wi-Fi"),
  '{"messaging_product":"whatsapp","contacts":[{"input":"+1',
  '{"messaging_product":"whatsapp","messages":"wamid"}',
  "[]",
  "null",
  "",
  "\u0000\u0001\ufffd",
];

const nameless: readonly string[] = [
  '{"messaging_product":"whatsapp","contacts":[],"messages":[]}',
  '{"messaging_product":"whatsapp","contacts":[],"messages":[{"message_status":"accepted"}]}',
  '{"messaging_product":"whatsapp","contacts":[],"messages":[{"id":""}]}',
  '{"messaging_product":"whatsapp","contacts":[],"messages":[{"id":7}]}',
];

const at = <T>(list: readonly T[], luck: number) => list[Math.floor(luck * list.length)];

/** What a fault puts on the wire. Which of its faces shows is part of the fate, too. */
export function faultAnswer({ kind, luck }: NonNullable<Fate["fault"]>): Answer {
  switch (kind) {
    case "timeout":
      return "hang";
    case "reset":
      return "reset";
    case "unavailable":
      return at(broken, luck)?.() ?? graphFault(2);
    case "garbage":
      return { status: 200, body: at(garbage, luck) ?? "", type: luck < 0.5 ? html : "application/json" };
    case "missingId":
      return { status: 200, body: at(nameless, luck) ?? "{}" };
    case "flood":
      return { status: 200, body: "{}".padEnd(FLOOD_BYTES, " ") };
  }
}
