import { z } from "zod";
import { SuppressionCreate, SuppressionLift, Suppression as SuppressionOut, SuppressionsQuery } from "../../contract/contact.ts";
import { answerOf, listOf } from "../../contract/wire.ts";
import type { Suppression } from "../../flow/audience/suppression-store.ts";
import { lift, listSuppressions, suppress } from "../../flow/audience/suppressions.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { cursorIn, instant, ok, pageOut } from "./wire.ts";

const tags = ["Suppressions"];
const Address = z.object({ address: z.string() });

const suppressionOut = ({ at, ...suppression }: Suppression): z.infer<typeof SuppressionOut> => ({ ...suppression, at: instant(at) });

export function registerSuppressions(app: App, { sql }: Deps): void {
  app.get(
    "/api/v1/suppressions",
    {
      schema: { tags, summary: "Addresses that are not written to", querystring: SuppressionsQuery, response: { 200: listOf(SuppressionOut) } },
      config: { right: "read" },
    },
    async (request) => {
      const { cursor, ...query } = request.query;
      return pageOut(await listSuppressions(sql, callerIn(request).workspaceId, { ...query, cursor: cursorIn(cursor) }), suppressionOut);
    },
  );
  app.post(
    "/api/v1/suppressions",
    {
      schema: {
        tags,
        summary: "Write to an address no more",
        description: "From the next turn on. Answers 201 for a new one, 200 when it was there already.",
        body: SuppressionCreate,
        response: { 200: answerOf(Address), 201: answerOf(Address) },
      },
      config: { right: "write" },
    },
    async (request, reply) => {
      const { address, created } = await suppress(sql, callerIn(request).workspaceId, { ...request.body, source: "api" });
      return reply.code(created ? 201 : 200).send(ok({ address }));
    },
  );
  app.post(
    "/api/v1/suppressions/lift",
    {
      schema: {
        tags,
        summary: "Write to an address again",
        description: "The address is in the body, so that it is in no log of addresses.",
        body: SuppressionLift,
        response: { 200: answerOf(Address) },
      },
      config: { right: "write" },
    },
    async (request) => {
      await lift(sql, callerIn(request).workspaceId, request.body);
      return ok({ address: request.body.address });
    },
  );
}
