import { randomInt } from "node:crypto";
import { request } from "undici";
import type { WebhookTarget } from "./deliveries.ts";

const TIMEOUT_MS = 10_000;

/**
 * Asks the receiver to prove itself, as Meta does when a callback URL is saved: GET with `hub.mode`, `hub.challenge` and
 * `hub.verify_token`; it must answer 200 with the bare challenge. Throws, saying what came instead.
 */
export async function verifyTarget({ url, verifyToken = "" }: WebhookTarget): Promise<void> {
  const challenge = String(randomInt(1_000_000_000, 9_999_999_999));
  const asked = new URL(url);
  asked.searchParams.set("hub.mode", "subscribe");
  asked.searchParams.set("hub.challenge", challenge);
  asked.searchParams.set("hub.verify_token", verifyToken);
  const { statusCode, body } = await request(asked, { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch((cause: unknown) => {
    throw new Error(`The webhook ${url} could not be verified: ${(cause as Error).message}`, { cause });
  });
  const answer = await body.text();
  if (statusCode === 200 && answer === challenge) return;
  throw new Error(
    `The webhook ${url} could not be verified: it answered ${statusCode} ${JSON.stringify(answer.slice(0, 100))}, not 200 with the challenge.`,
  );
}
