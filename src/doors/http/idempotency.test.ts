import { afterAll, beforeAll, expect, test } from "vitest";
import { type Door, openDoor } from "../../../test/support/door.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor();
});
afterAll(() => door.close());

const create = (key: string, name: string) =>
  door.ask("POST", "/api/v1/keys", { headers: { "idempotency-key": key }, payload: { name, rights: ["read"] } });
const named = async (name: string) => (await door.database.sql`select 1 from api_key where name = ${name}`).count;
const age = (key: string, by: string) => door.database.sql`update idempotency set created_at = created_at - ${by}::interval where key = ${key}`;

test("the same key and body are answered once", async () => {
  const first = await create("once", "once");
  const again = await create("once", "once");
  expect(first.statusCode).toBe(201);
  expect(again.statusCode).toBe(201);
  expect(again.headers["idempotent-replayed"]).toBe("true");
  expect(again.json().data.id).toBe(first.json().data.id);
  expect(await named("once")).toBe(1);
});

test("what is shown once is not kept", async () => {
  const first = await create("secret", "secret");
  const again = await create("secret", "secret");
  expect(first.json().data.key).toMatch(/^cpk_/);
  expect(again.json().data).not.toHaveProperty("key");
  const [kept] = await door.database.sql`select answer #>> '{}' as answer from idempotency where key = 'secret'`;
  expect(kept?.["answer"]).not.toContain(first.json().data.key);
});

test("another body under the same key is refused", async () => {
  await create("body", "body");
  const other = await create("body", "other body");
  expect(other.statusCode).toBe(422);
  expect(other.json().code).toBe("idempotency_mismatch");
  expect(await named("other body")).toBe(0);
});

test("a refused request leaves its key free", async () => {
  const wrong = await door.ask("POST", "/api/v1/keys", { headers: { "idempotency-key": "free" }, payload: { name: "free", rights: ["everything"] } });
  expect(wrong.statusCode).toBe(400);
  expect((await create("free", "free")).statusCode).toBe(201);
});

test("fifty at once do the work once", async () => {
  const answers = await Promise.all(Array.from({ length: 50 }, () => create("fifty", "fifty")));
  const statuses = new Set(answers.map((answer) => answer.statusCode));
  expect([...statuses].every((status) => status === 201 || status === 409)).toBe(true);
  expect(new Set(answers.filter((answer) => answer.statusCode === 201).map((answer) => answer.json().data.id)).size).toBe(1);
  expect(await named("fifty")).toBe(1);
});

test("a key whose process died is free again after a minute, for the same body only", async () => {
  await create("crash", "crash");
  await door.database.sql`update idempotency set status = null, answer = null where key = 'crash'`;
  expect((await create("crash", "crash")).json().code).toBe("idempotency_in_progress");
  await age("crash", "61 seconds");
  expect((await create("crash", "other crash")).json().code).toBe("idempotency_mismatch");
  expect((await create("crash", "crash")).statusCode).toBe(201);
});

test("a key is free again after a day", async () => {
  await create("day", "day");
  await age("day", "23 hours 59 minutes");
  expect((await create("day", "next day")).statusCode).toBe(422);
  await age("day", "2 minutes");
  expect((await create("day", "next day")).statusCode).toBe(201);
});

test("a key belongs to its workspace", async () => {
  await create("mine", "mine");
  const other = await door.newKey(["admin"], await door.newWorkspace());
  const answer = await door.ask("POST", "/api/v1/keys", {
    key: other,
    headers: { "idempotency-key": "mine" },
    payload: { name: "theirs", rights: ["read"] },
  });
  expect(answer.statusCode).toBe(201);
});

test.each(["", "a b", "ä", "x".repeat(256)])("the key %j is refused", async (key) => {
  const answer = await create(key, "wrong");
  expect(answer.statusCode).toBe(400);
  expect(answer.json().detail).toContain("Idempotency-Key");
});
