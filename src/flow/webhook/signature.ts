import { createHmac } from "node:crypto";
import type { Luck } from "../../runtime/luck.ts";

const SECRET_PREFIX = "whsec_";
const SECRET_BYTES = 32;

export const newSecret = (luck: Luck): string => `${SECRET_PREFIX}${Buffer.from(luck.bytes(SECRET_BYTES)).toString("base64")}`;

export interface Signed {
  readonly id: string;
  readonly body: string;
  /** Of this try: receivers refuse what is older than some minutes. */
  readonly at: Date;
  /** One signature for each: while a secret is replaced, the new one and the one before it. */
  readonly secrets: readonly string[];
}

/** The headers of Standard Webhooks 1.0 (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`. */
export function signatureHeaders({ id, body, at, secrets }: Signed): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(at.getTime() / 1_000));
  const sign = (secret: string) =>
    createHmac("sha256", Buffer.from(secret.slice(SECRET_PREFIX.length), "base64"))
      .update(`${id}.${timestamp}.${body}`)
      .digest("base64");
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": secrets.map((secret) => `v1,${sign(secret)}`).join(" ") };
}
