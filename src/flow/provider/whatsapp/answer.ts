import type { Outcome } from "../../../rules/outcome.ts";
import type { CodeEntry } from "../../../rules/whatsapp-code.ts";
import { whatsappCode } from "../../../rules/whatsapp-codes.ts";

const CAUSE_MAX = 300;
const WAIT_MS = 60_000;
const WAIT_MIN_MS = 1_000;
const WAIT_MAX_MS = 3_600_000;

/**
 * What an answer of the Graph API means. The code table comes first and the HTTP status second: most throttles are 400, and 3, 131045
 * and 133000 are refusals for certain although they come as 500. Without a known code a 5xx, and a success without a message id, mean
 * that the message may have been sent. `retryAfterMs`: from the answer's header, where a proxy set one.
 */
export function classify(status: number, body: string, retryAfterMs = WAIT_MS): Outcome {
  const answer = parse(body);
  const error = recordOf(answer)?.["error"];
  const code = numberOf(recordOf(error)?.["code"]);
  const words = wordsOf(recordOf(error));
  if (code === 100 && numberOf(recordOf(error)?.["error_subcode"]) === 33) {
    // "Unsupported post request. Object with ID … does not exist": no message from this number will ever do better.
    return { kind: "rejected", code: "100", cause: words, remedy: "block_sender" };
  }
  const entry = code === null ? undefined : whatsappCode(code);
  if (entry && !(entry.vague && status >= 500)) return outcomeOf(entry, String(code), `${entry.title}: ${words}`.replace(/: $/, ""));
  const name = code === null ? `http_${status}` : String(code);
  if (status >= 200 && status < 300 && code === null) return accepted(answer);
  return byStatus(status, { code: name, cause: words || `The provider answered with status ${status}.`, retryAfterMs });
}

function accepted(answer: unknown): Outcome {
  const messages = recordOf(answer)?.["messages"];
  const id = recordOf(Array.isArray(messages) ? messages[0] : undefined)?.["id"];
  if (typeof id === "string" && id !== "") return { kind: "accepted", providerRef: id };
  return answer === undefined
    ? { kind: "uncertain", code: "answer_unreadable", cause: "The answer is not JSON." }
    : { kind: "uncertain", code: "no_message_id", cause: "The answer has no messages[0].id." };
}

function outcomeOf(entry: CodeEntry, code: string, cause: string): Outcome {
  const { verdict, retryAfterMs = WAIT_MS } = entry;
  switch (verdict) {
    case "throttle_sender":
      return { kind: "throttled", code, cause, scope: "sender", retryAfterMs };
    case "throttle_recipient":
      return { kind: "throttled", code, cause, scope: "recipient", retryAfterMs };
    case "uncertain":
      return { kind: "uncertain", code, cause };
    case "retry":
      return { kind: "rejected", code, cause, remedy: "retry", ...(entry.retryAfterMs === undefined ? {} : { retryAfterMs }) };
    default:
      return { kind: "rejected", code, cause, remedy: verdict, ...(entry.suspect ? { suspect: true } : {}) };
  }
}

/** No code, or one that is not in the table. */
function byStatus(status: number, { code, cause, retryAfterMs }: { code: string; cause: string; retryAfterMs: number }): Outcome {
  if (status === 429)
    return { kind: "throttled", code, cause, scope: "sender", retryAfterMs: Math.min(Math.max(retryAfterMs, WAIT_MIN_MS), WAIT_MAX_MS) };
  if (status >= 500 || status < 300 || status === 408) return { kind: "uncertain", code, cause };
  if (status >= 300 && status < 400) return { kind: "rejected", code: "redirected", cause, remedy: "block_sender" };
  const isDoor = code.startsWith("http_") && [401, 403, 404, 405, 407].includes(status);
  return isDoor ? { kind: "rejected", code, cause, remedy: "block_sender" } : { kind: "rejected", code, cause, remedy: "fail", suspect: true };
}

/** What Meta says about this case; an access token in it is masked (190: "Malformed access token EAA…"). */
function wordsOf(error: Readonly<Record<string, unknown>> | null): string {
  const details = recordOf(error?.["error_data"])?.["details"];
  const words = typeof details === "string" && details !== "" ? details : error?.["message"];
  return typeof words === "string"
    ? words
        .replace(/\bEAA\w+/g, "EAA…")
        .replace(/\s+/g, " ")
        .slice(0, CAUSE_MAX)
    : "";
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;

function numberOf(value: unknown): number | null {
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) ? number : null;
}
