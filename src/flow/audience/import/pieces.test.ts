import { Readable } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import { piecesOf } from "./pieces.ts";

async function read(source: AsyncIterable<Uint8Array | string>): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of piecesOf(source)) pieces.push(piece);
  return pieces;
}

test("the bytes come as they are, in pieces of 64 kB at most, and the first as long as can be", async () => {
  const sizes = fc.array(fc.oneof(fc.nat(100), fc.nat(200_000)), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(sizes, async (lengths) => {
      const chunks = lengths.map((length, at) => Buffer.alloc(length, at + 1));
      const pieces = await read(Readable.from(chunks));
      const whole = Buffer.concat(chunks);
      expect(Buffer.concat(pieces).equals(whole)).toBe(true);
      for (const piece of pieces) expect(piece.length).toBeLessThanOrEqual(65_536);
      expect(pieces[0]?.length ?? 0).toBe(Math.min(whole.length, 65_536));
    }),
    { numRuns: 50 },
  );
});

test("texts and views of larger buffers are bytes too", async () => {
  const larger = Buffer.from("..é..");
  const source = async function* () {
    yield "phone\n";
    yield new Uint8Array(larger.buffer, larger.byteOffset + 2, 2);
  };
  expect(Buffer.concat(await read(source())).toString()).toBe("phone\né");
});
