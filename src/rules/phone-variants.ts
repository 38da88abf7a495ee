/**
 * The E.164 addresses, with `+`, that may name the same person as `phone` (digits, with or without `+`): itself first.
 * WhatsApp's id of a user is not always the number that was written to: Mexico keeps an old 1 after 52, Brazil may lack the 9 that
 * mobile numbers were given (landlines begin with 2 to 5 and have none), Argentina shows or drops the 9 after 54.
 */
export function phoneVariants(phone: string): string[] {
  const digits = phone.startsWith("+") ? phone.slice(1) : phone;
  for (const [pattern, replacement] of twins) {
    if (pattern.test(digits)) return [`+${digits}`, `+${digits.replace(pattern, replacement)}`];
  }
  return [`+${digits}`];
}

const twins: readonly (readonly [RegExp, string])[] = [
  [/^521(\d{10})$/, "52$1"],
  [/^52(\d{10})$/, "521$1"],
  [/^55(\d{2})9([6-9]\d{7})$/, "55$1$2"],
  [/^55(\d{2})([6-9]\d{7})$/, "55$19$2"],
  [/^549(\d{10})$/, "54$1"],
  [/^54(\d{10})$/, "549$1"],
];
