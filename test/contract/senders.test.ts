import { afterAll, beforeAll, expect, test } from "vitest";
import { Sender, SenderHealth, SenderUsage } from "../../src/contract/sender.ts";
import { Template, TemplatePreviewed } from "../../src/contract/template.ts";
import { answerOf, listOf, Problem } from "../../src/contract/wire.ts";
import { type Door, openDoor } from "../support/door.ts";
import { rehearsalSender } from "../support/rehearsal-sender.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor();
});
afterAll(() => door.close());

const token = "EAAcanary0123456789012345678901234567890";
/** Nobody listens on port 1. */
const number = { name: "Shop", phoneNumberId: "106540352242922", accessToken: token, wabaId: "102290129340398", apiBase: "http://127.0.0.1:1" };

test("a number is entered with the defaults of the configuration, and its token is never shown", async () => {
  const made = await door.ask("POST", "/api/v1/senders", { payload: number });
  expect(made.statusCode, made.body).toBe(201);
  const sender = answerOf(Sender).parse(made.json()).data;
  expect(sender).toMatchObject({ name: "Shop", channel: "whatsapp", phoneNumberId: number.phoneNumberId, apiVersion: "v25.0", connectedAt: null });
  const usage = answerOf(SenderUsage).parse((await door.ask("GET", `/api/v1/senders/${sender.id}/usage`)).json()).data;
  expect(usage).toMatchObject({ perSecond: 80, cap: 200, used: 0, nextFreeAt: null });

  const twice = Problem.parse((await door.ask("POST", "/api/v1/senders", { payload: number })).json());
  expect(twice.errors?.[0]?.path).toBe("phoneNumberId");

  const changed = await door.ask("PATCH", `/api/v1/senders/${sender.id}`, { payload: { cap: null, perSecond: 5, accessToken: `${token}2` } });
  expect(changed.statusCode).toBe(200);
  expect((await door.ask("GET", `/api/v1/senders/${sender.id}/usage`)).json().data).toMatchObject({ perSecond: 5, cap: null });

  const unreachable = await door.ask("POST", `/api/v1/senders/${sender.id}/connect`);
  expect(unreachable.statusCode).toBe(503);
  expect(unreachable.headers["retry-after"]).toBe("5");
  expect(Problem.parse(unreachable.json()).detail).toContain("cannot be reached");

  expect((await door.ask("DELETE", `/api/v1/senders/${sender.id}`)).statusCode).toBe(200);
  expect((await door.ask("GET", `/api/v1/senders/${sender.id}`)).statusCode).toBe(404);
  const rows = await door.database.sql`select encode(credentials, 'escape') as credentials from sender`;
  expect(JSON.stringify(rows)).not.toContain("canary");
  expect(made.body + changed.body + door.lines.join("")).not.toContain("canary");
});

test.each([
  ["a phone instead of its id", { phoneNumberId: "+919876543210" }, "phoneNumberId"],
  ["another channel", { channel: "email" }, "channel"],
  ["a file as address", { apiBase: "file:///etc/passwd" }, "apiBase"],
  ["a pace of 0", { perSecond: 0 }, "perSecond"],
])("%s is refused", async (_what, changes, path) => {
  const answer = await door.ask("POST", "/api/v1/senders", { payload: { ...number, ...changes } });
  expect(answer.statusCode).toBe(400);
  expect(Problem.parse(answer.json()).errors?.[0]?.path).toBe(path);
});

test("senders and templates are listed page by page", async () => {
  const id = await rehearsalSender(door.database.sql, door.workspaceId);
  const { data } = listOf(Sender).parse((await door.ask("GET", "/api/v1/senders?limit=1")).json());
  expect(data.map((sender) => sender.id)).toEqual([id]);
  answerOf(SenderHealth).parse((await door.ask("GET", `/api/v1/senders/${id}/health`)).json());
  const templates = listOf(Template).parse((await door.ask("GET", `/api/v1/templates?accountId=${id}&limit=1`)).json());
  expect(templates).toMatchObject({ data: [{ name: "welcome", language: "en_US", status: "APPROVED" }], nextCursor: null });
  const other = await door.newKey(["read"], await door.newWorkspace());
  expect((await door.ask("GET", `/api/v1/templates?accountId=${id}`, { key: other })).statusCode).toBe(404);
  expect((await door.ask("GET", `/api/v1/senders/${id}/usage`, { key: other })).statusCode).toBe(404);
});

test("a message is previewed as one person would get it, or with why that person would not", async () => {
  const accountId = await rehearsalSender(door.database.sql, door.workspaceId, { externalId: "100200301" });
  const preview = (payload: object) => door.ask("POST", "/api/v1/templates/preview", { payload: { accountId, ...payload } });
  const said = async (payload: object) => answerOf(TemplatePreviewed).parse((await preview(payload)).json()).data;
  const contact = (await door.ask("POST", "/api/v1/contacts", { payload: { phone: "+919876543210", firstName: "Asha" } })).json().data;
  const messageContent = "Hi {{ firstName }}, {{ discount }} % off";
  expect(await said({ messageContent, templateVariables: { discount: 10 }, contactId: contact.id })).toEqual({
    ok: true,
    message: { type: "text", text: "Hi Asha, 10 % off" },
  });
  expect(await said({ messageContent, templateVariables: { discount: 10 }, contact: { phone: "+919876543211" } })).toEqual({
    ok: false,
    reason: "missing_variable",
    detail: "firstName",
  });
  expect(await said({ template: { name: "welcome" } })).toMatchObject({
    ok: true,
    message: { type: "template", name: "welcome", language: "en_US" },
  });
  expect((await preview({})).statusCode).toBe(400);
  expect((await preview({ messageContent: "{{ x" })).statusCode).toBe(422);
  expect((await preview({ messageContent: "x", contactId: accountId })).statusCode).toBe(404);
});
