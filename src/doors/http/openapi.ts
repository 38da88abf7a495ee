import { STATUS_CODES } from "node:http";
import swagger from "@fastify/swagger";
import { jsonSchemaTransform, jsonSchemaTransformObject } from "fastify-type-provider-zod";
import { PersonGiven } from "../../contract/recipient.ts";
import { Problem } from "../../contract/wire.ts";
import { ownVersion } from "../../runtime/version.ts";
import type { App } from "./deps.ts";

const tags = [
  { name: "Stateless executor", description: "One call sends the next 25 recipients, then it ends. For cron jobs and serverless hosts." },
  { name: "Campaigns" },
  { name: "Recipients" },
  { name: "Contacts" },
  { name: "Lists" },
  { name: "Segments", description: "Contacts chosen by a filter, as they are at the moment somebody asks." },
  { name: "Imports" },
  { name: "Suppressions" },
  { name: "Senders" },
  { name: "Templates" },
  { name: "Keys" },
  { name: "Webhook endpoints", description: "Addresses that campaign events are told to: signed, repeated for days, replayed on demand." },
  { name: "Webhooks", description: "Where a provider tells what became of messages; the shapes are its own." },
  { name: "System" },
];

/** What an upload is in each type it may have; a form's file may be in any field. */
const uploads: Readonly<Record<string, unknown>> = {
  "text/csv": { type: "string" },
  "multipart/form-data": { type: "object", additionalProperties: { type: "string", contentMediaType: "text/csv" } },
  "application/json": { type: "array", items: { $ref: `#/components/schemas/${PersonGiven.meta()?.id}Input` } },
};

interface Operation {
  description?: string;
  security?: readonly unknown[];
  requestBody?: { content: Record<string, { schema: unknown }> };
  responses: Record<string, { description: string; content?: unknown }>;
}

export interface OpenApi {
  readonly tags: readonly { readonly name: string; readonly description?: string }[];
  readonly paths: Readonly<Record<string, Record<string, Operation>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

/** Collects the shapes of the routes registered after it, and serves them as /openapi.json (OpenAPI 3.1). */
export async function describeRoutes(app: App): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Campanile", version: ownVersion(), description: "A self-hosted campaign engine." },
      tags,
      components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
      security: [{ key: [] }],
    },
    transform: (route) => ({ ...jsonSchemaTransform(route), schema: described(jsonSchemaTransform(route).schema, route.route.config?.right) }),
    transformObject: jsonSchemaTransformObject,
  });
  app.get("/openapi.json", { schema: { hide: true } }, async (_request, reply) => reply.serializer(JSON.stringify).send(openApiOf(app)));
}

type Shape = ReturnType<typeof jsonSchemaTransform>["schema"];

/** Says which right a call needs. What has no shape is left out. */
function described(plain: Shape | undefined, right: string | undefined): Shape {
  if (!plain) return { hide: true };
  const schema = plain.consumes === undefined || plain.body !== undefined ? plain : { ...plain, body: { type: "string" } };
  if (right === undefined) return schema;
  return { ...schema, description: [`Needs the right ${right}.`, schema.description].filter(Boolean).join(" ") };
}

/**
 * The document. Every named shape comes twice from the shapes, as it is read (XInput) and as it is written (X); of the two only what
 * is referred to stays, and XInput is called X where X is gone or the same. Every call may be refused.
 */
export function openApiOf(app: App): OpenApi {
  const { components, ...rest } = JSON.parse(JSON.stringify(app.swagger()));
  const problem = { $ref: `#/components/schemas/${Problem.meta()?.id}` };
  for (const operation of Object.values<Record<string, Operation>>(rest.paths).flatMap((methods) => Object.values(methods))) {
    for (const [status, response] of Object.entries(operation.responses)) response.description = STATUS_CODES[status] ?? status;
    const content = operation.requestBody?.content ?? {};
    if ("text/csv" in content) for (const [type, media] of Object.entries(content)) media.schema = uploads[type];
    operation.responses["default"] = { description: "Refused", content: { "application/problem+json": { schema: problem } } };
  }
  const used = referredTo(rest, components.schemas);
  const isSame = (a: string, b: string) => JSON.stringify(components.schemas[a]) === JSON.stringify(components.schemas[b]);
  const nameOf = (name: string) => {
    const plain = name.replace(/Input$/, "");
    return used.has(plain) && !isSame(plain, name) ? name : plain;
  };
  const schemas = Object.fromEntries(
    [...used].map((name) => [nameOf(name), components.schemas[name]]).sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
  );
  const text = JSON.stringify({ ...rest, components: { ...components, schemas } });
  return JSON.parse(text.replace(/"#\/components\/schemas\/(\w+)"/g, (_ref, name: string) => `"#/components/schemas/${nameOf(name)}"`));
}

/** Names of the shapes that paths refer to, directly or through another shape. */
function referredTo(paths: unknown, schemas: Readonly<Record<string, unknown>>): Set<string> {
  const used = new Set<string>();
  const rest: unknown[] = [paths];
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    for (const [, name = ""] of JSON.stringify(part).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(name)) continue;
      used.add(name);
      rest.push(schemas[name]);
    }
  }
  return used;
}
