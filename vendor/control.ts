import { z } from "zod";
import type { Answer } from "./answer.ts";
import type { Controls } from "./controls.ts";
import { Mix } from "./settings.ts";

export interface ControlRequest {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer;
  /** It came over the loopback interface. */
  readonly allowed: boolean;
  readonly authorized: boolean;
}

interface Call {
  readonly id: string;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

/** `undefined` says 404. */
type Route = (controls: Controls, call: Call) => unknown;

const ScriptBody = z.strictObject({
  phone: z.string(),
  stage: z.number().int().optional(),
  attempt: z.number().int().optional(),
  mix: z.record(z.string(), z.unknown()),
});
const Target = z.strictObject({ url: z.url(), appSecret: z.string(), verifyToken: z.string().optional() });
const Move = z.union([
  z.strictObject({ stopAt: z.coerce.date() }),
  z.strictObject({ advanceMs: z.number() }),
  z.strictObject({ runOffsetMs: z.number() }),
]);
const InboundBody = z
  .strictObject({
    from: z.string().regex(/\d{7,}/),
    phoneNumberId: z.string().optional(),
    text: z.string().optional(),
    button: z.strictObject({ text: z.string(), payload: z.string().optional() }).optional(),
    preference: z.enum(["stop", "resume"]).optional(),
    context: z.union([z.boolean(), z.string()]).optional(),
  })
  .refine(
    (body) => [body.text, body.button, body.preference].filter((part) => part !== undefined).length === 1,
    "give one of text, button, preference",
  );
const Button = z.strictObject({
  type: z.string(),
  text: z.string().optional(),
  url: z.string().optional(),
  phone_number: z.string().optional(),
  example: z.unknown().optional(),
});
const TemplateBody = z.strictObject({
  name: z.string().regex(/^[a-z0-9_]{1,512}$/),
  language: z.string(),
  category: z.string().default("MARKETING"),
  status: z.string().default("APPROVED"),
  parameter_format: z.enum(["POSITIONAL", "NAMED"]).default("POSITIONAL"),
  components: z.array(
    z.strictObject({
      type: z.string(),
      format: z.string().optional(),
      text: z.string().optional(),
      buttons: z.array(Button).optional(),
      example: z.unknown().optional(),
    }),
  ),
  quality: z.string().optional(),
});
const TemplateChangeBody = z.strictObject({ status: z.string().optional(), quality: z.string().optional(), category: z.string().optional() });
const TokenBody = z.strictObject({ token: z.string().min(1), state: z.enum(["valid", "expired", "absent"]) });
const NumberBody = z.strictObject({
  id: z.string().regex(/^\d+$/),
  displayPhoneNumber: z.string(),
  countryCode: z.string().default("1"),
  verifiedName: z.string().default("Campanile Demo"),
  status: z.string().default("CONNECTED"),
  qualityRating: z.string().default("GREEN"),
  nameStatus: z.string().default("APPROVED"),
  messagingLimit: z.string().default("TIER_100K"),
});
const WindowQuery = z.object({
  windowMs: z.coerce.number().positive(),
  by: z.enum(["at", "begunAt"]).default("at"),
  unique: z.stringbool().default(true),
  together: z.stringbool().default(false),
});

const webhookView = (controls: Controls) => {
  const target = controls.webhook();
  return { url: target?.url ?? null, pending: controls.pendingWebhooks(), ...controls.stats().webhooks };
};

const routes: Readonly<Record<string, Route>> = {
  "GET /": () => Object.keys(routes),
  "GET /settings": (controls) => controls.settings(),
  "PATCH /settings": (controls, { body }) => controls.set(z.record(z.string(), z.unknown()).parse(body)),
  "GET /scripts": (controls) => controls.scripts(),
  "POST /scripts": (controls, { body }) => {
    const { mix, ...key } = ScriptBody.parse(body);
    const given = Mix.parse({ ...mix });
    controls.script({ ...key, mix: Object.fromEntries(Object.entries(given).filter(([name]) => name in mix)) });
    return controls.scripts();
  },
  "DELETE /scripts": (controls) => {
    controls.clearScripts();
    return [];
  },
  "GET /stats": (controls) => controls.stats(),
  "GET /ledger": (controls, { query }) => controls.ledger(query.get("campaign") ?? undefined),
  "GET /ledger/lines": (controls, { query }) => controls.ledgerLines(query.get("campaign") ?? undefined),
  "GET /ledger/window": (controls, { query }) => controls.ledgerWindow(WindowQuery.parse(Object.fromEntries(query))),
  "GET /clock": (controls) => controls.clock(),
  "POST /clock": (controls, { body }) => {
    controls.moveClock(Move.parse(body));
    return controls.clock();
  },
  "GET /webhook": webhookView,
  "PUT /webhook": async (controls, { body }) => {
    await controls.setWebhook(Target.nullable().parse(body));
    return webhookView(controls);
  },
  "POST /webhook/verify": async (controls) => {
    await controls.verifyWebhook();
    return { verified: true };
  },
  "POST /webhook/deliver": (controls) => controls.deliverDue(),
  "POST /webhook/drain": (controls) => controls.drain(),
  "POST /webhook/emit": (controls, { body }) => {
    const { field, value } = z.strictObject({ field: z.string(), value: z.unknown() }).parse(body);
    controls.emit(field, value);
    return webhookView(controls);
  },
  "POST /inbound": (controls, { body }) => ({ id: controls.inbound(InboundBody.parse(body)) }),
  "GET /templates": (controls) => controls.templates(),
  "POST /templates": (controls, { body }) => controls.putTemplate(TemplateBody.parse(body)),
  "PATCH /templates/:id": (controls, { id, body }) => controls.changeTemplate(id, TemplateChangeBody.parse(body)) ?? undefined,
  "DELETE /templates/:id": (controls, { id }) => controls.deleteTemplate(id) ?? undefined,
  "PUT /tokens": (controls, { body }) => {
    const { token, state } = TokenBody.parse(body);
    controls.setToken(token, state);
    return { token, state };
  },
  "GET /phone-numbers": (controls) => controls.phoneNumbers(),
  "PUT /phone-numbers": (controls, { body }) => controls.putPhoneNumber(NumberBody.parse(body)),
  "POST /block": (controls, { body }) => {
    const { code } = z.strictObject({ code: z.number().int().nullable() }).parse(body);
    controls.block(code);
    return { code };
  },
  "POST /reset": (controls) => {
    controls.reset();
    return controls.stats();
  },
};

const json = (status: number, value: unknown): Answer => ({ status, body: JSON.stringify(value) });
const refused = (status: number, message: string) => json(status, { error: message });

/** The route and the id in its path, if it has one. */
function find(method: string, path: string): { route: Route; id: string } | null {
  const exact = routes[`${method} ${path}`];
  if (exact) return { route: exact, id: "" };
  const cut = path.lastIndexOf("/");
  const route = routes[`${method} ${path.slice(0, cut)}/:id`];
  return route ? { route, id: decodeURIComponent(path.slice(cut + 1)) } : null;
}

function causeOf(error: unknown): string {
  if (error instanceof z.ZodError) return error.issues.map((issue) => `${issue.path.join(".") || "body"}: ${issue.message}`).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/** Answers one call of `/_control`. */
export async function answerControl(controls: Controls, request: ControlRequest): Promise<Answer> {
  if (!request.allowed) return refused(403, "The control API answers on the loopback interface only.");
  if (!request.authorized) return refused(401, "The control API wants its own token: Authorization: Bearer <control token>.");
  const url = new URL(request.target, "http://vendor");
  const path = url.pathname.slice("/_control".length) || "/";
  const found = find(request.method, path);
  if (!found) return refused(404, `There is no ${request.method} ${url.pathname}; GET /_control lists what there is.`);
  try {
    const body: unknown = request.body.length === 0 ? undefined : JSON.parse(request.body.toString("utf8"));
    const result = await found.route(controls, { id: found.id, query: url.searchParams, body });
    return result === undefined ? refused(404, `There is nothing with id ${found.id}.`) : json(200, result);
  } catch (error) {
    return refused(400, causeOf(error));
  }
}
