import { afterAll, beforeAll, expect, test } from "vitest";
import { type Door, openDoor } from "../../../test/support/door.ts";
import { callerOf, createKey, ensureKey } from "../../runtime/keys.ts";
import { systemLuck } from "../../runtime/luck.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor();
});
afterAll(() => door.close());

test("health needs no key", async () => {
  expect((await door.ask("GET", "/health/live", { key: null })).json()).toEqual({ status: "ok", checks: {} });
  const ready = await door.ask("GET", "/health/ready", { key: null });
  expect(ready.statusCode).toBe(200);
  expect(ready.json()).toMatchObject({ status: "ok" });
});

test.each([
  ["no key", {}],
  ["a wrong key", { authorization: "Bearer cpk_wrongwrongwrong" }],
  ["another scheme", { authorization: "Basic cpk_wrongwrongwrong" }],
  ["an empty key", { authorization: "Bearer " }],
])("%s is refused", async (_what, headers) => {
  const answer = await door.ask("GET", "/api/v1/keys", { key: null, headers });
  expect(answer.statusCode).toBe(401);
  expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
  expect(answer.headers["www-authenticate"]).toBe('Bearer realm="campanile"');
  expect(answer.json()).toMatchObject({ success: false, code: "unauthorized", status: 401 });
});

test.each(["/%61pi/v1/system/health", "/ap%69/v1/keys", "/%61pi/v1/nothing", "/api/v1/%6beys"])("%s is the same address", async (url) => {
  expect((await door.ask("GET", url, { key: null })).statusCode).toBe(401);
  expect([200, 404]).toContain((await door.ask("GET", url)).statusCode);
  if (!url.includes("nothing")) expect((await door.ask("GET", url, { key: await door.newKey(["send"]) })).statusCode).toBe(403);
});

test("a key can be made, used and revoked", async () => {
  const made = await door.ask("POST", "/api/v1/keys", { payload: { name: "cron", rights: ["admin"] } });
  expect(made.statusCode).toBe(201);
  const { id, key } = made.json().data;
  expect((await door.ask("GET", "/api/v1/keys", { key })).statusCode).toBe(200);
  expect((await door.ask("DELETE", `/api/v1/keys/${id}`)).statusCode).toBe(200);
  expect((await door.ask("GET", "/api/v1/keys", { key })).statusCode).toBe(401);
});

test("a key of the configuration is made sure of at each start, also after it was revoked", async () => {
  const { sql } = door.database;
  const chosen = { workspaceId: door.workspaceId, name: "environment", key: "chosen by the operator" };
  await ensureKey(sql, systemLuck, chosen);
  await ensureKey(sql, systemLuck, chosen);
  expect((await sql`select 1 from api_key where name = 'environment'`).count).toBe(1);
  await sql`update api_key set revoked_at = campanile.clock() where name = 'environment'`;
  expect(await callerOf(sql, chosen.key)).toBeNull();
  await ensureKey(sql, systemLuck, chosen);
  expect(await callerOf(sql, chosen.key)).toMatchObject({ workspaceId: door.workspaceId, rights: ["read", "write", "send", "admin"] });
});

test("only a hash of a key is stored, and its use is written once a minute at most", async () => {
  const { sql } = door.database;
  const { key, id } = await createKey(sql, systemLuck, { workspaceId: door.workspaceId, name: "hashed", rights: ["read"] });
  const usedAt = async () => (await sql<{ lastUsedAt: Date | null }[]>`select last_used_at from api_key where id = ${id}`)[0]?.lastUsedAt;
  expect(JSON.stringify(await sql`select *, encode(hash, 'escape') from api_key where id = ${id}`)).not.toContain(key.slice(12));
  expect(await usedAt()).toBeNull();
  await callerOf(sql, key);
  const first = await usedAt();
  expect(first).toBeInstanceOf(Date);
  await callerOf(sql, key);
  expect(await usedAt()).toEqual(first);
  await sql`update api_key set last_used_at = last_used_at - interval '61 seconds' where id = ${id}`;
  await callerOf(sql, key);
  expect((await usedAt())?.getTime()).toBeGreaterThanOrEqual(first?.getTime() ?? 0);
});

test("a key of another workspace cannot be revoked", async () => {
  const other = await door.newKey(["admin"], await door.newWorkspace());
  const { data } = (await door.ask("GET", "/api/v1/keys")).json();
  expect((await door.ask("DELETE", `/api/v1/keys/${data[0].id}`, { key: other })).statusCode).toBe(404);
  expect((await door.ask("DELETE", "/api/v1/keys/nonsense")).statusCode).toBe(404);
});
