import { z } from "zod";
import { ContactEdit, ContactGiven, Contact as ContactOut, ContactsQuery } from "../../contract/contact.ts";
import { answerOf, listOf } from "../../contract/wire.ts";
import type { Contact } from "../../flow/audience/contact-store.ts";
import { deleteContact, listContacts, readContact, updateContact, upsertContact } from "../../flow/audience/contacts.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { cursorIn, IdParams, instant, ok, pageOut, refIn } from "./wire.ts";

const tags = ["Contacts"];

export const contactOut = (contact: Contact): z.infer<typeof ContactOut> => ({
  ...contact,
  attributes: { ...contact.attributes },
  createdAt: instant(contact.createdAt),
  updatedAt: instant(contact.updatedAt),
});

export function registerContacts(app: App, deps: Deps): void {
  registerReads(app, deps);
  app.post(
    "/api/v1/contacts",
    {
      schema: {
        tags,
        summary: "Enter a contact",
        description: "Answers 201 for a new one, 200 when somebody with this phone was there and has been changed.",
        body: ContactGiven,
        response: { 200: answerOf(ContactOut), 201: answerOf(ContactOut) },
      },
      config: { right: "write" },
    },
    async (request, reply) => {
      const { country, ...person } = request.body;
      const { contact, created } = await upsertContact(callerIn(request).workspaceId, person, { country }, deps);
      return reply.code(created ? 201 : 200).send(ok(contactOut(contact)));
    },
  );
  app.patch(
    "/api/v1/contacts/:id",
    {
      schema: { tags, summary: "Change a contact", params: IdParams, body: ContactEdit, response: { 200: answerOf(ContactOut) } },
      config: { right: "write" },
    },
    async (request) => {
      const { country, ...person } = request.body;
      return ok(contactOut(await updateContact(refIn(request), person, { country }, deps)));
    },
  );
  app.delete(
    "/api/v1/contacts/:id",
    {
      schema: {
        tags,
        summary: "Delete a contact",
        description: "Also from its lists. What was sent to it stays recorded.",
        params: IdParams,
        response: { 200: answerOf(z.object({ id: z.string() })) },
      },
      config: { right: "write" },
    },
    async (request) => {
      await deleteContact(deps.sql, refIn(request));
      return ok({ id: request.params.id });
    },
  );
}

function registerReads(app: App, { sql }: Deps): void {
  app.get(
    "/api/v1/contacts",
    {
      schema: { tags, summary: "Contacts: all, of a list, or with an address", querystring: ContactsQuery, response: { 200: listOf(ContactOut) } },
      config: { right: "read" },
    },
    async (request) => {
      const { cursor, ...query } = request.query;
      return pageOut(await listContacts(sql, callerIn(request).workspaceId, { ...query, cursor: cursorIn(cursor) }), contactOut);
    },
  );
  app.get(
    "/api/v1/contacts/:id",
    { schema: { tags, summary: "One contact", params: IdParams, response: { 200: answerOf(ContactOut) } }, config: { right: "read" } },
    async (request) => ok(contactOut(await readContact(sql, refIn(request)))),
  );
}
