import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { seedWorkspace } from "../../../test/support/seed.ts";
import { Refusal } from "../../rules/refusal.ts";
import { campaignOutcomes, type Filter, readFilter, type Scalar, type Test, textFields } from "../../rules/segment.ts";
import { systemClock } from "../../runtime/clock.ts";
import { seededLuck, systemLuck } from "../../runtime/luck.ts";
import { chosenBy } from "./chosen-store.ts";
import type { AudienceDeps } from "./deps.ts";
import { listChosen } from "./segment-store.ts";
import { countSegment, createSegment, deleteSegment, listSegmentContacts, listSegments, readSegment, updateSegment } from "./segments.ts";

let database: FreshDatabase;
let deps: AudienceDeps;
let workspaceId: string;
let senderId: string;
beforeAll(async () => {
  database = await freshDatabase();
  deps = { sql: database.sql, clock: systemClock, luck: systemLuck };
  ({ workspaceId, senderId } = await seedWorkspace(database.sql));
});
afterAll(() => database.drop());

const refusalOf = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof Refusal)) throw new Error(`no refusal but ${error}`);
  return { code: error.code, message: error.message, paths: error.faults.map(({ path }) => path) };
};

interface Person {
  readonly id: string;
  readonly phone: string | null;
  readonly email: string | null;
  readonly firstName: string | null;
  readonly lastName: string | null;
  readonly company: string | null;
  readonly timeZone: string | null;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly createdAt: Date;
}

async function insertPerson(of: string, person: Partial<Person>): Promise<string> {
  const { id = randomUUID(), phone = null, email = null, firstName = null, lastName = null, company = null, timeZone = null } = person;
  await database.sql`
    insert into contact (workspace_id, id, phone, email, first_name, last_name, company, time_zone, attributes, created_at)
    values (${of}, ${id}, ${phone}, ${email}, ${firstName}, ${lastName}, ${company}, ${timeZone}, ${database.sql.json((person.attributes ?? {}) as never)},
      ${person.createdAt ?? new Date()})`;
  return id;
}

async function insertCampaign(): Promise<string> {
  const id = randomUUID();
  await database.sql`
    insert into campaign (workspace_id, id, name, surface, engine, state, sender_id, channel, message, audience_type, schedule_type, on_uncertain, on_daily_limit)
    values (${workspaceId}, ${id}, 'Spring', 'engine', true, 'draft', ${senderId}, 'whatsapp', '{"type":"text","text":"Hi"}', 'all', 'manual', 'hold', 'wait')`;
  return id;
}

/** What the filters are asked about, small enough that much of it coincides. */
const texts = [
  "Pune",
  "Pu",
  "pune",
  "Zürich",
  '100% "off"',
  "O'Neil",
  "a\\b",
  "$1 ? $2::text",
  "{NULL}",
  "null",
  "true",
  "42",
  "-7.5",
  "042",
  "1e3",
  " ",
  "東京🙂",
  "2026-03-01",
  "2026-03-01T10:00:00Z",
  "2026-02-28 x",
  "2026-3-1",
  "2026-03-01x",
];
const numbers = [42, -7.5, 0, 1_000, 7];
const tagTexts = ["vip", "new", "O'Neil", "東京", "a b"];
const names = ["city", "age", "since", "tags", "O'Neil\"", "$.x ? (@ > 1)", "nothing"];
const days = ["2026-02-28", "2026-03-01", "2026-03-02"];
const instants = ["2026-02-28T23:59:59.999Z", "2026-03-01T00:00:00.000Z", "2026-03-01T09:00:00.000Z"];

/** The oracle: the same question, asked in JavaScript of what was put in. */
interface World {
  readonly people: readonly Person[];
  readonly lists: ReadonlyMap<string, ReadonlySet<string>>;
  readonly campaigns: ReadonlyMap<string, ReadonlyMap<string, { readonly state: string | null; readonly receipts: readonly string[] }>>;
}

