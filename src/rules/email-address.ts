import { labelToAscii } from "./punycode.ts";

/** `email` is one mailbox in lower case, its domain in ASCII, at most 254 characters. `reason` is a sentence for the file's owner. */
export type EmailResult = { readonly ok: true; readonly email: string } | { readonly ok: false; readonly reason: string };

const EMAIL_MAX = 254;
const LOCAL_MAX = 64;
const LABEL_MAX = 63;
const TEXT_MAX = 320;

/**
 * The one spelling of an e-mail address. RFC 5321 addresses in the form everybody has: no quoted local part, no address literal, no
 * name around it, no list of several. Whatever would be more than an address in a mail header (CR, LF, comma, angle brackets) is
 * refused, never cleaned away. The part before the @ is folded to lower case although the RFC lets a server tell `A` from `a`:
 * none is known that does, and one person must not get two messages.
 *
 * Every expression below is a single character class over at most 320 characters, so no text can make it slow.
 */
export function normaliseEmail(text: string): EmailResult {
  if (text.length > TEXT_MAX) return refuse(text, `is too long for an e-mail address: at most ${EMAIL_MAX} characters`);
  const bare = text
    .trim()
    .replace(/[\u200b-\u200f\u2060\ufeff]/g, "")
    .replace(/^mailto:/i, "");
  if (bare === "") return { ok: false, reason: "The e-mail address is empty." };
  if (/[\p{Cc}\s,;:<>()"[\]\\|]/u.test(bare)) return refuse(text, "is not one plain e-mail address. Keep a single name@domain in a cell");
  const at = bare.indexOf("@");
  if (at < 1 || bare.indexOf("@", at + 1) >= 0) return refuse(text, "is not an e-mail address: it needs one @ with something before it");
  const local = bare.slice(0, at).toLowerCase();
  const domain = domainToAscii(bare.slice(at + 1));
  const fault = faultOfLocal(local) ?? faultOfDomain(domain);
  if (fault !== null) return refuse(text, fault);
  const email = `${local}@${domain}`;
  return email.length <= EMAIL_MAX ? { ok: true, email } : refuse(text, `is too long for an e-mail address: at most ${EMAIL_MAX} characters`);
}

function faultOfLocal(local: string): string | null {
  if (local.length > LOCAL_MAX) return `has ${local.length} characters before the @; at most ${LOCAL_MAX} are allowed`;
  // Letters beyond ASCII before the @ need SMTPUTF8 at every server on the way, which bulk senders do not offer.
  if (!/^[a-z0-9!#$%&'*+/=?^_`{}~.-]+$/.test(local)) return "has a character before the @ that an e-mail address cannot have";
  return local.startsWith(".") || local.endsWith(".") || local.includes("..") ? "has a dot too many before the @" : null;
}

function faultOfDomain(domain: string): string | null {
  const labels = domain.split(".");
  const wrong = labels.find((label) => label.length > LABEL_MAX || !/^[a-z0-9-]+$/.test(label) || label.startsWith("-") || label.endsWith("-"));
  if (wrong !== undefined || domain === "") return "has no valid domain after the @";
  if (labels.length < 2) return "has no dot in its domain, such as in example.com";
  return /^[0-9]+$/.test(labels.at(-1) ?? "") ? "has a number where its domain should end" : null;
}

/** As UTS #46 does for the letters people use: full-width and ideographic dots, compatibility forms and capitals folded, then Punycode. */
function domainToAscii(domain: string): string {
  if (/^[\x20-\x7e]*$/.test(domain)) return domain.toLowerCase();
  const folded = domain
    .replace(/[\u3002\uff0e\uff61]/g, ".")
    .normalize("NFKC")
    .toLowerCase()
    .normalize("NFC");
  return folded.split(".").map(labelToAscii).join(".");
}

function refuse(text: string, fault: string): EmailResult {
  const value = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return { ok: false, reason: `“${value.replace(/\s+/g, " ")}” ${fault}.` };
}
