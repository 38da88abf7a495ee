import type { Answer } from "./answer.ts";
import { type GraphFault, graphFault, paramFault, tokenFault, unknownObject, unknownPath } from "./errors.ts";
import { answerSend } from "./send.ts";
import { count, type VendorState } from "./state.ts";
import type { Template } from "./template.ts";
import type { PhoneNumber, World } from "./world.ts";

export interface GraphRequest {
  readonly method: string;
  /** Path and query, as on the request line. */
  readonly target: string;
  readonly authorization: string | undefined;
  readonly host: string;
  readonly body: Buffer;
  readonly begunAt: number;
}

function tokenFaultOf(world: World, authorization: string | undefined): GraphFault | null {
  if (authorization === undefined) return tokenFault("An access token is required to request this resource.");
  const token = authorization.replace(/^Bearer\s+/i, "");
  const state = world.tokens.get(token);
  if (state === "valid") return world.block === 190 ? expired() : null;
  return state === "expired" ? expired() : tokenFault("Invalid OAuth access token - Cannot parse access token");
}

const expired = () => tokenFault("Error validating access token: Session has expired. The current time is later than the expiry time.", 463);

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

/** Answers one Graph API call: `/vNN.N/<id>[/<edge>]`. */
export async function answerGraph(state: VendorState, request: GraphRequest): Promise<Answer> {
  state.stats.requests++;
  const answer = await route(state, request);
  if (typeof answer !== "string" && answer.code !== undefined) count(state.stats.refused, String(answer.code));
  return answer;
}

function route(state: VendorState, request: GraphRequest): Answer | Promise<Answer> {
  const queryAt = request.target.indexOf("?");
  const path = queryAt < 0 ? request.target : request.target.slice(0, queryAt);
  const [, version = "", id = "", edge = "", ...rest] = path.split("/");
  if (!/^v\d+\.\d+$/.test(version) || id === "" || rest.length > 0) return unknownPath(path);
  const fault = tokenFaultOf(state.world, request.authorization);
  if (fault) return fault;
  if (request.method === "POST") {
    if (edge === "messages" || edge === "marketing_messages") {
      return answerSend(state, { phoneNumberId: id, endpoint: edge, body: parseJson(request.body), begunAt: request.begunAt });
    }
    return edge === "unpause" ? unpause(state.world, id) : unknownObject("post", id);
  }
  if (request.method !== "GET") return unknownObject("get", id);
  const query = new URLSearchParams(queryAt < 0 ? "" : request.target.slice(queryAt + 1));
  return read(state, { version, id, edge, query, url: `http://${request.host}${path}` });
}

interface Read {
  readonly version: string;
  readonly id: string;
  readonly edge: string;
  readonly query: URLSearchParams;
  /** Of the same call without its query, for `paging.next`. */
  readonly url: string;
}

function read(state: VendorState, call: Read): Answer {
  const { world } = state;
  const { id, edge } = call;
  if (id === world.wabaId) {
    if (edge === "message_templates") return listTemplates(world, call);
    if (edge === "phone_numbers") {
      const numbers = Array.from(world.phoneNumbers.values(), (number) => numberFields(state, number));
      return json({ data: numbers.map((fields) => chosen(fields, call.query, numberDefaults)) });
    }
    return edge === "" ? json(chosen(wabaFields(state), call.query, ["id", "name"])) : unknownPath(`/${edge}`);
  }
  const number = world.phoneNumbers.get(id);
  if (number && number.status !== "DELETED" && edge === "") return json(chosen(numberFields(state, number), call.query, numberDefaults));
  const template = world.templates.get(id);
  if (template && edge === "") return json(chosen(templateFields(state, template), call.query, templateDefaults));
  return unknownObject("get", id);
}

const json = (value: unknown): Answer => ({ status: 200, body: JSON.stringify(value) });

/** The fields asked for (`?fields=a,b`), else the usual ones; the id always. A field nobody knows is left out. */
function chosen(fields: Readonly<Record<string, unknown>>, query: URLSearchParams, usual: readonly string[]): Record<string, unknown> {
  const names =
    query
      .get("fields")
      ?.split(",")
      .map((name) => name.trim()) ?? usual;
  const found = Object.fromEntries(names.filter((name) => name in fields).map((name) => [name, fields[name]]));
  return { ...found, id: fields["id"] };
}

const numberDefaults = ["verified_name", "display_phone_number", "quality_rating", "platform_type", "throughput", "status"];