function fits(person: Person, filter: Filter, world: World): boolean {
  if ("all" in filter) return filter.all.every((part) => fits(person, part, world));
  if ("any" in filter) return filter.any.some((part) => fits(person, part, world));
  if ("not" in filter) return !fits(person, filter.not, world);
  if ("tag" in filter) {
    const { tags } = person.attributes;
    const all: unknown[] = Array.isArray(tags) ? tags : typeof tags === "string" ? tags.split(",").map((tag) => tag.replace(/^ +| +$/g, "")) : [];
    return all.includes(filter.tag);
  }
  if ("list" in filter) return world.lists.get(filter.list)?.has(person.id) === true;
  if ("campaign" in filter) return became(world.campaigns.get(filter.campaign)?.get(person.id), filter.outcome);
  if ("attribute" in filter) return answers(printed(person.attributes[filter.attribute]), filter);
  if (filter.field === "createdAt") {
    const [at, than] = [person.createdAt.getTime(), new Date(filter.value).getTime()];
    return filter.op === "before" ? at < than : at > than;
  }
  return answers(person[filter.field], filter);
}

function printed(value: unknown): string | null {
  if (value === undefined || value === null) return null;
  return Array.isArray(value) ? `[${value.map((one) => JSON.stringify(one)).join(", ")}]` : String(value);
}

function answers(text: string | null, test: Test): boolean {
  const number = text !== null && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  const is = (value: Scalar) => (typeof value === "number" ? number === value : text === String(value));
  const day = text !== null && /^\d{4}-\d\d-\d\d($|[T ])/.test(text) ? text.slice(0, 10) : null;
  switch (test.op) {
    case "eq":
      return is(test.value);
    case "ne":
      return !is(test.value);
    case "in":
      return test.value.some(is);
    case "contains":
      return text?.includes(test.value) === true;
    case "startsWith":
      return text?.startsWith(test.value) === true;
    case "exists":
      return (text !== null && text !== "") === test.value;
    case "before":
      return day !== null && day < test.value;
    case "after":
      return day !== null && day > test.value;
    default:
      return { gt: number > test.value, gte: number >= test.value, lt: number < test.value, lte: number <= test.value }[test.op];
  }
}

function became(sent: { state: string | null; receipts: readonly string[] } | undefined, outcome: (typeof campaignOutcomes)[number]): boolean {
  if (sent === undefined) return false;
  const { state, receipts } = sent;
  const had = (...kinds: string[]) => kinds.some((kind) => receipts.includes(kind));
  const reach = { delivered: had("delivered", "read", "replied"), read: had("read"), replied: had("replied") };
  const accepted = state === "accepted";
  return {
    recipient: true,
    accepted,
    failed: state === "failed" || (accepted && had("failed")),
    skipped: state === "skipped",
    uncertain: state === "uncertain",
    ...reach,
    not_sent: state === "failed" || state === "skipped",
    not_delivered: accepted && !reach.delivered,
    not_read: accepted && !reach.read,
    not_replied: accepted && !reach.replied,
  }[outcome];
}

const PEOPLE = 300;
const oneOf = <T>(luck: () => number, values: readonly T[]): T => values[Math.floor(luck() * values.length)] as T;

async function populate(): Promise<World> {
  const { next } = seededLuck(5);
  const maybe = <T>(value: T): T | null => (next() < 0.3 ? null : value);
  const lists = new Map<string, Set<string>>([...Array(2)].map(() => [randomUUID(), new Set<string>()]));
  const campaigns = new Map<string, Map<string, { state: string | null; receipts: string[] }>>();
  for (const id of lists.keys()) await database.sql`insert into list (workspace_id, id, name) values (${workspaceId}, ${id}, ${id})`;
  for (let n = 0; n < 2; n++) campaigns.set(await insertCampaign(), new Map());
  const people: Person[] = [];
  for (let n = 0; n < PEOPLE; n++) {
    const scalar = () => oneOf<unknown>(next, [...texts, ...numbers, true, false, null, ""]);
    const tags = oneOf<unknown>(next, [["vip", "new"], ["O'Neil"], [], " vip ,a b", "東京", 42, undefined]);
    const known = names.filter(() => next() < 0.6).map((name) => [name, name === "tags" ? tags : scalar()]);
    const person: Person = {
      id: randomUUID(),
      phone: `+9190000${String(10_000 + n)}`,
      email: maybe(`p${n}@x.in`),
      firstName: maybe(oneOf(next, texts)),
      lastName: maybe(oneOf(next, texts)),
      company: maybe(oneOf(next, texts)),
      timeZone: maybe("Asia/Kolkata"),
      attributes: Object.fromEntries(known.filter(([, value]) => value !== undefined)),
      createdAt: new Date(oneOf(next, instants)),
    };
    await insertPerson(workspaceId, person);
    people.push(person);
    for (const [id, members] of lists) {
      if (next() < 0.5) continue;
      await database.sql`insert into list_member (workspace_id, list_id, contact_id) values (${workspaceId}, ${id}, ${person.id})`;
      members.add(person.id);
    }
    for (const [id, recipients] of campaigns) {
      if (next() < 0.3) continue;
      const state = oneOf(next, ["accepted", "accepted", "accepted", "failed", "skipped", "uncertain", null]);
      const receipts = ["sent", "delivered", "read", "replied", "failed"].filter(() => state === "accepted" && next() < 0.3);
      await insertRecipient(id, { contactId: person.id, position: recipients.size + 1, state, receipts });
      recipients.set(person.id, { state, receipts });
    }
  }
  return { people, lists, campaigns };
}

