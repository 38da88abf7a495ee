import { describe, expect, test } from "vitest";
import { choiceOf, DEPTH_MAX, type Filter, PARTS_MAX, readFilter, referencesOf } from "./segment.ts";

const listId = "12345678-1234-4234-8234-123456789abc";
const faultsOf = (value: unknown) => {
  const read = readFilter(value);
  return read.ok ? [] : read.faults.map(({ path }) => path);
};
const nested = (depth: number): unknown => (depth === 1 ? { tag: "vip" } : { not: nested(depth - 1) });

describe("a filter", () => {
  test("of every part is read as it came, ids and instants in their one spelling", () => {
    const parts = [
      { field: "firstName", op: "eq", value: "Asha" },
      { field: "email", op: "in", value: ["a@x.in", "b@x.in"] },
      { field: "company", op: "exists", value: false },
      { attribute: "age", op: "gte", value: 18 },
      { attribute: "city", op: "in", value: ["Pune", 7, true] },
      { attribute: "since", op: "before", value: "2026-02-28" },
      { tag: "vip guest" },
      { not: { any: [{ list: listId }] } },
    ];
    const all = [
      ...parts,
      { field: "createdAt", op: "after", value: "2026-03-01T09:00:00+05:30" },
      { list: listId.toUpperCase() },
      { campaign: `cmp_${listId}`, outcome: "not_read" },
    ];
    expect(readFilter({ all })).toEqual({
      ok: true,
      filter: {
        all: [
          ...parts,
          { field: "createdAt", op: "after", value: "2026-03-01T03:30:00.000Z" },
          { list: listId },
          { campaign: listId, outcome: "not_read" },
        ],
      },
    });
  });

  test.each([
    ["no object", null, "filter"],
    ["a list", [], "filter"],
    ["nothing known", { colour: "red" }, "filter"],
    ["nothing in all", { all: [] }, "filter.all"],
    ["an unknown field beside", { tag: "vip", op: "eq" }, "filter.op"],
    ["two parts in one", { all: [{ tag: "a" }], any: [{ tag: "b" }] }, "filter.any"],
    ["an unknown field of a contact", { field: "waId", op: "eq", value: "x" }, "filter.field"],
    ["an op of another type", { field: "firstName", op: "gt", value: 5 }, "filter.op"],
    ["a number for a text", { field: "firstName", op: "eq", value: 5 }, "filter.value"],
    ["no op", { attribute: "city", value: "Pune" }, "filter.op"],
    ["no value", { attribute: "city", op: "eq" }, "filter.value"],
    ["a value deep in a list", { not: { any: [{ tag: "x" }, { attribute: "city", op: "in", value: ["Pune", null] }] } }, "filter.not.any.1.value.1"],
    ["nothing to be in", { attribute: "city", op: "in", value: [] }, "filter.value"],
    ["exists of a text", { attribute: "city", op: "exists", value: "yes" }, "filter.value"],
    ["a number that lost digits", { attribute: "age", op: "lt", value: 2 ** 60 }, "filter.value"],
    ["a day that is none", { attribute: "since", op: "after", value: "2026-02-30" }, "filter.value"],
    ["an instant without an offset", { field: "createdAt", op: "after", value: "2026-02-01T09:00:00" }, "filter.value"],
    ["an instant on a day that is none", { field: "createdAt", op: "after", value: "2026-02-30T09:00:00Z" }, "filter.value"],
    ["an instant that Postgres has not", { field: "createdAt", op: "after", value: "0000-01-01" }, "filter.value"],
    ["a NUL", { attribute: "ci\0ty", op: "eq", value: "Pune" }, "filter.attribute"],
    ["half a surrogate pair", { attribute: "city", op: "eq", value: "\ud800" }, "filter.value"],
    ["a text without end", { tag: "x".repeat(1_001) }, "filter.tag"],
    ["two tags in one", { tag: "a,b" }, "filter.tag"],
    ["no id", { list: "friends" }, "filter.list"],
    ["an unknown outcome", { campaign: listId, outcome: "liked" }, "filter.outcome"],
    ["too deep", nested(DEPTH_MAX + 1), `filter${".not".repeat(DEPTH_MAX)}`],
    ["too many parts", { any: Array.from({ length: PARTS_MAX }, () => ({ tag: "x" })) }, `filter.any.${PARTS_MAX - 1}`],
  ])("of %s is refused at its place", (_what, value, path) => {
    expect(faultsOf(value)).toEqual([path]);
  });

  test("may be as deep and as large as the limits say", () => {
    expect(faultsOf(nested(DEPTH_MAX))).toEqual([]);
    expect(faultsOf({ any: Array.from({ length: PARTS_MAX - 1 }, () => ({ tag: "x" })) })).toEqual([]);
  });

  test("tells every fault, but no more than anybody reads", () => {
    expect(faultsOf({ all: [{ tag: 1 }, { list: 2 }, { campaign: 3 }] })).toEqual([
      "filter.all.0.tag",
      "filter.all.1.list",
      "filter.all.2.campaign",
      "filter.all.2.outcome",
    ]);
    expect(faultsOf({ any: Array.from({ length: 100 }, () => ({ tag: 1 })) })).toHaveLength(20);
  });
});

test("the lists and campaigns it names are found with their places", () => {
  const filter: Filter = { all: [{ not: { list: listId } }, { any: [{ tag: "x" }, { campaign: listId, outcome: "read" }] }] };
  expect(referencesOf(filter)).toEqual([
    { kind: "list", id: listId, path: "filter.all.0.not.list" },
    { kind: "campaign", id: listId, path: "filter.all.1.any.1.campaign" },
  ]);
});

test("whom a campaign leaves out is a filter too", () => {
  const vip: Filter = { tag: "vip" };
  expect(choiceOf(null, { segments: [] })).toBeNull();
  expect(choiceOf(vip, { segments: [] })).toBe(vip);
  expect(choiceOf(null, { segments: [vip], listIds: [listId] })).toEqual({ not: { any: [vip, { list: listId }] } });
  expect(choiceOf(vip, { segments: [], campaignIds: [listId] })).toEqual({
    all: [vip, { not: { any: [{ campaign: listId, outcome: "accepted" }] } }],
  });
});
