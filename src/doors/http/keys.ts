import { z } from "zod";
import { Key, KeyCreate, NewKey } from "../../contract/key.ts";
import { answerOf, listOf } from "../../contract/wire.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type ApiKey, createKey, listKeys, revokeKey } from "../../runtime/keys.ts";
import { callerIn } from "./auth.ts";
import type { App, Deps } from "./deps.ts";
import { IdParams, idIn, instant, instantOrNull } from "./wire.ts";

const view = (key: ApiKey): z.infer<typeof Key> => ({
  id: key.id,
  name: key.name,
  prefix: key.prefix,
  rights: [...key.rights],
  createdAt: instant(key.createdAt),
  lastUsedAt: instantOrNull(key.lastUsedAt),
  revokedAt: instantOrNull(key.revokedAt),
});

export function registerKeys(app: App, { sql, luck }: Deps): void {
  const tags = ["Keys"];

  app.get(
    "/api/v1/keys",
    { schema: { tags, summary: "All keys of the workspace, revoked ones included", response: { 200: listOf(Key) } }, config: { right: "admin" } },
    async (request) => ({ success: true as const, data: (await listKeys(sql, callerIn(request).workspaceId)).map(view), nextCursor: null }),
  );

  app.post(
    "/api/v1/keys",
    {
      schema: { tags, summary: "Make a key; it is shown in this answer and never again", body: KeyCreate, response: { 201: answerOf(NewKey) } },
      config: { right: "admin", shownOnce: "key" },
    },
    async (request, reply) => {
      const { key, ...made } = await createKey(sql, luck, { workspaceId: callerIn(request).workspaceId, ...request.body });
      return reply.code(201).send({ success: true, data: { ...view(made), key } });
    },
  );

  app.delete(
    "/api/v1/keys/:id",
    {
      schema: { tags, summary: "Revoke a key, at once and for good", params: IdParams, response: { 200: answerOf(z.object({ id: z.string() })) } },
      config: { right: "admin" },
    },
    async (request) => {
      const { id } = request.params;
      if (!(await revokeKey(sql, callerIn(request).workspaceId, idIn(id, "key")))) throw new Refusal("not_found", { what: "key", id });
      return { success: true as const, data: { id } };
    },
  );
}
