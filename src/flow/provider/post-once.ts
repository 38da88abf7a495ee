import type { Dispatcher } from "undici";
import type { WireCode } from "../../rules/code-words.ts";
import type { Deadlines } from "./deadlines.ts";
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
    const exchange = openExchange((posted) => {
      deadlines.end(deadline);
      forget();
      resolve(posted);
    });
    const deadline = deadlines.begin(() => exchange.giveUp("not_reached", `within ${deadlines.ms} ms`));
    const forget = onAbort(signal, () => exchange.giveUp("aborted", "before the call was aborted"));
    const { path, headers, body } = post;
    pool.dispatch({ method: "POST", path, headers: headers as string[], body, idempotent: false }, exchange.handler);
  });
}

interface Exchange {
  readonly handler: Dispatcher.DispatchHandler;
  /** Nobody waits any longer. `code` holds while nothing was begun. */
  giveUp(code: WireCode, when: string): void;
}

function openExchange(settle: (posted: Posted) => void): Exchange {
  const chunks: Buffer[] = [];
  let [status, bytes] = [0, 0];
  let retryAfter = "";
  let call: Dispatcher.DispatchController | undefined;
  let isOver = false;

  function end(posted: Posted): void {
    if (isOver) return;
    isOver = true;
    settle(posted);
    if (posted.kind === "lost" && call?.aborted === false) call.abort(new Error(posted.cause));
  }

  return {
    giveUp: (code, when) =>
      end(call ? { kind: "lost", code: "no_answer", cause: `No answer ${when}.` } : { kind: "not_begun", code, cause: `No connection ${when}.` }),
    handler: {
      onRequestStart(controller) {
        if (isOver || call) controller.abort(new Error("This message was given up, or begun before."));
        else call = controller;
      },
      onResponseStart(_controller, code, headers) {
        if (code < 200) return; // 1xx: the answer is still to come
        status = code;
        retryAfter = String(headers["retry-after"] ?? "");
      },
      onResponseData(_controller, chunk) {
        bytes += chunk.byteLength;
        if (bytes <= ANSWER_BYTES_MAX) chunks.push(chunk);
        else end({ kind: "lost", code: "answer_too_large", cause: `The answer is longer than ${ANSWER_BYTES_MAX} bytes.` });
      },
      onResponseEnd() {
        const [only] = chunks;
        const whole = chunks.length === 1 && only ? only : Buffer.concat(chunks);
        end({ kind: "answered", status, body: whole.toString("utf8"), retryAfter });
      },
      onResponseError(_controller, error) {
        end(call ? { kind: "lost", ...whatBroke(error) } : { kind: "not_begun", code: "not_reached", cause: inWords(error) });
      },
    },
  };
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