function numberFields(state: VendorState, number: PhoneNumber): Record<string, unknown> {
  const { throughput } = state.settings.limits;
  return {
    id: number.id,
    display_phone_number: number.displayPhoneNumber,
    verified_name: number.verifiedName,
    status: number.status,
    quality_rating: number.qualityRating,
    name_status: number.nameStatus,
    code_verification_status: "VERIFIED",
    platform_type: "CLOUD_API",
    throughput: { level: throughput === null || throughput > 80 ? "HIGH" : "STANDARD" },
    whatsapp_business_manager_messaging_limit: number.messagingLimit,
    health_status: health(state, { entity_type: "PHONE_NUMBER", id: number.id, fault: number.status === "CONNECTED" ? null : 141000 }),
  };
}

const wabaFields = (state: VendorState) => ({
  id: state.world.wabaId,
  name: state.world.wabaName,
  health_status: health(state, null),
});

const templateDefaults = ["name", "parameter_format", "components", "language", "status", "category", "sub_category"];

function templateFields(state: VendorState, template: Template): Record<string, unknown> {
  const fault = template.status === "APPROVED" ? null : 141002;
  return { ...listed(template), health_status: health(state, { entity_type: "MESSAGE_TEMPLATE", id: template.id, fault }) };
}

const listed = (template: Template): Record<string, unknown> => ({ ...template, sub_category: "CUSTOM" });

const healthErrors: Readonly<Record<number, readonly [string, string]>> = {
  141000: ["The phone number is not registered.", "Register the phone number."],
  141002: ["The message template is not approved.", "Wait for approval, or edit the template."],
  141014: ["The WhatsApp Business Account is banned or restricted.", "Appeal in Business Support Home."],
};

interface Entity {
  readonly entity_type: string;
  readonly id: string;
  readonly fault: number | null;
}

function health({ world }: VendorState, first: Entity | null) {
  const entities: readonly Entity[] = [
    ...(first ? [first] : []),
    { entity_type: "WABA", id: world.wabaId, fault: world.block === null ? null : 141014 },
    { entity_type: "BUSINESS", id: "2729063490586005", fault: null },
    { entity_type: "APP", id: "634974688087057", fault: null },
  ];
  return {
    can_send_message: entities.some((entity) => entity.fault !== null) ? "BLOCKED" : "AVAILABLE",
    entities: entities.map(({ fault, ...entity }) => {
      if (fault === null) return { ...entity, can_send_message: "AVAILABLE" };
      const [error_description = "", possible_solution = ""] = healthErrors[fault] ?? [];
      return { ...entity, can_send_message: "BLOCKED", errors: [{ error_code: fault, error_description, possible_solution }] };
    }),
  };
}

const filters = ["status", "category", "language", "name"] as const;
const cursorOf = (at: number) => Buffer.from(`at:${at}`).toString("base64url");

function cursorAt(cursor: string): number | null {
  const match = /^at:(\d+)$/.exec(Buffer.from(cursor, "base64url").toString());
  return match ? Number(match[1]) : null;
}

/** `GET /<WABA>/message_templates`: filtered, then paged by opaque cursors; `next` is there only while more follow. */
function listTemplates(world: World, { query, url, version }: Read): Answer {
  const limit = Number(query.get("limit") ?? 25);
  if (!Number.isInteger(limit) || limit < 1) return paramFault(`Param limit must be a positive integer - got "${query.get("limit")}".`);
  const after = query.get("after");
  const from = after === null ? 0 : cursorAt(after);
  if (from === null) return graphFault(Number.parseInt(version.slice(1), 10) >= 24 ? 131059 : 100, "Invalid cursor");
  const all = [...world.templates.values()].filter((template) =>
    filters.every((field) => {
      const wanted = query.get(field);
      return wanted === null || (field === "name" ? template.name.includes(wanted) : template[field].toLowerCase() === wanted.toLowerCase());
    }),
  );
  const page = all.slice(from, from + limit);
  const data = page.map((template) => chosen(listed(template), query, templateDefaults));
  if (page.length === 0) return json({ data });
  const cursors = { before: cursorOf(from), after: cursorOf(from + page.length) };
  if (from + page.length >= all.length) return json({ data, paging: { cursors } });
  const next = new URLSearchParams(query);
  next.set("after", cursors.after);
  return json({ data, paging: { cursors, next: `${url}?${next}` } });
}

function unpause(world: World, id: string): Answer {
  const template = world.templates.get(id);
  if (!template) return unknownObject("post", id);
  if (template.status !== "PAUSED") return graphFault(100, "Template is not paused.");
  const found = world.sendable.get(`${template.name} ${template.language}`);
  const resumed = { ...template, status: "APPROVED" };
  world.templates.set(id, resumed);
  if (found) world.sendable.set(`${template.name} ${template.language}`, { ...found, template: resumed });
  return json({ success: true });
}
