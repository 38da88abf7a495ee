import { type CountryCode, getCountryCallingCode, isSupportedCountry, parsePhoneNumberFromString } from "libphonenumber-js/max";
import { isAssignable } from "./numbering.ts";

/** ISO 3166 alpha-2, upper case. */
export type Country = CountryCode;
export const isCountry = (text: string): text is Country => isSupportedCountry(text);

type PhoneFault =
  | "empty"
  | "scientific"
  | "two_numbers"
  | "extension"
  | "not_a_phone"
  | "too_short"
  | "too_long"
  | "no_country"
  | "invalid"
  | "ambiguous";

/** `phone` is E.164 with `+`. `reason` is a sentence for whoever owns the file: what is wrong, the value, what to do. */
export type PhoneResult = { readonly ok: true; readonly phone: string } | { readonly ok: false; readonly code: PhoneFault; readonly reason: string };

/**
 * The one E.164 spelling of the number that a cell or a field holds.
 *
 * Without a country, a number must bring its own: with `+`, with `00`, or as bare digits (`919876543210`, as document 004 writes
 * them), which are taken as international when they are valid so. With a country, a number is read as one of that country first
 * (`9876543210`, `09876543210` and `919876543210` with IN are all +919876543210), else as international.
 *
 * What could be somebody else's number is refused, since a rejected row can be mended and a message to a stranger cannot:
 * scientific notation; two numbers; `(631) 555-1234` with IN, which is written as North Americans write theirs, and which is a valid
 * number both there and, with another owner, in India.
 */
export function normalisePhone(text: string, country?: Country): PhoneResult {
  if (text.length > TEXT_MAX) return refuse("too_long", text);
  const bare = undress(text);
  const plain = /^\+?[1-9]\d{3,14}$/.test(bare);
  if (plain) {
    const digits = readings(bare, country).map(canonical).find(isAssignable);
    if (digits !== undefined) return { ok: true, phone: `+${digits}` };
  }
  const fault = plain ? null : blemish(bare);
  if (fault !== null) return refuse(fault, text, country);
  const read = bare.startsWith("+") ? parse(bare) : country === undefined ? international(bare) : national(bare, country);
  if (read === "ambiguous") return refuse("ambiguous", text, country);
  if (read !== null) return { ok: true, phone: `+${read}` };
  return refuse(faultOfDigits(bare, country), text, country);
}

const TEXT_MAX = 100;
/** Fewer are not taken for a number with its country code, unless + or 00 says so. */
const DIGITS_MIN = 8;

