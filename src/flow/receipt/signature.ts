import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * Whether `header` (X-Hub-Signature-256) is the HMAC-SHA256 of the bytes as they came, keyed with the app's secret. Parsing and
 * writing the JSON again can change the bytes: Meta escapes what is not ASCII.
 */
export function isSigned(body: Buffer, header: string | undefined, secret: string): boolean {
  const hex = /^sha256=([0-9a-f]{64})$/i.exec(header ?? "")?.[1];
  if (hex === undefined || secret === "") return false;
  return timingSafeEqual(Buffer.from(hex, "hex"), createHmac("sha256", secret).update(body).digest());
}
