import { hkdfSync } from "node:crypto";
import type { Luck } from "../../runtime/luck.ts";
import { type SealKey, seal, unseal } from "../../runtime/seal.ts";

/** What a sender proves itself with at its vendor. Secret: never logged, never answered. */
export interface Credentials {
  readonly accessToken: string;
}

/** A key made from the installation's secret. */
export type CredentialKey = SealKey;

const KEY_BYTES = 32;

export function credentialKey(secret: string): CredentialKey {
  const derive = (purpose: string, bytes: number) => new Uint8Array(hkdfSync("sha256", secret, "campanile", purpose, bytes));
  return { id: derive("sender credentials: key id", 1)[0] ?? 0, bytes: derive("sender credentials", KEY_BYTES) };
}

/** Bound to the sender's id: see runtime/seal.ts. */
export function sealCredentials(credentials: Credentials, { senderId, key, luck }: { senderId: string; key: CredentialKey; luck: Luck }): Uint8Array {
  return seal(JSON.stringify(credentials), { boundTo: senderId, key, luck });
}

/** Throws when none of the keys opens the seal: another secret sealed it, or it was tampered with. */
export function openCredentials(sealed: Uint8Array, { senderId, keys }: { senderId: string; keys: readonly CredentialKey[] }): Credentials {
  const text = unseal(sealed, { boundTo: senderId, keys });
  if (text !== null) return JSON.parse(text);
  throw new Error(
    `The credentials of sender ${senderId} do not open with this CAMPANILE_SECRET. Put the old secret back, or enter the credentials again.`,
  );
}
