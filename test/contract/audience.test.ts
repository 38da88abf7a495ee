import { Readable } from "node:stream";
import { setImmediate as tick } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Contact, Import, List, Suppression } from "../../src/contract/contact.ts";
import { answerOf, listOf, Problem } from "../../src/contract/wire.ts";
import { type Door, openDoor } from "../support/door.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor();
});
afterAll(() => door.close());

const asha = { phone: "+91 98765-43210", firstName: "Asha", attributes: { plan: "gold" } };
const upload = (text: string | Readable, query = "") =>
  door.ask("POST", `/api/v1/contacts/import${query}`, { payload: text, headers: { "content-type": "text/csv" } });

describe("contacts", () => {
  test("are entered, changed, found and deleted", async () => {
    const made = await door.ask("POST", "/api/v1/contacts", { payload: asha });
    expect(made.statusCode).toBe(201);
    const contact = answerOf(Contact).parse(made.json()).data;
    expect(contact).toMatchObject({ phone: "+919876543210", firstName: "Asha", lastName: null, attributes: { plan: "gold" } });

    const again = await door.ask("POST", "/api/v1/contacts", {
      payload: { phone: "9876543210", country: "IN", company: "Acme", attributes: { age: 7 } },
    });
    expect(again.statusCode).toBe(200);
    expect(answerOf(Contact).parse(again.json()).data).toMatchObject({
      id: contact.id,
      firstName: "Asha",
      company: "Acme",
      attributes: { plan: "gold", age: 7 },
    });

    const changed = await door.ask("PATCH", `/api/v1/contacts/${contact.id}`, { payload: { company: null, attributes: {} } });
    expect(answerOf(Contact).parse(changed.json()).data).toMatchObject({ firstName: "Asha", company: null, attributes: {} });

    const found = listOf(Contact).parse((await door.ask("GET", "/api/v1/contacts?phone=%2B919876543210")).json());
    expect(found.data.map(({ id }) => id)).toEqual([contact.id]);

    expect((await door.ask("DELETE", `/api/v1/contacts/${contact.id}`)).statusCode).toBe(200);
    expect((await door.ask("GET", `/api/v1/contacts/${contact.id}`)).statusCode).toBe(404);
  });

  test.each([
    ["no address", {}, "phone"],
    ["a phone that is none", { phone: "12" }, "phone"],
    ["a phone as a number", { phone: 919876543210 }, "phone"],
    ["an e-mail that is none", { email: "nobody" }, "email"],
    ["an unknown field", { phone: "+919876543210", nick: "A" }, "nick"],
    ["a nested attribute", { phone: "+919876543210", attributes: { a: { b: 1 } } }, "attributes.a"],
    ["an unknown country", { phone: "9876543210", country: "india" }, "country"],
  ])("%s is refused at its field", async (_what, payload, path) => {
    const answer = await door.ask("POST", "/api/v1/contacts", { payload });
    expect(answer.statusCode).toBe(400);
    expect(Problem.parse(answer.json()).errors?.map((fault) => fault.path)).toContain(path);
  });
});

describe("imports", () => {
  test("answer what became of each row, fill a list, and give the rejected rows as a file", async () => {
    const csv = "phone,first name\n9876500001,Asha\n9876500002,Bruno\n9876500001,Asha again\n12,Nobody\n";
    const answer = await upload(csv, "?country=IN&list=Fair&fileName=fair.csv");
    expect(answer.statusCode, answer.body).toBe(201);
    const done = answerOf(Import).parse(answer.json()).data;
    expect(done).toMatchObject({ fileName: "fair.csv", state: "done", rows: 4, stored: 2, merged: 1, rejected: 1, cause: null });

    expect(answerOf(Import).parse((await door.ask("GET", `/api/v1/imports/${done.id}`)).json()).data).toEqual(done);
    expect(listOf(Import).parse((await door.ask("GET", "/api/v1/imports")).json()).data[0]).toEqual(done);
    const rejects = await door.ask("GET", `/api/v1/imports/${done.id}/rejects.csv`);
    expect(rejects.headers["content-type"]).toBe("text/csv; charset=utf-8");
    expect(rejects.body.split("\r\n")).toHaveLength(3);
    expect(rejects.body).toContain("5,12,");

    const members = listOf(Contact).parse((await door.ask("GET", `/api/v1/contacts?listId=${done.listId}`)).json());
    expect(members.data.map(({ firstName }) => firstName).sort()).toEqual(["Asha again", "Bruno"]);
  });

  test("take a mapping", async () => {
    const answer = await upload("a;b\n+919876500009;Zoe\n", `?map=${encodeURIComponent("a=phone")}&map=${encodeURIComponent("b=firstName")}`);
    expect(answerOf(Import).parse(answer.json()).data).toMatchObject({ state: "done", stored: 1 });
  });

  test.each([
    ["an empty file", "", "", 422],
    ["a header only", "phone,name\n", "", 422],
    ["an unknown country", "1\n", "?country=XX", 400],
    ["a mapping that is none", "1\n", "?map=phone", 400],
    ["a list that is not there", "1\n", "?listId=12345678-1234-4234-8234-123456789abc", 404],
    ["an unknown question", "1\n", "?delimiter=x", 400],
  ])("%s is refused", async (_what, text, query, status) => {
    const answer = await upload(text, query);
    expect(answer.statusCode, answer.body).toBe(status);
    Problem.parse(answer.json());
  });

  test("a file that is too large is refused, and nothing of it is stored", async () => {
    const [before] = await door.database.sql`select count(*)::int as n from contact`;
    const answer = await upload(Readable.from(rows(1_000_000)));
    expect(answer.statusCode).toBe(413);
    expect(Problem.parse(answer.json()).code).toBe("too_large");
    expect((await door.database.sql`select count(*)::int as n from contact`)[0]).toEqual(before);
  });

  test("can be cancelled while they run", async () => {
    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    async function* slow() {
      yield "phone\n+919876511111\n";
      await held;
    }
    const running = upload(Readable.from(slow()), "?fileName=slow.csv");
    const id = await untilListed("slow.csv");
    const cancelled = await door.ask("POST", `/api/v1/imports/${id}/cancel`);
    expect(answerOf(Import).parse(cancelled.json()).data).toMatchObject({ state: "cancelled" });
    go();
    expect(answerOf(Import).parse((await running).json()).data).toMatchObject({ id, state: "cancelled", stored: 0 });
    expect(listOf(Contact).parse((await door.ask("GET", "/api/v1/contacts?phone=%2B919876511111")).json()).data).toEqual([]);
  });
});

