import { randomBytes, randomUUID } from "node:crypto";

/** Where chance comes from. `bytes` and `uuid` of the system's luck cannot be guessed; `next` can. */
export interface Luck {
  /** In [0, 1). */
  next(): number;
  bytes(count: number): Uint8Array;
  /** Version 4, lower case. */
  uuid(): string;
}

export const systemLuck: Luck = {
  next: () => Math.random(),
  bytes: (count) => randomBytes(count),
  uuid: () => randomUUID(),
};

/** The same seed gives the same luck, on every machine (mulberry32). For tests, the demo and the vendor; never for secrets. */
export function seededLuck(seed: number): Luck {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const bytes = (count: number) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256));
  return { next, bytes, uuid: () => uuidOf(bytes(16)) };
}

/** Sixteen bytes written as a version 4 UUID (RFC 9562, 5.4). */
function uuidOf(bytes: Uint8Array): string {
  const marked = bytes.map((byte, at) => (at === 6 ? (byte & 0x0f) | 0x40 : at === 8 ? (byte & 0x3f) | 0x80 : byte));
  return Buffer.from(marked)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
