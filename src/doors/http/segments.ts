import { z } from "zod";
import { Contact } from "../../contract/contact.ts";
import { SegmentCount, SegmentCounted, SegmentCreate, SegmentEdit, Segment as SegmentOut } from "../../contract/segment.ts";
import { answerOf, listOf, PageQuery } from "../../contract/wire.ts";
import type { Segment } from "../../flow/audience/segment-store.ts";
import {
  countSegment,
  createSegment,
  deleteSegment,
  listSegmentContacts,
  listSegments,
  readSegment,
  updateSegment,
} from "../../flow/audience/segments.ts";
import { callerIn } from "./auth.ts";
import { contactOut } from "./contacts.ts";
import type { App, Deps } from "./deps.ts";
import { makeOnce } from "./idempotency.ts";
import { cursorIn, IdParams, instant, ok, pageOut, refIn } from "./wire.ts";

const tags = ["Segments"];

const segmentOut = ({ id, name, filter, createdAt }: Segment): z.infer<typeof SegmentOut> => ({
  id,
  name,
  filter: { ...filter },
  createdAt: instant(createdAt),
});

export function registerSegments(app: App, deps: Deps): void {
  registerReads(app, deps);
  registerChanges(app, deps);
}

function registerReads(app: App, { sql }: Deps): void {
  app.get(
    "/api/v1/segments",
    { schema: { tags, summary: "Segments by name", querystring: PageQuery, response: { 200: listOf(SegmentOut) } }, config: { right: "read" } },
    async (request) => {
      const { cursor, limit } = request.query;
      return pageOut(await listSegments(sql, callerIn(request).workspaceId, { cursor: cursorIn(cursor), limit }), segmentOut);
    },
  );
  app.get(
    "/api/v1/segments/:id",
    { schema: { tags, summary: "One segment", params: IdParams, response: { 200: answerOf(SegmentOut) } }, config: { right: "read" } },
    async (request) => ok(segmentOut(await readSegment(sql, refIn(request)))),
  );
  app.get(
    "/api/v1/segments/:id/contacts",
    {
      schema: { tags, summary: "The contacts it has now", params: IdParams, querystring: PageQuery, response: { 200: listOf(Contact) } },
      config: { right: "read" },
    },
    async (request) => {
      const { cursor, limit } = request.query;
      return pageOut(await listSegmentContacts(sql, refIn(request), { cursor: cursorIn(cursor), limit }), contactOut);
    },
  );
  app.post(
    "/api/v1/segments/count",
    {
      schema: {
        tags,
        summary: "Count a filter",
        description: "How many contacts it has, and the first of them. Nothing is stored.",
        body: SegmentCount,
        response: { 200: answerOf(SegmentCounted) },
      },
      config: { right: "read" },
    },
    async (request) => {
      const { count, sample } = await countSegment(sql, callerIn(request).workspaceId, request.body.filter);
      return ok({ count, sample: sample.map(contactOut) });
    },
  );
}

function registerChanges(app: App, deps: Deps): void {
  app.post(
    "/api/v1/segments",
    {
      schema: { tags, summary: "Make a segment", body: SegmentCreate, response: { 201: answerOf(SegmentOut) } },
      config: { right: "write" },
    },
    async (request, reply) => {
      const { workspaceId } = callerIn(request);
      const segment = await makeOnce(request, deps.luck, {
        make: (luck) => createSegment(workspaceId, request.body, { ...deps, luck }),
        find: (id) => readSegment(deps.sql, { workspaceId, id }),
      });
      return reply.code(201).send(ok(segmentOut(segment)));
    },
  );
  app.patch(
    "/api/v1/segments/:id",
    {
      schema: { tags, summary: "Change a segment", params: IdParams, body: SegmentEdit, response: { 200: answerOf(SegmentOut) } },
      config: { right: "write" },
    },
    async (request) => ok(segmentOut(await updateSegment(refIn(request), request.body, deps))),
  );
  app.delete(
    "/api/v1/segments/:id",
    {
      schema: {
        tags,
        summary: "Delete a segment",
        description: "Refused while a campaign whose recipients are not fixed yet needs it.",
        params: IdParams,
        response: { 200: answerOf(z.object({ id: z.string() })) },
      },
      config: { right: "write" },
    },
    async (request) => {
      await deleteSegment(refIn(request), deps);
      return ok({ id: request.params.id });
    },
  );
}