/** Takes off what spreadsheets, exports and chat programs put around a number: `'+91…`, `="+91…"`, `tel:+91…`, `919876543210.0`. */
function undress(text: string): string {
  const ascii = /^[\x20-\x7e]*$/.test(text) ? text : foldToAscii(text);
  const cell = ascii
    .trim()
    .replace(/^=?\s*["'`]*/, "")
    .replace(/["'`]+$/, "");
  const number = cell.replace(/^(?:tel|whatsapp|callto|sms):/i, "").trim();
  // A table read as floating point writes .0 after every number; any other fraction is no number of a phone.
  return /^\+?\d+\.0$/.test(number) ? number.slice(0, -2) : number;
}

/** Invisible marks dropped (zero width, direction, soft hyphen); digits of other scripts, full-width signs, dashes and spaces as ASCII. */
function foldToAscii(text: string): string {
  return text
    .replace(/\p{Cf}/gu, "")
    .replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/[٠-٩۰-۹०-९০-৯]/g, (digit) => String(digitOf(digit.charCodeAt(0))))
    .replace(/[\u2010-\u2015\u2212]/g, "-")
    .replace(/[\u2018\u2019\u201c\u201d\u00b4]/g, "'")
    .replace(/\s/g, " ");
}

/** Each of these scripts has its ten digits in a row; the row begins at a multiple of 16, or 6 after one (Devanagari, Bengali). */
const digitOf = (code: number) => (code >= 0x966 ? (code & 0x0f) - 6 : code & 0x0f);

function blemish(bare: string): PhoneFault | null {
  if (bare === "") return "empty";
  if (/^[+-]?\d+(?:[.,]\d+)?e[+-]?\d+$/i.test(bare)) return "scientific";
  if (/\d\D{0,3}(?:ext?n?|extension|x|#|доб|int)\W{0,3}\d{1,7}$/i.test(bare)) return "extension";
  const pieces = bare.split(/[/;,|\\\n\r]|:::|\s(?:or|and|&)\s|(?<=\d.*)\+/i);
  if (pieces.filter((piece) => digitsOf(piece).length >= 6).length > 1) return "two_numbers";
  return /^\+?[\d\s().~/-]*\d[\d\s().~/-]*$/.test(bare) ? null : "not_a_phone";
}

/**
 * What digits with nothing between them can be, likeliest first: the quick way, without the library, that nearly all numbers of a file
 * take (0.5 µs instead of 5; numbering.test.ts).
 */
function readings(bare: string, country?: Country): string[] {
  if (bare.startsWith("+")) return [bare.slice(1)];
  if (country === undefined) return bare.length >= DIGITS_MIN ? [bare] : [];
  const code = getCountryCallingCode(country);
  return bare.startsWith(code) ? [code + bare, bare] : [code + bare];
}

const digitsOf = (text: string) => text.replace(/\D/g, "");

type Reading = string | "ambiguous" | null;

/** Digits with the country code, as the library understands the text. */
function parse(bare: string, country?: Country): string | null {
  const parsed = parsePhoneNumberFromString(bare, { extract: false, ...(country === undefined ? {} : { defaultCountry: country }) });
  if (parsed === undefined || parsed.ext !== undefined) return null;
  const digits = canonical(parsed.number.slice(1));
  return isAssignable(digits) ? digits : null;
}

function international(bare: string): string | null {
  const digits = digitsOf(bare).replace(/^00/, "");
  return digits.length >= DIGITS_MIN && !digits.startsWith("0") ? parse(`+${digits}`) : null;
}

function national(bare: string, country: Country): Reading {
  // Until 2019 Mexicans dialled 01 before a number, 044 or 045 before a mobile; lists still have it. The library no longer knows.
  const dialled = country === "MX" ? bare.replace(/^(?:01|04[45])(?=(?:\D*\d){10}$)/, "") : bare;
  const digits = parse(dialled, country);
  if (digits === null) return international(bare);
  return northAmerican(bare) && !writtenSo(digits) ? "ambiguous" : digits;
}

/** Written `(631) 555-1234`, and valid so behind +1. */
const northAmerican = (bare: string) => /^\(\d{3}\) ?\d{3}-\d{4}$/.test(bare) && isAssignable(`1${digitsOf(bare)}`);

/** Whether that is how the number is written in its own country too: in North America itself, and for example in Mexico. */
function writtenSo(digits: string): boolean {
  const written = parsePhoneNumberFromString(`+${digits}`)?.formatNational() ?? "";
  return /^\(?\d{3}\)? ?\d{3}[ -]\d{4}$/.test(written);
}

/**
 * One spelling for numbers that are in use in two, so that one person is one contact. All three are the E.164 form of today:
 * - Mexico dropped the 1 after 52 in 2019. WhatsApp still shows 521…, which no numbering table accepts any more.
 * - Brazil put a 9 before all mobile numbers by 2016. WhatsApp shows old accounts without it. Landlines begin with 2 to 5, never got a
 *   9 and must not be given one, so only 6 to 9 get it.
 * - Argentina: a mobile is 54 9 and ten digits from abroad; at home, and so in many lists, the 9 is left out. The ten digits name one
 *   line with or without it, so we add it wherever the result is a valid mobile.
 */
function canonical(digits: string): string {
  if (/^521\d{10}$/.test(digits)) return `52${digits.slice(3)}`;
  const twin = /^55\d{2}[6-9]\d{7}$/.test(digits)
    ? `${digits.slice(0, 4)}9${digits.slice(4)}`
    : /^54[1-8]\d{9}$/.test(digits)
      ? `549${digits.slice(2)}`
      : null;
  return twin !== null && isAssignable(twin) ? twin : digits;
}

function faultOfDigits(bare: string, country?: Country): PhoneFault {
  const { length } = digitsOf(bare).replace(/^00/, "");
  if (length > 15) return "too_long";
  if (length < 7) return "too_short";
  return bare.startsWith("+") || bare.startsWith("00") || country !== undefined ? "invalid" : "no_country";
}

function refuse(code: PhoneFault, text: string, country?: Country): PhoneResult {
  const value = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return { ok: false, code, reason: reasons[code](value.replace(/\s+/g, " "), digitsOf(text).length, country) };
}

const reasons: Readonly<Record<PhoneFault, (value: string, digits: number, country?: Country) => string>> = {
  empty: () => "The phone is empty.",
  scientific: (value) => `${value} is in Excel's scientific notation: its last digits are lost. Format the column as text and export again.`,
  two_numbers: (value) => `“${value}” is more than one number. Keep one in a cell.`,
  extension: (value) => `“${value}” has an extension, which no message reaches. Keep the number only.`,
  not_a_phone: (value) => `“${value}” is not a phone number.`,
  too_short: (value, digits) => `“${value}” is too short for a phone number: it has ${digits} digits, and 7 is the least with its country code.`,
  too_long: (value, digits) => `“${value}” is too long for a phone number: it has ${digits} digits, and 15 is the most.`,
  no_country: (value) =>
    `“${value}” is not a valid number as it stands. Write it with + and its country code, or say which country the file is from.`,
  invalid: (value, _digits, country) =>
    country === undefined || value.includes("+")
      ? `“${value}” is not a valid number of the country its code names. Check the digits.`
      : `“${value}” is neither a number of ${country} nor a number with its country code. Check the digits.`,
  ambiguous: (value, _digits, country) =>
    `“${value}” is written as in North America, but the file's country is ${country}, where it would be somebody else's number. Write it with + and its country code.`,
};
