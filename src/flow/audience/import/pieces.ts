import { Readable } from "node:stream";

/** What is decoded and cut into rows at once, at most: few rows' time to anybody else in this process, whatever the source brings. */
const PIECE_BYTES = 65_536;
/** Less is gathered; the first piece is as long as can be, because it tells what the file is. */
const GATHERED_BYTES = 16_384;

/**
 * The bytes of `source` in pieces of 64 kB at most. Ends with the signal's reason as soon as it is aborted, also while the source keeps
 * us waiting, and tells the source to stop.
 */
export async function* piecesOf(source: AsyncIterable<Uint8Array | string>, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  let waiting: Buffer[] = [];
  let [bytes, enough] = [0, PIECE_BYTES];
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), signal);
      if (!next.done) {
        const chunk =
          typeof next.value === "string" ? Buffer.from(next.value) : Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
        waiting.push(chunk);
        bytes += chunk.length;
        if (bytes < enough) continue;
      }
      const [only = Buffer.alloc(0), ...more] = waiting;
      const whole = more.length === 0 ? only : Buffer.concat(waiting);
      for (let at = 0; at < bytes; at += PIECE_BYTES) yield whole.subarray(at, at + PIECE_BYTES);
      if (next.done) return;
      waiting = [];
      [bytes, enough] = [0, GATHERED_BYTES];
    }
  } finally {
    // A stream that keeps its reader waiting hears destroy() only; nobody waits for an answer of the others.
    if (source instanceof Readable) source.destroy();
    else void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
