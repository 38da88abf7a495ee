import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyPluginAsync } from "fastify";
import type { Intake } from "../../flow/receipt/intake.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Clock } from "../../runtime/clock.ts";
import { openDeadlines } from "../../runtime/deadlines.ts";

export interface WhatsappWebhookOptions {
  readonly intake: Intake;
  /** What Meta must say when the address of the webhook is registered; null: nobody can register it. */
  readonly verifyToken: string | null;
}

export interface TimedOptions extends WhatsappWebhookOptions {
  readonly clock: Clock;
  /** Whom the database keeps waiting for so long is told to come again. */
  readonly timeoutMs: number;
}

export const WEBHOOK_PATH = "/webhooks/whatsapp";
const tags = ["Webhooks"];
/** Meta sends at most 3 MB. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
const RETRY_AFTER_S = 5;

/**
 * `GET` and `POST /webhooks/whatsapp`, for Meta and whoever speaks like it: it looks at the status only and comes again, for days, after
 * anything but 200. So 200 is said when the webhook is durable and not before, and 503 when it could not be kept.
 */
export const whatsappWebhook: FastifyPluginAsync<TimedOptions> = async (app, { intake, verifyToken, clock, timeoutMs }) => {
  const deadlines = openDeadlines(clock, timeoutMs);
  app.addHook("onClose", async () => deadlines.close());
  // In this plugin only: the signature is over the bytes as they came, whatever type they are said to have.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

  app.get(WEBHOOK_PATH, { schema: { tags, summary: "Meta asks whether the address is ours", security: [] } }, async (request, reply) => {
    const query = new URLSearchParams(request.raw.url?.split("?")[1]); // the dots are part of the names; some parsers nest them
    const challenge = query.get("hub.challenge");
    if (query.get("hub.mode") !== "subscribe" || challenge === null || !isToken(query.get("hub.verify_token"), verifyToken)) {
      throw new Refusal("verify_token");
    }
    return reply.type("text/plain; charset=utf-8").header("x-content-type-options", "nosniff").send(challenge);
  });

  const schema = {
    tags,
    summary: "What became of messages, and what people answered",
    description: "Signed with X-Hub-Signature-256.",
    security: [],
  };
  const takeIn = (body: Buffer, signature: string | undefined) =>
    new Promise<Awaited<ReturnType<Intake["takeIn"]>> | "late">((resolve, reject) => {
      const deadline = deadlines.begin(() => resolve("late"));
      intake
        .takeIn(body, signature)
        .finally(() => deadlines.end(deadline))
        .then(resolve, reject);
    });

  app.post(WEBHOOK_PATH, { schema, bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
    const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const signature = request.headers["x-hub-signature-256"];
    const taken = await takeIn(body, typeof signature === "string" ? signature : undefined).catch((error: unknown) => {
      request.log.error({ err: error }, "A webhook could not be stored");
      return "away" as const;
    });
    if (taken === "forged") throw new Refusal("webhook_signature");
    if (taken === "stored") return reply.send();
    reply.header("retry-after", RETRY_AFTER_S);
    const cause = taken === "full" ? "Too many webhooks wait to be stored." : "The database does not take the webhook.";
    throw new Refusal("not_available", { cause: `${cause} Send it again.` });
  });
};

const digest = (text: string) => createHash("sha256").update(text).digest();
/** In constant time; digests have equal lengths. An empty token is none. */
const isToken = (said: string | null, token: string | null) => said !== null && !!token && timingSafeEqual(digest(said), digest(token));
