import type { Dispatcher } from "undici";
import type { WireCode } from "../../rules/code-words.ts";
import type { Deadlines } from "../../runtime/deadlines.ts";
import { onAbort } from "./on-abort.ts";

/** An answer to a send has some hundred bytes. */
const ANSWER_BYTES_MAX = 1024 * 1024;

export interface Post {
  readonly path: string;
  /** Names and values by turns. */
  readonly headers: readonly string[];
  readonly body: string;
}

export type Posted =
  | { readonly kind: "answered"; readonly status: number; readonly body: string; readonly retryAfter: string }
  /** No byte of the request left. */
  | { readonly kind: "not_begun"; readonly code: WireCode; readonly cause: string }
  /** It was begun, and what became of it is not known. */
  | { readonly kind: "lost"; readonly code: WireCode; readonly cause: string };

/**
 * One POST, written to a socket at most once, whatever happens; never throws. Undici tells a request's handler right before its first
 * byte is written, in the same tick: until then nothing left, from then on it may have. It does not repeat a POST by itself
 * (test/conformance); should it ever try, the handler refuses. `undici.request` would hide that moment, and would let a call that was
 * aborted while it waited for a connection take one all the same.
 */
export function postOnce(pool: Dispatcher, post: Post, { signal, deadlines }: { signal: AbortSignal; deadlines: Deadlines }): Promise<Posted> {
  if (signal.aborted) return Promise.resolve({ kind: "not_begun", code: "aborted", cause: "The call was aborted." });
  return new Promise((resolve) => {
    const { path, headers, body } = post;
    const settle = (posted: Posted) => {
      deadlines.end(deadline);
      forget();
      resolve(posted);
    };
    const exchange = openExchange(settle, () => deadlines.isPast(deadline));
    const deadline = deadlines.begin(() => exchange.giveUp("not_reached", `within ${deadlines.ms} ms`));
    const forget = onAbort(signal, () => exchange.giveUp("aborted", "before the call was aborted"));
    // An answer wakes the next call at once, but frees its connection only in the next immediate: begun before that, calls would hold
    // twice as many connections as are in flight, and each costs 5 µs more.
    const request = { method: "POST", path, headers: headers as string[], body, idempotent: false } as const;
    setImmediate(() => pool.dispatch(request, exchange.handler));
  });
}

interface Exchange {
  readonly handler: Dispatcher.DispatchHandler;
  /** Nobody waits any longer. `code` holds while nothing was begun. */
  giveUp(code: WireCode, when: string): void;
}

/** The handler speaks undici's older form, which hands the answer's headers over unread: that is 6 of the 36 µs of a call. */
function openExchange(settle: (posted: Posted) => void, isLate: () => boolean): Exchange {
  const chunks: Buffer[] = [];
  let status = 0;
  let bytes = 0;
  let headers: readonly Buffer[] = [];
  let abort: ((error: Error) => void) | undefined;
  let isOver = false;

  const end = (posted: Posted): void => {
    if (isOver) return;
    isOver = true;
    settle(posted);
    if (posted.kind === "lost") abort?.(new Error(posted.cause));
  };

  return {
    giveUp: (code, when) =>
      end(abort ? { kind: "lost", code: "no_answer", cause: `No answer ${when}.` } : { kind: "not_begun", code, cause: `No connection ${when}.` }),
    handler: {
      onConnect(stop) {
        // Late: this process was frozen, and before its timers run the lot may be somebody else's.
        if (isOver || abort || isLate()) stop(new Error("This message was given up, or begun before."));
        else abort = stop;
      },
      onHeaders(code, raw) {
        status = code; // after a 1xx the answer's own follow
        headers = raw;
        return true;
      },
      onData(chunk) {
        bytes += chunk.byteLength;
        if (bytes <= ANSWER_BYTES_MAX) chunks.push(chunk);
        else end({ kind: "lost", code: "answer_too_large", cause: `The answer is longer than ${ANSWER_BYTES_MAX} bytes.` });
        return true;
      },
      onComplete() {
        const [only] = chunks;
        const whole = chunks.length === 1 && only ? only : Buffer.concat(chunks);
        end({ kind: "answered", status, body: whole.toString("utf8"), retryAfter: status < 300 ? "" : headerOf("retry-after", headers) });
      },
      onError(error) {
        end(abort ? { kind: "lost", ...whatBroke(error) } : { kind: "not_begun", code: "not_reached", cause: inWords(error) });
      },
    },
  };
}

/** Of headers as they came, names and values by turns. */
function headerOf(name: string, headers: readonly Buffer[]): string {
  const at = headers.findIndex((header, place) => place % 2 === 0 && header.toString("latin1").toLowerCase() === name);
  return at < 0 ? "" : (headers[at + 1]?.toString("latin1") ?? "");
}

function whatBroke(error: Error): { code: WireCode; cause: string } {
  const code = codeOf(error);
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT") return { code: "no_answer", cause: "The provider fell silent." };
  if (code === "UND_ERR_HEADERS_OVERFLOW") return { code: "answer_too_large", cause: "The answer's headers are too long." };
  if (error.name === "HTTPParserError") return { code: "answer_unreadable", cause: `The answer is not HTTP: ${error.message}` };
  return { code: "connection_lost", cause: inWords(error) };
}

const codeOf = (error: unknown): string => (error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "");

/** `ECONNREFUSED: connect ECONNREFUSED 127.0.0.1:9`; of several addresses tried, the last one's words. */
function inWords(error: Error): string {
  const last: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
  const message = (last instanceof Error ? last.message : error.message).trim();
  const code = codeOf(last) || codeOf(error);
  return code === "" || message.includes(code) ? message : `${code}: ${message}`;
}
