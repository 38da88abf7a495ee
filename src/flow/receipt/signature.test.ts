import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isSigned } from "./signature.ts";

const SECRET = "app_secret";
const plain = Buffer.from('{"object":"whatsapp_business_account","entry":[]}');
const escaped = Buffer.from('{"t":"caf\\u00e9 \\ud83d\\ude00"}');
const sign = (body: Buffer, secret = SECRET, algorithm = "sha256") => `${algorithm}=${createHmac(algorithm, secret).update(body).digest("hex")}`;

// The first two were computed with OpenSSL, from Meta's description.
test.each([
  [plain, "sha256=c236c758c9b2bd40b388a550eeca09eaca72384dd0aa5e7c31d19cddac5bba46"],
  [escaped, "sha256=3ddbd07d567ef2bc0d2880f98ae116bf05d0010136e1349a7bb43bad462e0394"],
  [plain, "SHA256=C236C758C9B2BD40B388A550EECA09EACA72384DD0AA5E7C31D19CDDAC5BBA46".replace("SHA", "sha")],
])("%s is signed by %s", (body, header) => {
  expect(isSigned(body, header, SECRET)).toBe(true);
});

describe("forged", () => {
  test("the signature of the body parsed and written again", () => {
    const rewritten = Buffer.from(JSON.stringify(JSON.parse(escaped.toString())));
    expect(rewritten.equals(escaped)).toBe(false);
    expect(isSigned(escaped, sign(rewritten), SECRET)).toBe(false);
    expect(isSigned(rewritten, sign(escaped), SECRET)).toBe(false);
  });

  test.each([
    ["nothing", undefined],
    ["an empty one", ""],
    ["no digits", "sha256="],
    ["sha1", sign(plain, SECRET, "sha1")],
    ["sha1 that says it is sha256", sign(plain, SECRET, "sha1").replace("sha1", "sha256")],
    ["another app's secret", sign(plain, "other")],
    ["too short", sign(plain).slice(0, -2)],
    ["too long", `${sign(plain)}00`],
    ["something before it", `sha1=00,${sign(plain)}`],
    ["the digits only", sign(plain).slice(7)],
  ])("%s", (_, header) => {
    expect(isSigned(plain, header, SECRET)).toBe(false);
  });

  test("an empty secret signs nothing", () => {
    expect(isSigned(plain, sign(plain, ""), "")).toBe(false);
  });

  test("one byte changed, in the body or in the signature", () => {
    const header = sign(plain);
    fc.assert(
      fc.property(fc.nat(plain.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const mutated = Buffer.from(plain);
        mutated[at] = (mutated[at] ?? 0) ^ change;
        expect(isSigned(mutated, header, SECRET)).toBe(false);
      }),
    );
    for (let at = "sha256=".length; at < header.length; at++) {
      const mutated = header.slice(0, at) + (header[at] === "0" ? "1" : "0") + header.slice(at + 1);
      expect(isSigned(plain, mutated, SECRET)).toBe(false);
    }
  });
});
