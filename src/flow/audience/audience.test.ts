import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { seedWorkspace } from "../../../test/support/seed.ts";
import { Refusal } from "../../rules/refusal.ts";
import { systemClock } from "../../runtime/clock.ts";
import { seededLuck } from "../../runtime/luck.ts";
import { transaction } from "../../runtime/postgres.ts";
import { deleteContact, listContacts, readContact, updateContact, upsertContact } from "./contacts.ts";
import type { AudienceDeps } from "./deps.ts";
import { enlist } from "./enlist.ts";
import { addToList, campaignList, findList, listLists, namedList, readList, removeFromList } from "./lists.ts";
import { lift, listSuppressions, suppress, suppressedAmong } from "./suppressions.ts";

let database: FreshDatabase;
let deps: AudienceDeps;
let workspaceId: string;
let senderId: string;

beforeAll(async () => {
  database = await freshDatabase();
  deps = { sql: database.sql, clock: systemClock, luck: seededLuck(11) };
});
beforeEach(async () => {
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
const all = { cursor: null, limit: 100 };
const nobody = "00000000-0000-4000-8000-000000000000";

describe("contacts", () => {
  test("a person is stored once, under any spelling of the phone, and later words replace earlier ones", async () => {
    const first = await upsertContact(
      workspaceId,
      { phone: "09876543210", firstName: "Asha", company: "Acme", attributes: { City: "Pune" } },
      { country: "IN" },
      deps,
    );
    const again = await upsertContact(
      workspaceId,
      { phone: "+91 98765 43210", firstName: "Asha R", email: "A@x.com", attributes: { State: "MH" } },
      {},
      deps,
    );
    expect([first.created, again.created]).toEqual([true, false]);
    expect(again.contact).toMatchObject({
      id: first.contact.id,
      phone: "+919876543210",
      email: "a@x.com",
      firstName: "Asha R",
      company: "Acme",
      attributes: { City: "Pune", State: "MH" },
    });
    expect(await readContact(database.sql, { workspaceId, id: first.contact.id })).toEqual(again.contact);
  });

  test("without a phone, the e-mail tells who it is", async () => {
    const first = await upsertContact(workspaceId, { email: "Asha@x.com" }, {}, deps);
    expect((await upsertContact(workspaceId, { email: "asha@X.com", lastName: "Rao" }, {}, deps)).contact).toMatchObject({
      id: first.contact.id,
      lastName: "Rao",
    });
  });

  test("faults are refused, each with its field", async () => {
    expect(await refusalOf(upsertContact(workspaceId, { phone: "12345", email: "x" }, {}, deps))).toMatchObject({
      code: "malformed",
      paths: ["phone", "email"],
    });
    expect(await refusalOf(upsertContact(workspaceId, { firstName: "Asha" }, {}, deps))).toMatchObject({ code: "malformed", paths: ["phone"] });
    expect(await refusalOf(upsertContact(workspaceId, { phone: "1" }, { country: "India" }, deps))).toMatchObject({
      code: "malformed",
      paths: ["country"],
    });
    expect(await database.sql`select 1 from contact where workspace_id = ${workspaceId}`).toEqual([]);
  });

  test("a contact is changed field by field, and never into another one or into nobody", async () => {
    const { contact } = await upsertContact(
      workspaceId,
      { phone: "+919876543210", firstName: "Asha", company: "Acme", attributes: { a: 1 } },
      {},
      deps,
    );
    await upsertContact(workspaceId, { phone: "+919876543211" }, {}, deps);
    const ref = { workspaceId, id: contact.id };
    expect(await updateContact(ref, { company: null, email: "a@x.com", attributes: { b: 2 } }, {}, deps)).toMatchObject({
      phone: "+919876543210",
      email: "a@x.com",
      firstName: "Asha",
      company: null,
      attributes: { b: 2 },
    });
    expect(await refusalOf(updateContact(ref, { phone: "00919876543211" }, {}, deps))).toMatchObject({
      paths: ["phone"],
      message: expect.stringContaining("has +919876543211 already"),
    });
    expect(await updateContact(ref, { phone: null }, {}, deps)).toMatchObject({ phone: null, email: "a@x.com" });
    expect(await refusalOf(updateContact(ref, { email: "" }, {}, deps))).toMatchObject({
      message: expect.stringContaining("needs a phone or an e-mail"),
    });
    expect((await refusalOf(updateContact({ workspaceId, id: nobody }, {}, {}, deps))).code).toBe("not_found");
  });

  test("pages hold everybody once", async () => {
    for (let n = 0; n < 7; n++) await upsertContact(workspaceId, { phone: `+91987654321${n}` }, {}, deps);
    const seen: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const page: Awaited<ReturnType<typeof listContacts>> = await listContacts(database.sql, workspaceId, { cursor, limit: 3 });
      expect(page.items.length).toBeLessThanOrEqual(3);
      seen.push(...page.items.map(({ phone }) => phone ?? ""));
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(seen.sort()).toEqual(Array.from({ length: 7 }, (_, n) => `+91987654321${n}`));
    expect((await listContacts(database.sql, workspaceId, { ...all, phone: "tel:+91 98765 43213" })).items).toMatchObject([
      { phone: "+919876543213" },
    ]);
    expect((await refusalOf(listContacts(database.sql, workspaceId, { cursor: "1; drop table", limit: 3 }))).code).toBe("malformed");
  });

  test("a contact is gone when it is deleted, also from its lists", async () => {
    const { contact } = await upsertContact(workspaceId, { phone: "+919876543210" }, {}, deps);
    const list = await namedList(workspaceId, "People", deps);
    await addToList(database.sql, { workspaceId, id: list.id }, [contact.id]);
    await deleteContact(database.sql, { workspaceId, id: contact.id });
    expect((await readList(database.sql, { workspaceId, id: list.id })).members).toBe(0);
    expect((await refusalOf(deleteContact(database.sql, { workspaceId, id: contact.id }))).code).toBe("not_found");
  });

  test("another workspace's contact is not there", async () => {
    const { contact } = await upsertContact(workspaceId, { phone: "+919876543210" }, {}, deps);
    const there = (await seedWorkspace(database.sql)).workspaceId;
    for (const work of [
      () => readContact(database.sql, { workspaceId: there, id: contact.id }),
      () => updateContact({ workspaceId: there, id: contact.id }, { firstName: "x" }, {}, deps),
      () => deleteContact(database.sql, { workspaceId: there, id: contact.id }),
      () => readContact(database.sql, { workspaceId, id: "no id" }),
    ]) {
      expect((await refusalOf(work())).code).toBe("not_found");
    }
    expect((await listContacts(database.sql, there, all)).items).toEqual([]);
  });
});

describe("lists", () => {
  test("a name is one list", async () => {
    const first = await namedList(workspaceId, " VIP ", deps);
    expect(first).toMatchObject({ name: "VIP", created: true, members: 0, campaignId: null });
    expect(await namedList(workspaceId, "VIP", deps)).toMatchObject({ id: first.id, created: false });
    expect((await findList(database.sql, workspaceId, "VIP"))?.id).toBe(first.id);
    expect(await findList(database.sql, workspaceId, "vip")).toBeNull();
    expect((await refusalOf(namedList(workspaceId, " ", deps))).code).toBe("malformed");
    await namedList(workspaceId, "Apples", deps);
    const page = await listLists(database.sql, workspaceId, { cursor: null, limit: 1 });
    expect(page.items.map(({ name }) => name)).toEqual(["Apples"]);
    expect((await listLists(database.sql, workspaceId, { cursor: page.nextCursor, limit: 1 })).items.map(({ name }) => name)).toEqual(["VIP"]);
  });

  test("people are added in the order given, each once, and nobody of another workspace", async () => {
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) ids.push((await upsertContact(workspaceId, { phone: `+91987654321${n}` }, {}, deps)).contact.id);
    const [a = "", b = "", c = ""] = ids;
    const stranger = (await upsertContact((await seedWorkspace(database.sql)).workspaceId, { phone: "+919876543219" }, {}, deps)).contact.id;
    const list = await namedList(workspaceId, "People", deps);
    const ref = { workspaceId, id: list.id };
    expect(await addToList(database.sql, ref, [c, a, stranger, nobody, "no id"])).toBe(2);
    expect(await addToList(database.sql, ref, [a, b])).toBe(1);
    const members = () => database.sql`select contact_id as id from list_member where list_id = ${list.id} order by ordinal`;
    expect((await members()).map(({ id }) => id)).toEqual([c, a, b]);
    await removeFromList(database.sql, ref, a);
    expect((await members()).map(({ id }) => id)).toEqual([c, b]);
    expect((await refusalOf(removeFromList(database.sql, ref, a))).code).toBe("not_found");
    expect((await refusalOf(addToList(database.sql, { workspaceId, id: nobody }, [a]))).code).toBe("not_found");
    expect((await listContacts(database.sql, workspaceId, { ...all, listId: list.id })).items.length).toBe(2);
  });

  test("a campaign has one list of its own, which is no named list", async () => {
    const campaignId = deps.luck.uuid();
    await database.sql`
      insert into campaign (workspace_id, id, name, surface, engine, state, sender_id, channel, message, audience_type, schedule_type, on_uncertain, on_daily_limit)
      values (${workspaceId}, ${campaignId}, 'c', 'batch', false, 'draft', ${senderId}, 'whatsapp', '{}', 'csv', 'manual', 'hold', 'pause')`;
    const own = await campaignList(workspaceId, campaignId, deps);
    expect(await campaignList(workspaceId, campaignId, deps)).toEqual(own);
    expect(own.campaignId).toBe(campaignId);
    expect((await listLists(database.sql, workspaceId, all)).items).toEqual([]);
  });
});

describe("enlisting people of a request", () => {
  const put = (listId: string, people: Parameters<typeof enlist>[2]) =>
    transaction(database.sql, (tx) => enlist(tx, { workspaceId, listId }, people));

  test("they become contacts and members, in their order; the same person twice is one", async () => {
    const { contact } = await upsertContact(workspaceId, { phone: "+919876543211", firstName: "Ravi", company: "Acme" }, {}, deps);
    const { id } = await namedList(workspaceId, "People", deps);
    const people = [
      { phone: "+919876543219", firstName: "Zoe", attributes: { City: "Goa" } },
      { email: "Mira@x.com" },
      { phone: "919876543211", lastName: "Iyer" },
      { phone: "tel:+91-98765-43219", attributes: { Age: 7 } },
      { phone: "+919876543210" },
    ];
    expect(await put(id, people)).toEqual([]);
    expect(await put(id, people)).toEqual([]);
    const rows = await database.sql`
      select c.phone, c.email, first_name, last_name, company, attributes, c.id from list_member m join contact c on c.id = m.contact_id where list_id = ${id} order by ordinal`;
    expect(rows).toMatchObject([
      { phone: "+919876543219", firstName: "Zoe", attributes: { City: "Goa", Age: 7 } },
      { email: "mira@x.com" },
      { phone: "+919876543211", firstName: "Ravi", lastName: "Iyer", company: "Acme", id: contact.id },
      { phone: "+919876543210" },
    ]);
    expect(String(rows[0]?.["id"])).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test("one fault, and nobody is stored", async () => {
    const { id } = await namedList(workspaceId, "People", deps);
    const faults = await put(id, [{ phone: "+919876543210" }, { phone: "12345", email: "x" }, {}]);
    expect(faults.map(({ path }) => path)).toEqual(["1.phone", "1.email", "2.phone"]);
    expect((await listContacts(database.sql, workspaceId, all)).items).toEqual([]);
  });

  test("thousands, from two requests at once in opposite orders", async () => {
    const [one, other] = [await namedList(workspaceId, "One", deps), await namedList(workspaceId, "Other", deps)];
    const people = Array.from({ length: 2_500 }, (_, n) => ({ phone: `+9198765${String(n).padStart(5, "0")}` }));
    await Promise.all([put(one.id, people), put(other.id, [...people].reverse())]);
    expect((await readList(database.sql, { workspaceId, id: one.id })).members).toBe(2_500);
    expect((await readList(database.sql, { workspaceId, id: other.id })).members).toBe(2_500);
    expect(await database.sql`select count(*) from contact where workspace_id = ${workspaceId}`).toEqual([{ count: 2_500 }]);
  });
});

describe("suppressions", () => {
  const given = { channel: "whatsapp", address: "+52 1 55 1234 5678", reason: "asked by phone", source: "api" } as const;

  test("an address is suppressed in any spelling, and stays so for the reason given first", async () => {
    expect(await suppress(database.sql, workspaceId, given)).toEqual({ address: "+525512345678", created: true });
    expect(await suppress(database.sql, workspaceId, { ...given, address: "5512345678", country: "MX", reason: "again" })).toMatchObject({
      created: false,
    });
    const found = await suppressedAmong(database.sql, workspaceId, { channel: "whatsapp", addresses: ["+919876543210", "+525512345678"] });
    expect([...found.keys()]).toEqual(["+525512345678"]);
    expect(found.get("+525512345678")).toMatchObject({ scope: "all", reason: "asked by phone", source: "api" });
  });

  test("also under the spelling WhatsApp reported", async () => {
    await database.sql`insert into suppression (workspace_id, channel, address, reason, source) values (${workspaceId}, 'whatsapp', '+5215512345678', 'STOP', 'receipt')`;
    expect((await suppressedAmong(database.sql, workspaceId, { channel: "whatsapp", addresses: ["+525512345678"] })).size).toBe(1);
    await lift(database.sql, workspaceId, { channel: "whatsapp", address: "+525512345678" });
    expect((await suppressedAmong(database.sql, workspaceId, { channel: "whatsapp", addresses: ["+525512345678"] })).size).toBe(0);
  });

  test("scopes and channels are apart", async () => {
    const address = "asha@example.com";
    await suppress(database.sql, workspaceId, { channel: "email", address: "Asha@Example.com", scope: "marketing", reason: "r", source: "api" });
    const ask = async (channel: "email" | "whatsapp") =>
      (await suppressedAmong(database.sql, workspaceId, { channel, addresses: [address] })).get(address)?.scope;
    expect([await ask("email"), await ask("whatsapp")]).toEqual(["marketing", undefined]);
    await suppress(database.sql, workspaceId, { channel: "email", address, reason: "r", source: "api" });
    expect(await ask("email")).toBe("all");
    await lift(database.sql, workspaceId, { channel: "email", address, scope: "all" });
    expect(await ask("email")).toBe("marketing");
  });

  test("they are listed page by page, of one workspace", async () => {
    for (let n = 0; n < 5; n++) await suppress(database.sql, workspaceId, { ...given, address: `+91987654321${n}` });
    await suppress(database.sql, workspaceId, { channel: "email", address: "a@x.com", reason: "r", source: "api" });
    const seen: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const page: Awaited<ReturnType<typeof listSuppressions>> = await listSuppressions(database.sql, workspaceId, { cursor, limit: 2 });
      seen.push(...page.items.map(({ address }) => address));
      if (page.nextCursor === null) break;
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(["a@x.com", ...Array.from({ length: 5 }, (_, n) => `+91987654321${n}`)]);
    expect((await listSuppressions(database.sql, workspaceId, { ...all, channel: "email" })).items.length).toBe(1);
    expect((await listSuppressions(database.sql, (await seedWorkspace(database.sql)).workspaceId, all)).items).toEqual([]);
    expect((await refusalOf(listSuppressions(database.sql, workspaceId, { cursor: "nonsense", limit: 2 }))).code).toBe("malformed");
  });

  test("what is no address is refused", async () => {
    expect(await refusalOf(suppress(database.sql, workspaceId, { ...given, address: "12345" }))).toMatchObject({
      code: "malformed",
      paths: ["address"],
    });
    expect(await refusalOf(suppress(database.sql, workspaceId, { ...given, address: " " }))).toMatchObject({ code: "malformed" });
    expect((await refusalOf(lift(database.sql, workspaceId, given))).code).toBe("not_found");
  });
});
