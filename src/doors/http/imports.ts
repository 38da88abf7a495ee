import { Readable } from "node:stream";
import type { z } from "zod";
import { Import, ImportQuery } from "../../contract/contact.ts";
import { answerOf, listOf, PageQuery } from "../../contract/wire.ts";
import { openImport, runImport } from "../../flow/audience/import/import.ts";
import { listImports } from "../../flow/audience/import/list-store.ts";
import { rejectsCsv } from "../../flow/audience/import/rejects.ts";
import { endUnstored, type ImportRef, type ImportRow, readImport } from "../../flow/audience/import/store.ts";
import { Refusal } from "../../rules/refusal.ts";
import { readingOf } from "./add-recipients.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { UPLOAD_TIMEOUT_MS, uploadOf, uploadTypes } from "./upload.ts";
import { cursorIn, IdParams, idIn, instant, instantOrNull, ok, pageOf, pageOut, refIn } from "./wire.ts";

const tags = ["Imports"];

const importOut = ({ rowCount: rows, ...row }: ImportRow): z.infer<typeof Import> => ({
  id: row.id,
  listId: row.listId,
  fileName: row.fileName,
  state: row.state,
  rows,
  stored: row.stored,
  merged: row.merged,
  rejected: row.rejected,
  bytes: row.bytes,
  cause: row.cause,
  startedAt: instant(row.startedAt),
  finishedAt: instantOrNull(row.finishedAt),
});

export function registerImports(app: App, deps: Deps): void {
  const cancels = new Map<string, AbortController>();
  registerUpload(app, deps, cancels);
  registerReads(app, deps);
  app.post(
    "/api/v1/imports/:id/cancel",
    {
      schema: { tags, summary: "Cancel a running import; nothing of it is stored", params: IdParams, response: { 200: answerOf(Import) } },
      config: { right: "write" },
    },
    async (request) => {
      const ref = importIn(request);
      await one(ref, deps);
      await endUnstored(deps.sql, ref, { state: "cancelled", cause: null });
      cancels.get(ref.id)?.abort();
      return ok(importOut(await one(ref, deps)));
    },
  );
}

function registerUpload(app: App, deps: Deps, cancels: Map<string, AbortController>): void {
  app.post(
    "/api/v1/contacts/import",
    {
      schema: {
        tags,
        summary: "Import contacts from a CSV file",
        description:
          "Answers when the file is stored. Meanwhile its progress is in the list of imports. Rows that cannot be used do not stop the others.",
        consumes: uploadTypes,
        querystring: ImportQuery,
        response: { 201: answerOf(Import) },
      },
      config: { right: "write" },
      handlerTimeout: UPLOAD_TIMEOUT_MS,
    },
    async (request, reply) => {
      const { workspaceId } = callerIn(request);
      const cancel = new AbortController();
      const upload = await uploadOf(request);
      if (!upload) throw new Refusal("file_empty");
      const { list: listName, listId, channel } = request.query;
      const joins = listName === undefined ? { listId } : { listName };
      const reading = { fileName: upload.name, ...readingOf(request.query), channel, bytesMax: deps.config.csvBytesMax };
      const job = { ...reading, ...joins, workspaceId, source: upload.bytes };
      const id = await openImport(job, deps);
      cancels.set(id, cancel);
      await runImport(id, { ...job, signal: cancel.signal }, deps).finally(() => cancels.delete(id));
      return reply.code(201).send(ok(importOut(await one({ workspaceId, id }, deps))));
    },
  );
}

function registerReads(app: App, deps: Deps): void {
  app.get(
    "/api/v1/imports",
    { schema: { tags, summary: "Imports, the newest first", querystring: PageQuery, response: { 200: listOf(Import) } }, config: { right: "read" } },
    async (request) => {
      const { cursor, limit } = request.query;
      const after = cursor === undefined ? null : idIn(cursorIn(cursor) ?? "", "page with the cursor");
      const rows = await listImports(deps.sql, callerIn(request).workspaceId, { after, limit: limit + 1 });
      return pageOut(
        pageOf(rows, limit, ({ id }) => id),
        importOut,
      );
    },
  );
  app.get(
    "/api/v1/imports/:id",
    {
      schema: { tags, summary: "One import, while it runs and after", params: IdParams, response: { 200: answerOf(Import) } },
      config: { right: "read" },
    },
    async (request) => ok(importOut(await one(importIn(request), deps))),
  );
  app.get(
    "/api/v1/imports/:id/rejects.csv",
    {
      schema: { tags, summary: "Every rejected row: line, value, reason", produces: ["text/csv"], params: IdParams },
      config: { right: "read" },
      handlerTimeout: UPLOAD_TIMEOUT_MS,
    },
    async (request, reply) => {
      const ref = importIn(request);
      await one(ref, deps);
      reply.header("content-disposition", `attachment; filename="rejects-${ref.id}.csv"`);
      return reply.type("text/csv; charset=utf-8").send(Readable.from(rejectsCsv(deps.sql, ref)));
    },
  );
}

const importIn = (request: Parameters<typeof refIn>[0]): ImportRef => {
  const { workspaceId, id } = refIn(request);
  return { workspaceId, id: idIn(id, "import") };
};

async function one(ref: ImportRef, { sql }: Deps): Promise<ImportRow> {
  const [row] = await readImport(sql, ref);
  if (!row) throw new Refusal("not_found", { what: "import", id: ref.id });
  return row;
}
