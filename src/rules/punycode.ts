/**
 * A domain label in ASCII: itself, or `xn--` and its Punycode (RFC 3492) when it has other letters. The platform's own conversion hangs
 * on URL, which the rules cannot see; punycode.test.ts compares the two. `label` is in lower case and in form NFKC.
 */
export function labelToAscii(label: string): string {
  if (/^[\x20-\x7e]*$/.test(label)) return label;
  return `xn--${encode(Array.from(label, (character) => character.codePointAt(0) ?? 0))}`;
}

const ASCII_END = 0x80;
// RFC 3492, section 5
const BASE = 36;
const T_MIN = 1;
const T_MAX = 26;
const SKEW = 38;
const DAMP = 700;
const BIAS = 72;

function encode(points: readonly number[]): string {
  const basic = points.filter((point) => point < ASCII_END);
  let output = String.fromCodePoint(...basic) + (basic.length > 0 ? "-" : "");
  let [next, delta, bias, handled] = [ASCII_END, 0, BIAS, basic.length];
  while (handled < points.length) {
    const lowest = Math.min(...points.filter((point) => point >= next));
    delta += (lowest - next) * (handled + 1);
    next = lowest;
    for (const point of points) {
      if (point < next) delta++;
      if (point !== next) continue;
      output += digits(delta, bias);
      bias = adapt(delta, handled + 1, handled === basic.length);
      delta = 0;
      handled++;
    }
    delta++;
    next++;
  }
  return output;
}

/** A number in the digits a–z, 0–9, of growing weight; the last is the one below its threshold. */
function digits(delta: number, bias: number): string {
  let output = "";
  let rest = delta;
  for (let weight = BASE; ; weight += BASE) {
    const threshold = Math.max(T_MIN, Math.min(T_MAX, weight - bias));
    if (rest < threshold) return output + digit(rest);
    output += digit(threshold + ((rest - threshold) % (BASE - threshold)));
    rest = Math.floor((rest - threshold) / (BASE - threshold));
  }
}

const digit = (value: number) => "abcdefghijklmnopqrstuvwxyz0123456789".charAt(value);

function adapt(delta: number, handled: number, first: boolean): number {
  let rest = Math.floor(first ? delta / DAMP : delta / 2);
  rest += Math.floor(rest / handled);
  let weight = 0;
  while (rest > ((BASE - T_MIN) * T_MAX) / 2) {
    rest = Math.floor(rest / (BASE - T_MIN));
    weight += BASE;
  }
  return weight + Math.floor(((BASE - T_MIN + 1) * rest) / (rest + SKEW));
}
