import { Readable } from "node:stream";

/** What is decoded and cut into rows at once: few rows' time to anybody else in this process, whatever pieces the source comes in. */
const PIECE_BYTES = 65_536;

/**
 * The bytes of `source` in pieces of 64 kB, the last one shorter. Ends with the signal's reason as soon as it is aborted, also while
 * the source keeps us waiting, and tells the source to stop.
 */
export async function* piecesOf(source: AsyncIterable<Uint8Array | string>, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  let waiting: Buffer[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const next = await orAborted(iterator.next(), signal);
      if (next.done) break;
      const chunk =
        typeof next.value === "string" ? Buffer.from(next.value) : Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
      waiting.push(chunk);
      bytes += chunk.length;
      if (bytes < PIECE_BYTES) continue;
      const whole = Buffer.concat(waiting);
      const rest = whole.length % PIECE_BYTES;
      for (let at = 0; at < whole.length - rest; at += PIECE_BYTES) yield whole.subarray(at, at + PIECE_BYTES);
      waiting = rest === 0 ? [] : [whole.subarray(whole.length - rest)];
      bytes = rest;
    }
    if (bytes > 0) yield Buffer.concat(waiting);
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
