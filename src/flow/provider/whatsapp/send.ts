import type { Dispatcher } from "undici";
import type { RenderedMessage, TemplateParameter } from "../../../rules/message.ts";
import type { Outcome } from "../../../rules/outcome.ts";
import type { Deadlines } from "../../../runtime/deadlines.ts";
import type { Parcel, Provider } from "../port.ts";
import { type Posted, postOnce } from "../post-once.ts";
import { classify } from "./answer.ts";

/** Where a phone number sends: `<base path>/<version>/<phone number id>/<messages | marketing_messages>` on the pool's origin. */
export interface WhatsAppDoor {
  readonly pool: Dispatcher;
  readonly deadlines: Deadlines;
  readonly path: string;
  readonly accessToken: string;
}

/** Before the vendor is tried again that could not be reached. */
const UNREACHED_REST_MS = 5_000;

/** Sends over the WhatsApp Cloud API. */
export function whatsappProvider({ pool, deadlines, path, accessToken }: WhatsAppDoor): Provider {
  const headers = ["authorization", `Bearer ${accessToken}`, "content-type", "application/json"];
  return {
    name: "whatsapp_cloud",
    async send(parcel, signal) {
      const posted = await postOnce(pool, { path, headers, body: bodyOf(parcel) }, { signal, deadlines });
      return outcomeOf(posted);
    },
  };
}

function outcomeOf(posted: Posted): Outcome {
  switch (posted.kind) {
    case "answered":
      return classify(posted.status, posted.body, waitOf(posted.retryAfter));
    case "not_begun":
      // Nobody's fault but the way there: it is waited for, however long, and counts as no attempt.
      return { kind: "throttled", code: posted.code, cause: posted.cause, scope: "sender", retryAfterMs: UNREACHED_REST_MS };
    case "lost":
      return { kind: "uncertain", code: posted.code, cause: posted.cause };
  }
}

const waitOf = (retryAfter: string) => (/^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1_000 : undefined);

/** Meta's reference "Send messages". `to` keeps its +: without it the sender's own country code is put before the number. */
function bodyOf({ reference, address, message }: Parcel): string {
  return JSON.stringify({
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: address,
    ...contentOf(message),
    biz_opaque_callback_data: reference,
  });
}

function contentOf(message: RenderedMessage) {
  if (message.type === "text") {
    return { type: "text", text: { preview_url: /https?:\/\//.test(message.text), body: message.text } };
  }
  const { name, language, components } = message;
  const filled = components.map((component) => ({ ...component, parameters: component.parameters.map(parameterOf) }));
  return { type: "template", template: { name, language: { code: language }, ...(filled.length > 0 ? { components: filled } : {}) } };
}

function parameterOf(parameter: TemplateParameter) {
  if (!("link" in parameter)) return parameter;
  const { type, ...media } = parameter;
  return { type, [type]: media };
}
