import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * Whether `header` (X-Hub-Signature-256) is the HMAC-SHA256 of the bytes as they came, keyed with the app's secret. Parsing and
 * writing the JSON again can change the bytes: Meta escapes what is not ASCII.
 */
export function isSigned(body: Buffer, header: string | undefined, secret: string): boolean {
  if (header?.length !== SIGNATURE_LENGTH || secret === "") return false;
  // As digits: a digest of bytes takes twice the time.
  const signature = `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
  return timingSafeEqual(Buffer.from(signature, "latin1"), Buffer.from(header.toLowerCase(), "latin1"));
}

const SIGNATURE_LENGTH = "sha256=".length + 64;
