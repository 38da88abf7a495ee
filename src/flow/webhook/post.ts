import { Client } from "undici";
import type { Clock } from "../../runtime/clock.ts";
import { addressOf, ForbiddenAddress, guardedLookup, isAllowed, openResolver, type Resolve } from "./guard.ts";

/** From the first byte to the end of the answer's head. */
export const POST_TIME_MAX_MS = 15_000;
/** So much of an answer's body is read, and dropped, that its sender may end it in peace. */
const ANSWER_BYTES_MAX = 64 * 1024;

interface Post {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Posted =
  | { readonly kind: "answered"; readonly status: number; readonly retryAfter: string }
  /** No answer came; whether the receiver has it is not known. */
  | { readonly kind: "failed"; readonly cause: string }
  /** We ended it ourselves. */
  | { readonly kind: "aborted" };

/** Posts once, and never throws. */
export type Poster = (post: Post, signal: AbortSignal) => Promise<Posted>;

interface PosterDeps {
  readonly clock: Clock;
  /** To private addresses too, and over plain HTTP. */
  readonly allowPrivate: boolean;
  readonly resolve: Resolve;
}

export const openPoster =
  ({ resolve = openResolver(), ...deps }: Omit<PosterDeps, "resolve"> & { readonly resolve?: Resolve }): Poster =>
  (post, signal) =>
    postOnce(post, signal, { ...deps, resolve });

/**
 * One POST on a connection of its own, whose address was looked at; never repeated, never redirected. A kept connection would save a
 * handshake, and fail whenever the receiver closes it just then: the next try is five seconds away.
 */
async function postOnce({ url, headers, body }: Post, signal: AbortSignal, { clock, allowPrivate, resolve }: PosterDeps): Promise<Posted> {
  const target = new URL(url);
  const address = addressOf(target);
  if (target.protocol !== "https:" && !allowPrivate)
    return { kind: "failed", cause: "Webhooks go over https only, unless WEBHOOKS_ALLOW_PRIVATE is true." };
  if (address !== null && !isAllowed(address, allowPrivate)) return { kind: "failed", cause: new ForbiddenAddress(address).message };
  const late = new AbortController();
  const over = new AbortController();
  void clock.sleep(POST_TIME_MAX_MS, over.signal).then(() => over.signal.aborted || late.abort());
  const client = openClient(target.origin, guardedLookup(resolve, allowPrivate));
  try {
    const ended = AbortSignal.any([signal, late.signal]);
    const path = `${target.pathname}${target.search}`;
    const answer = await client.request({ method: "POST", path, headers: { ...headers }, body, reset: true, signal: ended });
    await answer.body.dump({ limit: ANSWER_BYTES_MAX, signal: ended }).catch(() => {});
    return { kind: "answered", status: answer.statusCode, retryAfter: String(answer.headers["retry-after"] ?? "") };
  } catch (error) {
    if (signal.aborted) return { kind: "aborted" };
    return { kind: "failed", cause: late.signal.aborted ? `No answer within ${POST_TIME_MAX_MS / 1_000} seconds.` : inWords(error) };
  } finally {
    over.abort();
    void client.destroy();
  }
}

/** Undici's own limits stand behind ours: each bounds a phase, ours the whole. */
const openClient = (origin: string, lookup: ReturnType<typeof guardedLookup>): Client =>
  new Client(origin, {
    connect: { lookup, timeout: POST_TIME_MAX_MS },
    headersTimeout: POST_TIME_MAX_MS,
    bodyTimeout: POST_TIME_MAX_MS,
    allowH2: false,
  });

const CAUSE_CHARACTERS_MAX = 300;

/** `ECONNREFUSED: connect ECONNREFUSED 203.0.113.9:443`; of several addresses tried, the last one's words. */
function inWords(error: unknown): string {
  const last: unknown = error instanceof AggregateError ? error.errors.at(-1) : error;
  const message = last instanceof Error ? last.message.trim() : String(last);
  const code = last instanceof Error && "code" in last ? String(last.code) : "";
  const words = code === "" || message.includes(code) ? message : `${code}: ${message}`;
  return words.replaceAll("\0", "").slice(0, CAUSE_CHARACTERS_MAX);
}