function* rows(count: number): Generator<string> {
  yield "phone\n";
  for (let at = 0; at < count; at++) yield `+9198${String(10_000_000 + at)}\n`;
}

async function untilListed(fileName: string): Promise<string> {
  for (;;) {
    const { data } = listOf(Import).parse((await door.ask("GET", "/api/v1/imports")).json());
    const found = data.find((one) => one.fileName === fileName && one.state === "running");
    if (found) return found.id;
    await tick();
  }
}

test("lists are made, filled, read and emptied", async () => {
  const list = answerOf(List).parse((await door.ask("POST", "/api/v1/lists", { payload: { name: "Friends" } })).json()).data;
  expect((await door.ask("POST", "/api/v1/lists", { payload: { name: "Friends" } })).json().data.id).toBe(list.id);
  const contact = (await door.ask("POST", "/api/v1/contacts", { payload: { phone: "+919876522222" } })).json().data;
  const add = () => door.ask("POST", `/api/v1/lists/${list.id}/members`, { payload: { contactIds: [contact.id] } });
  expect((await add()).json().data).toEqual({ added: 1 });
  expect((await add()).json().data).toEqual({ added: 0 });
  expect((await door.ask("GET", `/api/v1/lists/${list.id}`)).json().data.members).toBe(1);
  expect((await door.ask("DELETE", `/api/v1/lists/${list.id}/members/${contact.id}`)).statusCode).toBe(200);
  expect((await door.ask("DELETE", `/api/v1/lists/${list.id}/members/${contact.id}`)).statusCode).toBe(404);
  expect(listOf(List).parse((await door.ask("GET", "/api/v1/lists?limit=1")).json()).data).toHaveLength(1);
});

test("suppressions are made, listed and lifted", async () => {
  const payload = { channel: "whatsapp", address: "+91 98765 33333" };
  const made = await door.ask("POST", "/api/v1/suppressions", { payload: { ...payload, reason: "asked by phone" } });
  expect(made.statusCode).toBe(201);
  expect(made.json().data).toEqual({ address: "+919876533333" });
  const { data } = listOf(Suppression).parse((await door.ask("GET", "/api/v1/suppressions?channel=whatsapp")).json());
  expect(data).toMatchObject([{ address: "+919876533333", scope: "all", reason: "asked by phone", source: "api" }]);
  expect((await door.ask("POST", "/api/v1/suppressions/lift", { payload })).statusCode).toBe(200);
  expect((await door.ask("POST", "/api/v1/suppressions/lift", { payload })).statusCode).toBe(404);
  expect((await door.ask("POST", "/api/v1/suppressions", { payload: { channel: "whatsapp", address: "12" } })).json().errors[0].path).toBe("address");
});

test.each(["contacts", "lists", "imports", "suppressions", "senders", "campaigns"])("a cursor that is none is refused: %s", async (noun) => {
  for (const cursor of ["AA", "bm9uc2Vuc2U", "%00", "!"]) {
    const answer = await door.ask("GET", `/api/v1/${noun}?cursor=${cursor}`);
    expect([200, 400, 404], `${noun} ${cursor}: ${answer.body}`).toContain(answer.statusCode);
  }
});

test("nothing of one workspace is seen from another", async () => {
  const contact = (await door.ask("POST", "/api/v1/contacts", { payload: { phone: "+919876544444" } })).json().data;
  const list = (await door.ask("POST", "/api/v1/lists", { payload: { name: "Ours" } })).json().data;
  const imported = (await upload("phone\n+919876555555\n")).json().data;
  const key = await door.newKey(["read", "write", "send", "admin"], await door.newWorkspace());
  for (const url of [`contacts/${contact.id}`, `lists/${list.id}`, `imports/${imported.id}`, `imports/${imported.id}/rejects.csv`]) {
    expect((await door.ask("GET", `/api/v1/${url}`, { key })).statusCode, url).toBe(404);
  }
  for (const url of ["contacts", "lists", "imports", "suppressions", "senders", "campaigns"]) {
    expect((await door.ask("GET", `/api/v1/${url}`, { key })).json().data, url).toEqual([]);
  }
  expect((await door.ask("DELETE", `/api/v1/contacts/${contact.id}`, { key })).statusCode).toBe(404);
  expect((await door.ask("POST", `/api/v1/lists/${list.id}/members`, { key, payload: { contactIds: [contact.id] } })).statusCode).toBe(404);
  expect((await upload("phone\n+919876555555\n", `?listId=${list.id}`)).statusCode).toBe(201);
  const theirs = await door.ask("POST", `/api/v1/contacts/import?listId=${list.id}`, {
    key,
    payload: "phone\n+919876555555\n",
    headers: { "content-type": "text/csv" },
  });
  expect(theirs.statusCode).toBe(404);
});
