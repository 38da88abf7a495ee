import { z } from "zod";
import { ListCreate, List as ListOut, MembersAdd } from "../../contract/contact.ts";
import { answerOf, listOf, PageQuery } from "../../contract/wire.ts";
import type { List } from "../../flow/audience/list-store.ts";
import { addToList, listLists, namedList, readList, removeFromList } from "../../flow/audience/lists.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { cursorIn, IdParams, instant, ok, pageOut, refIn } from "./wire.ts";

const tags = ["Lists"];

const listOut = ({ id, name, members, createdAt }: List): z.infer<typeof ListOut> => ({ id, name, members, createdAt: instant(createdAt) });

export function registerLists(app: App, deps: Deps): void {
  const { sql } = deps;
  app.get(
    "/api/v1/lists",
    { schema: { tags, summary: "Lists by name", querystring: PageQuery, response: { 200: listOf(ListOut) } }, config: { right: "read" } },
    async (request) => {
      const { cursor, limit } = request.query;
      return pageOut(await listLists(sql, callerIn(request).workspaceId, { cursor: cursorIn(cursor), limit }), listOut);
    },
  );
  app.post(
    "/api/v1/lists",
    {
      schema: {
        tags,
        summary: "Make a list",
        description: "Answers 201 for a new one, 200 with the one that has this name already.",
        body: ListCreate,
        response: { 200: answerOf(ListOut), 201: answerOf(ListOut) },
      },
      config: { right: "write" },
    },
    async (request, reply) => {
      const list = await namedList(callerIn(request).workspaceId, request.body.name, deps);
      return reply.code(list.created ? 201 : 200).send(ok(listOut(list)));
    },
  );
  app.get(
    "/api/v1/lists/:id",
    { schema: { tags, summary: "One list", params: IdParams, response: { 200: answerOf(ListOut) } }, config: { right: "read" } },
    async (request) => ok(listOut(await readList(sql, refIn(request)))),
  );
  registerMembers(app, deps);
}

function registerMembers(app: App, { sql }: Deps): void {
  app.post(
    "/api/v1/lists/:id/members",
    {
      schema: {
        tags,
        summary: "Put contacts on a list",
        params: IdParams,
        body: MembersAdd,
        response: { 200: answerOf(z.object({ added: z.int() })) },
      },
      config: { right: "write" },
    },
    async (request) => ok({ added: await addToList(sql, refIn(request), request.body.contactIds) }),
  );
  app.delete(
    "/api/v1/lists/:id/members/:contactId",
    {
      schema: {
        tags,
        summary: "Take a contact off a list",
        params: IdParams.extend({ contactId: z.string().max(100) }),
        response: { 200: answerOf(z.object({ id: z.string() })) },
      },
      config: { right: "write" },
    },
    async (request) => {
      await removeFromList(sql, refIn(request), request.params.contactId);
      return ok({ id: request.params.contactId });
    },
  );
}
