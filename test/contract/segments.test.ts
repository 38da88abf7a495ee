import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Contact } from "../../src/contract/contact.ts";
import { Segment, SegmentCounted } from "../../src/contract/segment.ts";
import { answerOf, listOf, Problem } from "../../src/contract/wire.ts";
import { type Door, openDoor } from "../support/door.ts";
import { rehearsalSender } from "../support/rehearsal-sender.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor();
  for (const [n, tags] of [["vip", "new"], ["new"], []].entries()) {
    const payload = { phone: `+9198765000${10 + n}`, firstName: `N${n}`, attributes: { tags, age: 20 + n } };
    expect((await door.ask("POST", "/api/v1/contacts", { payload })).statusCode).toBe(201);
  }
});
afterAll(() => door.close());

const filter = { all: [{ tag: "new" }, { attribute: "age", op: "gte", value: 21 }] };
const make = async (name: string) => {
  const answer = await door.ask("POST", "/api/v1/segments", { payload: { name, filter } });
  expect(answer.statusCode, answer.body).toBe(201);
  return answerOf(Segment).parse(answer.json()).data;
};

test("a segment is made, read, listed, changed, and deleted", async () => {
  const segment = await make("New and grown up");
  expect(segment).toMatchObject({ name: "New and grown up", filter });
  const url = `/api/v1/segments/${segment.id}`;
  expect(answerOf(Segment).parse((await door.ask("GET", url)).json()).data).toEqual(segment);
  await make("A first one");
  const listed = listOf(Segment).parse((await door.ask("GET", "/api/v1/segments?limit=1")).json());
  expect(listed.data.map(({ name }) => name)).toEqual(["A first one"]);
  const rest = listOf(Segment).parse((await door.ask("GET", `/api/v1/segments?cursor=${listed.nextCursor}`)).json());
  expect(rest.data).toEqual([segment]);
  const changed = await door.ask("PATCH", url, { payload: { filter: { tag: "vip" } } });
  expect(answerOf(Segment).parse(changed.json()).data).toEqual({ ...segment, filter: { tag: "vip" } });
  expect((await door.ask("DELETE", url)).json()).toEqual({ success: true, data: { id: segment.id } });
  expect((await door.ask("GET", url)).statusCode).toBe(404);
});

test("its contacts come in pages", async () => {
  const { id } = (
    await door.ask("POST", "/api/v1/segments", { payload: { name: "Everybody", filter: { attribute: "age", op: "exists", value: true } } })
  ).json().data;
  const page = async (query: string) => listOf(Contact).parse((await door.ask("GET", `/api/v1/segments/${id}/contacts?${query}`)).json());
  const first = await page("limit=2");
  const second = await page(`limit=2&cursor=${first.nextCursor}`);
  expect([...first.data, ...second.data].map(({ firstName }) => firstName).sort()).toEqual(["N0", "N1", "N2"]);
  expect(second.nextCursor).toBeNull();
  expect((await door.ask("GET", `/api/v1/segments/${id}/contacts?cursor=bm8`)).statusCode).toBe(400);
});

test("a filter is counted with a sample, and nothing is stored", async () => {
  const before = await door.database.sql`select id from segment`;
  const counted = await door.ask("POST", "/api/v1/segments/count", { payload: { filter }, key: await door.newKey(["read"]) });
  const { count, sample } = answerOf(SegmentCounted).parse(counted.json()).data;
  expect([count, sample.map(({ firstName, attributes }) => [firstName, attributes])]).toEqual([1, [["N1", { tags: ["new"], age: 21 }]]]);
  expect(await door.database.sql`select id from segment`).toHaveLength(before.length);
});

test.each([
  ["a part nobody knows", { all: [{ colour: "red" }] }, 400, "filter.all[0]"],
  ["an op of another type", { any: [{ not: { field: "email", op: "gt", value: 1 } }] }, 400, "filter.any[0].not.op"],
  ["a NUL", { tag: "a\0" }, 400, "filter.tag"],
  ["no object", "everybody", 400, "filter"],
  ["a list that is not there", { not: { list: "12345678-1234-4234-8234-123456789abc" } }, 404, "filter.not.list"],
])("a filter with %s is refused at its place, and nothing is stored", async (_what, wrong, status, path) => {
  for (const [url, payload] of [
    ["/api/v1/segments", { name: "Refused", filter: wrong }],
    ["/api/v1/segments/count", { filter: wrong }],
  ] as const) {
    const answer = await door.ask("POST", url, { payload });
    expect([answer.statusCode, Problem.parse(answer.json()).errors?.map((fault) => fault.path)]).toEqual([status, [path]]);
  }
  expect(await door.database.sql`select from segment where name = 'Refused'`).toHaveLength(0);
});

