import type { CodeEntry } from "./whatsapp-code.ts";
import { messageFamilies } from "./whatsapp-codes-message.ts";
import { senderFamilies } from "./whatsapp-codes-sender.ts";

/**
 * Every known code (Meta's page of error codes, December 2025, and what was seen since), in two files: whatsapp-codes-sender.ts and
 * whatsapp-codes-message.ts. 200 stands for 200 to 299.
 */
export const whatsappCodes: ReadonlyMap<number, CodeEntry> = new Map(
  [...senderFamilies, ...messageFamilies].flatMap(({ codes, ...family }) =>
    Object.entries(codes).map(([code, [title, sentence, next = family.next]]): [number, CodeEntry] => [
      Number(code),
      { ...family, title, sentence, next },
    ]),
  ),
);

export const whatsappCode = (code: number): CodeEntry | undefined => whatsappCodes.get(code >= 200 && code <= 299 ? 200 : code);

/**
 * What the code of a `failed` webhook asks of us beyond that the message did not arrive: it had been accepted, so it is failed and
 * never retried by itself. Null: nothing.
 */
export function webhookVerdict(code: number): "suppress" | "block_sender" | "pause_campaign" | null {
  const verdict = whatsappCode(code)?.verdict;
  return verdict === "suppress" || verdict === "block_sender" || verdict === "pause_campaign" ? verdict : null;
}
