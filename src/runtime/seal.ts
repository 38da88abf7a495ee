import { createCipheriv, createDecipheriv } from "node:crypto";
import type { Luck } from "./luck.ts";

/** A key made from the installation's secret. `id` is written before what it sealed, so a rotated secret still finds its old seals. */
export interface SealKey {
  readonly id: number;
  readonly bytes: Uint8Array;
}

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Key id (1 byte), nonce (12), AES-256-GCM text and tag (16); bound to the name of its row, so a seal moved to another row does not open. */
export function seal(text: string, { boundTo, key, luck }: { boundTo: string; key: SealKey; luck: Luck }): Uint8Array {
  const nonce = luck.bytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(boundTo));
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([Uint8Array.of(key.id), nonce, sealed, cipher.getAuthTag()]);
}

/** Null when none of the keys opens the seal: another secret sealed it, or it was tampered with. */
export function unseal(sealed: Uint8Array, { boundTo, keys }: { boundTo: string; keys: readonly SealKey[] }): string | null {
  const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
  const text = sealed.subarray(1 + NONCE_BYTES, -TAG_BYTES);
  for (const key of keys.filter(({ id }) => id === sealed[0])) {
    const decipher = createDecipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(boundTo))
      .setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(text), decipher.final()]).toString("utf8");
    } catch {
      // Another secret with the same id byte (1 in 256).
    }
  }
  return null;
}
