import { refusals } from "../../rules/refusal.ts";
import type { OpenApi } from "./openapi.ts";
import { statusOf } from "./problem.ts";

interface Operation {
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly { name: string; in: string; required?: boolean; description?: string; schema?: Schema }[];
  readonly requestBody?: { content?: Readonly<Record<string, { schema?: Schema }>> };
  readonly responses?: Readonly<Record<string, { content?: Readonly<Record<string, { schema?: Schema }>> }>>;
}

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly additionalProperties?: Schema | boolean;
  readonly description?: string;
  readonly default?: unknown;
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** The API on one page without a script: every call, every shape, every refusal. Made from the OpenAPI document and the refusals. */
export function docsPage({ paths, components, tags }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods as Record<string, Operation>).map(([method, operation]) => ({ path, method, operation })),
  );
  const groups = tags.map(({ name }) => name).filter((name) => operations.some(({ operation }) => operation.tags?.[0] === name));
  const sections = groups.map((group) => {
    const own = operations.filter(({ operation }) => operation.tags?.[0] === group);
    return `<section class="card" id="${anchor(group)}"><h1>${escaped(group)}</h1>${own.map(operationOf).join("")}</section>`;
  });
  const shapes = Object.entries(components.schemas).map(([name, schema]) => shapeOf(name, schema as Schema));
  const links = [...groups, "Shapes", "Refusals"].map((group) => `<a href="#${anchor(group)}">${escaped(group)}</a>`);
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>API · Campanile</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/page.css"></head><body class="docs">
<header class="bar"><a class="brand" href="/docs">Campanile</a><span class="where">API</span><a class="quiet" href="/openapi.json">openapi.json</a></header>
<main><nav>${links.join("")}</nav>
<p>Send <code>Authorization: Bearer &lt;key&gt;</code> with everything under <code>/api</code>. A POST may carry an <code>Idempotency-Key</code>:
the same key and body are answered once and for 24 hours the same. Lists go on with <code>?cursor=</code> and the <code>nextCursor</code> of the page before.</p>
${sections.join("\n")}
<section class="card" id="shapes"><h1>Shapes</h1>${shapes.join("")}</section>
<section class="card" id="refusals"><h1>Refusals</h1><dl class="refusals">${Object.entries(refusals).map(refusalOf).join("")}</dl></section>
</main></body></html>`;
}

const anchor = (text: string): string => text.toLowerCase().replace(/[^a-z]+/g, "-");

function operationOf({ path, method, operation }: { path: string; method: string; operation: Operation }): string {
  const parameters = (operation.parameters ?? []).map(
    ({ name, in: where, description, schema }) =>
      `<tr><th>${escaped(name)}</th><td>${where}</td><td>${typeOf(schema)}</td><td>${escaped(description ?? "")}</td></tr>`,
  );
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(
    ([type, { schema }]) => `<tr><th>body</th><td>${escaped(type)}</td><td>${typeOf(schema)}</td><td></td></tr>`,
  );
  const answers = Object.entries(operation.responses ?? {}).map(([status, { content }]) => {
    const [type, media] = Object.entries(content ?? {})[0] ?? ["", {}];
    return `<tr><th>${status}</th><td>${escaped(type)}</td><td>${typeOf(media.schema)}</td><td></td></tr>`;
  });
  return `<details><summary><b class="method">${method.toUpperCase()}</b> <code>${escaped(path)}</code> <span class="soft">${escaped(operation.summary ?? "")}</span></summary>
${operation.description ? `<p>${escaped(operation.description)}</p>` : ""}<table>${[...parameters, ...bodies, ...answers].join("")}</table></details>`;
}

function shapeOf(name: string, schema: Schema): string {
  const rows = Object.entries(schema.properties ?? {}).map(([field, inner]) => {
    const optional = schema.required?.includes(field) === true ? "" : " <span class=soft>optional</span>";
    return `<tr><th>${escaped(field)}${optional}</th><td>${typeOf(inner)}</td><td>${escaped(inner.description ?? "")}</td></tr>`;
  });
  const content = rows.length > 0 ? `<table>${rows.join("")}</table>` : `<p>${typeOf(schema)}</p>`;
  return `<details id="shape-${escaped(name)}"><summary><b>${escaped(name)}</b> <span class="soft">${escaped(schema.description ?? "")}</span></summary>${content}</details>`;
}

function typeOf(schema: Schema | undefined): string {
  if (!schema) return "";
  if (schema.$ref) {
    const name = schema.$ref.replace(/^.*\//, "");
    return `<a href="#shape-${escaped(name)}">${escaped(name)}</a>`;
  }
  const either = schema.anyOf ?? schema.oneOf;
  if (either) return either.map(typeOf).join(" | ");
  if (schema.const !== undefined) return `<code>${escaped(JSON.stringify(schema.const))}</code>`;
  if (schema.enum) return schema.enum.map((value) => `<code>${escaped(String(value))}</code>`).join(" ");
  if (schema.items) return `list of ${typeOf(schema.items)}`;
  if (schema.properties)
    return `{ ${Object.entries(schema.properties)
      .map(([name, inner]) => `${escaped(name)}: ${typeOf(inner)}`)
      .join(", ")} }`;
  const by = schema.default === undefined ? "" : ` <span class=soft>default ${escaped(JSON.stringify(schema.default))}</span>`;
  return `${escaped([schema.type ?? "any"].flat().join(" | "))}${by}`;
}

const refusalOf = ([code, text]: [string, string]): string =>
  `<dt id="${code}">${statusOf[code as keyof typeof statusOf]} <code>${code}</code></dt><dd>${escaped(text)}</dd>`;