async function insertRecipient(campaignId: string, of: { contactId: string; position: number; state: string | null; receipts: readonly string[] }) {
  const { contactId, position, state, receipts } = of;
  const { sql } = database;
  await sql`insert into recipient (workspace_id, campaign_id, position, contact_id, variables) values (${workspaceId}, ${campaignId}, ${position}, ${contactId}, '{}')`;
  if (state === null) return;
  await sql`insert into message (campaign_id, stage, position, attempt, state, code, provider_ref, at)
    values (${campaignId}, 1, ${position}, 1, ${state}, 'x', ${contactId}, campanile.clock())`;
  for (const kind of receipts)
    await sql`insert into receipt (campaign_id, stage, position, attempt, kind, at) values (${campaignId}, 1, ${position}, 1, ${kind}, campanile.clock())`;
}

function filters(world: World): fc.Arbitrary<Filter> {
  const text = fc.constantFrom(...texts, "un", "P", "O", "%", "_");
  const scalar = fc.oneof(text, fc.constantFrom<Scalar>(...numbers, true, false));
  const day = fc.constantFrom(...days);
  const asked = (value: fc.Arbitrary<Scalar>) => [
    fc.record({ op: fc.constantFrom("eq" as const, "ne" as const), value }),
    fc.record({ op: fc.constantFrom("contains" as const, "startsWith" as const), value: text }),
    fc.record({ op: fc.constant("in" as const), value: fc.array(value, { minLength: 1, maxLength: 4 }) }),
    fc.record({ op: fc.constant("exists" as const), value: fc.boolean() }),
  ];
  const ofText: fc.Arbitrary<Test> = fc.oneof(...asked(text));
  const ofAttribute: fc.Arbitrary<Test> = fc.oneof(
    ...asked(scalar),
    fc.record({ op: fc.constantFrom("gt" as const, "gte" as const, "lt" as const, "lte" as const), value: fc.constantFrom(...numbers) }),
    fc.record({ op: fc.constantFrom("before" as const, "after" as const), value: day }),
  );
  const leaf: fc.Arbitrary<Filter> = fc.oneof(
    fc.tuple(fc.constantFrom(...textFields), ofText).map(([field, test]) => ({ field, ...test })),
    fc.tuple(fc.constantFrom(...names), ofAttribute).map(([attribute, test]) => ({ attribute, ...test })),
    fc.record({
      field: fc.constant("createdAt" as const),
      op: fc.constantFrom("before" as const, "after" as const),
      value: fc.constantFrom(...days, ...instants),
    }),
    fc.record({ tag: fc.constantFrom(...tagTexts) }),
    fc.record({ list: fc.constantFrom(...world.lists.keys()) }),
    fc.record({ campaign: fc.constantFrom(...world.campaigns.keys()), outcome: fc.constantFrom(...campaignOutcomes) }),
  );
  const { filter } = fc.letrec<{ filter: Filter }>((tie) => ({
    filter: fc.oneof(
      { depthSize: "small", maxDepth: 5, withCrossShrink: true },
      leaf,
      fc.array(tie("filter"), { minLength: 1, maxLength: 3 }).map((all) => ({ all })),
      fc.array(tie("filter"), { minLength: 1, maxLength: 3 }).map((any) => ({ any })),
      tie("filter").map((not) => ({ not })),
    ),
  }));
  return filter;
}

