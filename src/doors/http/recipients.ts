import { Readable } from "node:stream";
import { z } from "zod";
import { CsvQuery } from "../../contract/contact.ts";
import { Recipient, RecipientsAdded, RecipientsQuery, RecipientTimeline } from "../../contract/recipient.ts";
import { answerOf, listOf, PAGE_MAX } from "../../contract/wire.ts";
import { listRecipients, type Recipient as RecipientRead, readRecipient } from "../../flow/campaign/recipients.ts";
import { csvLine } from "../../rules/csv-cell.ts";
import { addRecipients } from "./add-recipients.ts";
import { recipientOut, timelineOut } from "./campaign-view.ts";
import type { App, Deps } from "./deps.ts";
import { UPLOAD_TIMEOUT_MS, uploadTypes } from "./upload.ts";
import { cursorIn, IdParams, instantOrNull, ok, pageOut, refIn } from "./wire.ts";

const tags = ["Recipients"];

export function registerRecipients(app: App, deps: Deps): void {
  registerReads(app, deps);
  registerExport(app, deps);
  app.post(
    "/api/v1/campaigns/:id/recipients",
    {
      schema: {
        tags,
        summary: "Upload recipients to a draft",
        description: "A CSV file, in a form or as the body, or a JSON list of people. Repeated uploads insert nobody twice.",
        consumes: [...uploadTypes, "application/json"],
        params: IdParams,
        querystring: CsvQuery,
        response: { 200: answerOf(RecipientsAdded) },
      },
      config: { right: "write" },
      handlerTimeout: UPLOAD_TIMEOUT_MS,
    },
    async (request) => ok(await addRecipients(request, { ref: refIn(request), csv: request.query }, deps)),
  );
}

function registerReads(app: App, { sql }: Deps): void {
  app.get(
    "/api/v1/campaigns/:id/recipients",
    {
      schema: { tags, summary: "Recipients by position", params: IdParams, querystring: RecipientsQuery, response: { 200: listOf(Recipient) } },
      config: { right: "read" },
    },
    async (request) => {
      const { state = null, cursor, limit } = request.query;
      return pageOut(await listRecipients(sql, refIn(request), { state, cursor: cursorIn(cursor), limit }), recipientOut);
    },
  );
  app.get(
    "/api/v1/campaigns/:id/recipients/:position",
    {
      schema: {
        tags,
        summary: "All that is known of one recipient",
        params: IdParams.extend({ position: z.string().max(20) }),
        response: { 200: answerOf(RecipientTimeline) },
      },
      config: { right: "read" },
    },
    async (request) => ok(timelineOut(await readRecipient(sql, refIn(request), request.params.position))),
  );
}

const columns = [
  "position",
  "address",
  "state",
  "reason",
  "code",
  "cause",
  "attempts",
  "providerRef",
  "at",
  "sent",
  "delivered",
  "read",
  "replied",
  "failed",
];

const cellsOf = ({ receipts, ...one }: RecipientRead) => [
  ...[one.position, one.address, one.state, one.reason, one.code, one.cause, one.attempts, one.providerRef, instantOrNull(one.at)],
  ...(["sent", "delivered", "read", "replied", "failed"] as const).map((kind) => instantOrNull(receipts[kind] ?? null)),
];

function registerExport(app: App, { sql }: Deps): void {
  app.get(
    "/api/v1/campaigns/:id/recipients.csv",
    {
      schema: {
        tags,
        summary: "All recipients as a CSV file",
        description: "Streamed. No cell begins a formula.",
        produces: ["text/csv"],
        params: IdParams,
        querystring: RecipientsQuery.pick({ state: true }),
      },
      config: { right: "read" },
      handlerTimeout: UPLOAD_TIMEOUT_MS,
    },
    async (request, reply) => {
      const ref = refIn(request);
      const read = (cursor: string | null) => listRecipients(sql, ref, { state: request.query.state ?? null, cursor, limit: PAGE_MAX });
      const first = await read(null); // before the first byte: a campaign that is not there is still a 404
      reply.header("content-disposition", `attachment; filename="recipients-${ref.id.replace(/[^\w-]/g, "")}.csv"`);
      return reply.type("text/csv; charset=utf-8").send(Readable.from(linesOf(first, read)));
    },
  );
}

type Pages = Awaited<ReturnType<typeof listRecipients>>;

/** Page by page, each in a transaction of its own: one long snapshot would keep Postgres from clearing up. */
async function* linesOf(first: Pages, read: (cursor: string) => Promise<Pages>): AsyncGenerator<string> {
  yield csvLine(columns);
  for (let page = first; ; page = await read(page.nextCursor)) {
    yield page.items.map((recipient) => csvLine(cellsOf(recipient))).join("");
    if (page.nextCursor === null) return;
  }
}
