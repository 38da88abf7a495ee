import { readFile } from "node:fs/promises";
import type { App } from "./deps.ts";
import { docsPage } from "./docs-page.ts";
import { openApiOf } from "./openapi.ts";

/** Files beside this one; what is built of this package has them at the same place. */
const files = [
  { route: "/whatsapp-admin", file: "whatsapp-admin.html", type: "text/html" },
  { route: "/whatsapp-admin.js", file: "whatsapp-admin.js", type: "text/javascript" },
  { route: "/page.css", file: "page.css", type: "text/css" },
] as const;

/** Only our own script and style, only our own API, no form that could put a key into an address. */
const PAGE_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/** Pages for people, each with everything it needs from this server. Public: what they show they ask of the API, with a key. */
export async function registerPages(app: App): Promise<void> {
  for (const { route, file, type } of files) {
    const content = await readFile(new URL(`./${file}`, import.meta.url));
    page(app, { route, type, render: () => content });
  }
  app.get("/", { schema: { hide: true } }, async (_request, reply) => reply.redirect("/whatsapp-admin"));
  let docs: string | undefined;
  page(app, { route: "/docs", type: "text/html", render: () => (docs ??= docsPage(openApiOf(app))) });
}

function page(app: App, { route, type, render }: { route: string; type: string; render: () => string | Buffer }): void {
  app.get(route, { schema: { hide: true } }, async (_request, reply) => {
    reply.headers({ "content-security-policy": PAGE_POLICY, "cache-control": "no-cache" });
    return reply.type(`${type}; charset=utf-8`).send(render());
  });
}
