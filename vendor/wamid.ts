import { randomBytes } from "node:crypto";

const TAIL_LENGTH = 18;
let nonce = randomBytes(4).toString("hex").toUpperCase();
let made = 0;

/**
 * A message id as WhatsApp writes them: base64 of a small record with the user's digits, the direction and 18 hex digits. Opaque to
 * callers. Unique over restarts: 8 of the digits are drawn at start, 10 count.
 */
export function wamid(digits: string, direction: "out" | "in"): string {
  if (made === 16 ** (TAIL_LENGTH - 8)) [nonce, made] = [randomBytes(4).toString("hex").toUpperCase(), 0];
  const tail =
    nonce +
    (made++)
      .toString(16)
      .toUpperCase()
      .padStart(TAIL_LENGTH - 8, "0");
  const mark = direction === "out" ? "\x11" : "\x12";
  const record = `\x1c\x18${String.fromCharCode(digits.length)}${digits}\x15\x02\x00${mark}\x18\x12${tail}\x00`;
  return `wamid.${Buffer.from(record, "latin1").toString("base64")}`;
}