test("the same key makes one segment, and another workspace sees none", async () => {
  const headers = { "idempotency-key": "once" };
  const payload = { name: "Once", filter };
  const ask = () => door.ask("POST", "/api/v1/segments", { payload, headers });
  const made = (await ask()).json().data;
  expect((await ask()).json().data).toEqual(made);
  const twice = await door.ask("POST", "/api/v1/segments", { payload });
  expect([twice.statusCode, Problem.parse(twice.json()).errors?.[0]?.path]).toEqual([400, "name"]);

  const key = await door.newKey(["read", "write"], await door.newWorkspace());
  for (const [method, path] of [
    ["GET", ""],
    ["GET", "/contacts"],
    ["PATCH", ""],
    ["DELETE", ""],
  ] as const) {
    const answer = await door.ask(method, `/api/v1/segments/${made.id}${path}`, {
      key,
      ...(method === "PATCH" ? { payload: { name: "Mine" } } : {}),
    });
    expect(answer.statusCode, `${method} ${path}`).toBe(404);
  }
  expect((await door.ask("GET", "/api/v1/segments", { key })).json().data).toEqual([]);
});

test("a key whose answer was lost after the segment was made gets that segment", async () => {
  const headers = { "idempotency-key": "lost" };
  const payload = { name: "Lost", filter };
  const made = (await door.ask("POST", "/api/v1/segments", { payload, headers })).json().data;
  await door.database
    .sql`update idempotency set status = null, answer = to_jsonb(${made.id}::text), created_at = campanile.clock() - interval '2 minutes' where key = 'lost'`;
  expect((await door.ask("POST", "/api/v1/segments", { payload, headers })).json().data).toEqual(made);
});

describe("a campaign to a segment", () => {
  test("needs one of its workspace, is answered as asked for, and keeps it from being deleted", async () => {
    const accountId = await rehearsalSender(door.database.sql, door.workspaceId);
    const { id } = await make("Needed");
    const create = (audienceConfig: object, audienceType = "segment") =>
      door.ask("POST", "/api/v1/campaigns", {
        payload: { accountId, name: "x", messageType: "text", messageContent: "Hi", audienceType, audienceConfig },
      });
    const nothing = "12345678-1234-4234-8234-123456789abc";
    const lost = await create({ segmentId: id, exclude: { segmentIds: [id], listIds: [nothing] } });
    expect([lost.statusCode, Problem.parse(lost.json()).errors?.[0]?.path]).toEqual([404, "audienceConfig.exclude.listIds[0]"]);
    const made = (await create({ segmentId: id.toUpperCase() })).json().data;
    expect(made).toMatchObject({ audienceType: "segment", audienceConfig: { segmentId: id } });
    expect((await door.ask("GET", `/api/v1/campaigns/${made.id}/stats`)).json().data).toMatchObject({ recipients: 1, pending: 1 });
    expect((await door.ask("GET", `/api/campaigns/${made.id}`)).json().campaign.pending).toBe(1);
    const refused = await door.ask("DELETE", `/api/v1/segments/${id}`);
    expect([refused.statusCode, Problem.parse(refused.json()).code]).toEqual([409, "in_use"]);
    const copy = (await door.ask("POST", `/api/v1/campaigns/${made.id}/duplicate`)).json().data;
    expect(copy.total_recipients).toBe(1);
    const edited = await door.ask("PATCH", `/api/v1/campaigns/${made.id}`, { payload: { name: "y" } });
    expect(edited.json().data.audienceConfig).toEqual({ segmentId: id });
    for (const one of [made.id, copy.id]) await door.ask("DELETE", `/api/v1/campaigns/${one}`);
    expect((await door.ask("DELETE", `/api/v1/segments/${id}`)).statusCode).toBe(200);
  });
});

test("only the attribute tags may be a list", async () => {
  const answer = await door.ask("POST", "/api/v1/contacts", { payload: { phone: "+919876500099", attributes: { cities: ["Pune"], tags: ["a"] } } });
  expect([answer.statusCode, Problem.parse(answer.json()).errors?.map(({ path }) => path)]).toEqual([400, ["attributes.cities"]]);
});
