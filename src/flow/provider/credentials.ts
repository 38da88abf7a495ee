import { createCipheriv, createDecipheriv, hkdfSync } from "node:crypto";
import type { Luck } from "../../runtime/luck.ts";

/** What a sender proves itself with at its vendor. Secret: never logged, never answered. */
export interface Credentials {
  readonly accessToken: string;
}

/** A key made from the installation's secret. `id` is written before what it sealed, so a rotated secret still finds its old seals. */
export interface CredentialKey {
  readonly id: number;
  readonly bytes: Uint8Array;
}

const CIPHER = "aes-256-gcm";
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function credentialKey(secret: string): CredentialKey {
  const derive = (purpose: string, bytes: number) => new Uint8Array(hkdfSync("sha256", secret, "campanile", purpose, bytes));
  return { id: derive("sender credentials: key id", 1)[0] ?? 0, bytes: derive("sender credentials", KEY_BYTES) };
}

/** Key id (1 byte), nonce (12), AES-256-GCM text and tag (16); bound to the sender's id, so a seal moved to another row does not open. */
export function sealCredentials(credentials: Credentials, { senderId, key, luck }: { senderId: string; key: CredentialKey; luck: Luck }): Uint8Array {
  const nonce = luck.bytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(senderId));
  const text = Buffer.concat([cipher.update(JSON.stringify(credentials), "utf8"), cipher.final()]);
  return Buffer.concat([Uint8Array.of(key.id), nonce, text, cipher.getAuthTag()]);
}

/** Throws when none of the keys opens the seal: another secret sealed it, or it was tampered with. */
export function openCredentials(sealed: Uint8Array, { senderId, keys }: { senderId: string; keys: readonly CredentialKey[] }): Credentials {
  const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
  const text = sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES);
  for (const key of keys.filter(({ id }) => id === sealed[0])) {
    const decipher = createDecipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(senderId))
      .setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      return JSON.parse(Buffer.concat([decipher.update(text), decipher.final()]).toString("utf8"));
    } catch {
      // Another secret with the same id byte (1 in 256).
    }
  }
  throw new Error(
    `The credentials of sender ${senderId} do not open with this CAMPANILE_SECRET. Put the old secret back, or enter the credentials again.`,
  );
}
