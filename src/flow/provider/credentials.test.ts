import { describe, expect, test } from "vitest";
import { seededLuck, systemLuck } from "../../runtime/luck.ts";
import { credentialKey, openCredentials, sealCredentials } from "./credentials.ts";

const key = credentialKey("a secret of the installation");
const senderId = "00000000-0000-4000-8000-000000000002";
const seal = (luck = systemLuck) => sealCredentials({ accessToken: "EAAGcanary" }, { senderId, key, luck });

describe("credentials at rest", () => {
  test("open with the key that sealed them, for the sender they were sealed for", () => {
    expect(openCredentials(seal(), { senderId, keys: [key] })).toEqual({ accessToken: "EAAGcanary" });
    expect(Buffer.from(seal()).toString("latin1")).not.toContain("canary");
    expect(seal(seededLuck(1))).toEqual(seal(seededLuck(1)));
    expect(seal()).not.toEqual(seal());
  });

  test("do not open for another sender, with another secret, or when a byte has changed", () => {
    const sealed = seal();
    const fails = /do not open with this CAMPANILE_SECRET/;
    expect(() => openCredentials(sealed, { senderId: "00000000-0000-4000-8000-000000000003", keys: [key] })).toThrow(fails);
    expect(() => openCredentials(sealed, { senderId, keys: [credentialKey("another secret!!")] })).toThrow(fails);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Uint8Array.from(sealed, (byte, index) => (index === at ? byte ^ 1 : byte));
      expect(() => openCredentials(changed, { senderId, keys: [key] }), `byte ${at}`).toThrow(fails);
    }
    expect(() => openCredentials(new Uint8Array(0), { senderId, keys: [key] })).toThrow(fails);
    expect(() => openCredentials(sealed.subarray(0, 20), { senderId, keys: [key] })).toThrow(fails);
  });

  test("open after a rotation, also when both secrets have the same id", () => {
    const newer = credentialKey("the secret that came after");
    expect(openCredentials(seal(), { senderId, keys: [newer, key] })).toEqual({ accessToken: "EAAGcanary" });
    expect(openCredentials(seal(), { senderId, keys: [{ ...newer, id: key.id }, key] })).toEqual({ accessToken: "EAAGcanary" });
  });
});