describe("among people of every kind", () => {
  let world: World;
  beforeAll(async () => {
    world = await populate();
    // Whoever is not of this workspace is never chosen.
    await insertPerson((await seedWorkspace(database.sql)).workspaceId, { phone: "+919000010000", firstName: "Pune", attributes: { city: "Pune" } });
  }, 60_000);

  test("whatever is asked, Postgres chooses whom the rule chooses", async () => {
    await fc.assert(
      fc.asyncProperty(filters(world), async (given) => {
        const read = readFilter(given);
        if (!read.ok) throw new Error(JSON.stringify(read.faults));
        const chosen = await listChosen(database.sql, workspaceId, { filter: read.filter, after: null, limit: 1_000 });
        const chunk = await database.sql<{ id: string }[]>`
          select c.id from contact c where c.workspace_id = ${workspaceId} and ${chosenBy(database.sql, read.filter, "chunk")} order by c.id`;
        const expected = world.people.filter((person) => fits(person, given, world)).map(({ id }) => id);
        expect(chosen.map(({ id }) => id)).toEqual(expected.sort());
        expect(chunk.map(({ id }) => id)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  }, 120_000);

  test("a draft is counted with the first of its contacts, and pages of a segment hold each once", async () => {
    const filter: Filter = { attribute: "city", op: "exists", value: true };
    const expected = world.people.filter((person) => fits(person, filter, world)).map(({ id }) => id);
    const counted = await countSegment(database.sql, workspaceId, filter);
    expect(counted.count).toBe(expected.length);
    expect(counted.sample.map(({ id }) => id)).toEqual(expected.sort().slice(0, 20));
    const { id } = await createSegment(workspaceId, { name: "Has a city", filter }, deps);
    const paged: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const page = await listSegmentContacts(database.sql, { workspaceId, id }, { cursor, limit: 40 });
      paged.push(...page.items.map((contact) => contact.id));
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(paged).toEqual(expected);
  });

  test("a tree as large as may be is answered", async () => {
    const part: Filter = { attribute: "age", op: "in", value: [...numbers, ...texts] };
    expect((await countSegment(database.sql, workspaceId, { any: Array(199).fill(part) })).count).toBeGreaterThan(0);
  });
});

test.each([
  ["quotes", `O'Neil"; drop table campanile.contact; --`],
  ["a jsonpath", `$.* ? (@ like_regex ".*")`],
  ["parameters of a statement", "$1 $2::text ?| ?? :name"],
  ["an array of Postgres", `{"a",NULL}`],
  ["a pattern", "%_\\%.*"],
  ["backslashes", "\\\\x00\\"],
  ["letters of every kind", "עברית ‮ é é 👩‍👩‍👧 �"],
  ["line ends", "a\r\nb\tc"],
])("%s in a value or a name are a text like any other", async (_what, hostile) => {
  const other = await seedWorkspace(database.sql);
  const id = await insertPerson(other.workspaceId, {
    phone: "+919000000001",
    firstName: hostile,
    attributes: { [hostile]: hostile, tags: [hostile] },
  });
  await insertPerson(other.workspaceId, { phone: "+919000000002", firstName: "Asha", attributes: { city: "Pune" } });
  const parts: Filter[] = [
    { field: "firstName", op: "eq", value: hostile },
    { field: "firstName", op: "in", value: ["x", hostile] },
    { attribute: hostile, op: "contains", value: hostile },
    { attribute: hostile, op: "startsWith", value: hostile },
    { not: { attribute: hostile, op: "ne", value: hostile } },
    ...(hostile.includes(",") ? [] : [{ tag: hostile }]),
  ];
  for (const filter of parts) {
    const { count, sample } = await countSegment(database.sql, other.workspaceId, filter);
    expect([count, sample[0]?.id], JSON.stringify(filter)).toEqual([1, id]);
  }
  const segment = await createSegment(other.workspaceId, { name: hostile.trim(), filter: { all: parts } }, deps);
  expect((await readSegment(database.sql, { workspaceId: other.workspaceId, id: segment.id })).filter).toEqual({ all: parts });
});

test("a NUL is refused before Postgres sees it", async () => {
  for (const filter of [{ tag: "a\0" }, { attribute: "a\0", op: "exists", value: true }, { attribute: "a", op: "in", value: ["\0"] }])
    expect(await refusalOf(countSegment(database.sql, workspaceId, filter))).toMatchObject({ code: "malformed" });
});

describe("a segment", () => {
  const vip: Filter = { tag: "vip" };
  const make = (name: string, filter: unknown = vip) => createSegment(workspaceId, { name, filter }, deps);

  test("is made, read, listed by name, changed and deleted", async () => {
    const one = await make("Beta");
    const ref = { workspaceId, id: one.id };
    await make("Alpha");
    expect(one).toEqual({ id: one.id, name: "Beta", filter: vip, createdAt: expect.any(Date) });
    const named = (await listSegments(database.sql, workspaceId, { cursor: null, limit: 100 })).items.map(({ name }) => name);
    expect(named.filter((name) => ["Alpha", "Beta"].includes(name))).toEqual(["Alpha", "Beta"]);
    expect(await updateSegment(ref, { filter: { not: vip } }, deps)).toMatchObject({ name: "Beta", filter: { not: vip } });
    expect(await updateSegment(ref, { name: "Gamma" }, deps)).toMatchObject({ name: "Gamma", filter: { not: vip } });
    await deleteSegment(ref, deps);
    expect(await refusalOf(readSegment(database.sql, ref))).toMatchObject({ code: "not_found" });
    expect(await refusalOf(deleteSegment(ref, deps))).toMatchObject({ code: "not_found" });
  });

  test("keeps its name for itself, also when two ask at a time", async () => {
    const { id } = await make("Only one");
    const other = await make("Another");
    expect(await refusalOf(make("Only one"))).toMatchObject({ code: "malformed", paths: ["name"] });
    expect(await refusalOf(updateSegment({ workspaceId, id: other.id }, { name: "Only one" }, deps))).toMatchObject({ paths: ["name"] });
    const both = await Promise.allSettled([id, other.id].map((one) => updateSegment({ workspaceId, id: one }, { name: "Wanted" }, deps)));
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    expect(both.find((result) => result.status === "rejected")?.reason).toBeInstanceOf(Refusal);
  });

  test("names only what its workspace has", async () => {
    const elsewhere = randomUUID();
    await database.sql`insert into list (workspace_id, id, name) values (${(await seedWorkspace(database.sql)).workspaceId}, ${elsewhere}, 'Theirs')`;
    expect(await refusalOf(make("Theirs", { not: { any: [vip, { list: elsewhere }] } }))).toEqual({
      code: "not_found",
      message: `There is no list ${elsewhere} in this workspace.`,
      paths: ["filter.not.any.1.list"],
    });
    expect(await refusalOf(make("Nothing", { campaign: elsewhere, outcome: "read" }))).toMatchObject({ paths: ["filter.campaign"] });
    expect(await database.sql`select from segment where name in ('Theirs', 'Nothing')`).toHaveLength(0);
  });

  test.each(["its audience", "whom it leaves out"])("is not deleted while a campaign that is not planned needs it as %s", async (role) => {
    const { id } = await make(`Needed as ${role}`);
    const campaignId = await insertCampaign();
    const { sql } = database;
    await sql`update campaign set audience_config = ${sql.json(role === "its audience" ? { segmentId: id } : {})},
      audience_exclude = ${sql.json(role === "its audience" ? {} : { segmentIds: [id] })} where id = ${campaignId}`;
    expect(await refusalOf(deleteSegment({ workspaceId, id }, deps))).toMatchObject({ code: "in_use", message: expect.stringContaining(campaignId) });
    await sql`update campaign set plan_filter = '{"tag":"vip"}' where id = ${campaignId}`;
    await deleteSegment({ workspaceId, id }, deps);
  });
});
