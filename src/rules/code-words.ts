import { whatsappCode } from "./whatsapp-codes.ts";

export interface CodeWords {
  readonly title: string;
  readonly sentence: string;
  readonly next: string;
}

/** Codes of our own: what a connection can do to a message. The first three: known not sent; the others: it may have been sent. */
export const wireCodes = {
  not_reached: "No connection to the provider could be made.",
  aborted: "The message was held back before a byte of it left.",
  redirected: "The provider's address answered with a redirect.",
  no_answer: "The provider did not answer in time.",
  connection_lost: "The connection broke before the answer was complete.",
  answer_unreadable: "The provider's answer cannot be read.",
  answer_too_large: "The provider's answer is far too long to be one.",
  no_message_id: "The provider's answer has no message id.",
} as const;
export type WireCode = keyof typeof wireCodes;

const sent = "Wait: a receipt settles it when the message was sent. Without one, the campaign's choice holds (hold, or send again).";
const notSent: Partial<Record<WireCode, string>> = {
  not_reached: "It is tried again. When it stays, check the network and the sender's base address.",
  aborted: "Nothing: it is sent when the sender goes on.",
  redirected: "Correct the sender's base address, then unblock it.",
};

/** A stored code in plain words: WhatsApp's own (`131026`), ours (`no_answer`, `http_502`). */
export function explainCode(code: string): CodeWords {
  const known = /^\d+$/.test(code) ? whatsappCode(Number(code)) : undefined;
  if (known) return { title: known.title, sentence: known.sentence, next: known.next };
  if (Object.hasOwn(wireCodes, code)) {
    const wire = code as WireCode;
    return { title: code, sentence: wireCodes[wire], next: notSent[wire] ?? sent };
  }
  const [, status] = /^http_(\d{3})$/.exec(code) ?? [];
  if (status !== undefined) {
    return {
      title: `HTTP ${status}`,
      sentence: `The provider answered with status ${status} and no code of its own.`,
      next: status >= "500" ? sent : "Check the sender's base address.",
    };
  }
  return {
    title: `Code ${code}`,
    sentence: "The provider refused the message with a code we do not know.",
    next: "Look at the provider's words. Report the code, please.",
  };
}
