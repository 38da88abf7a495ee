import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { type Seeded, seedList, seedWorkspace } from "../../../test/support/seed.ts";
import { type ContactValues, recipientVariables } from "../../rules/variables.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemLuck } from "../../runtime/luck.ts";
import { pause, resume, start, stop } from "./control.ts";
import { type CreateDeps, createCampaign, type NewCampaign } from "./create.ts";
import type { CampaignRef } from "./deps.ts";
import { planDue, planNow, planStep } from "./plan.ts";
import { readCampaign } from "./read.ts";

let database: FreshDatabase;
let deps: CreateDeps;
let town: Seeded;
beforeAll(async () => {
  database = await freshDatabase();
  deps = { sql: database.sql, clock: systemClock, luck: systemLuck, enlist: async () => [] };
});
afterAll(() => database.drop());
beforeEach(async () => {
  await database.sql`update campaign set deleted_at = campanile.clock()`; // planDue sees the campaigns of one test only
  town = await seedWorkspace(database.sql);
});

/** A campaign that is due. */
async function started(over: Partial<NewCampaign>): Promise<CampaignRef> {
  const { workspaceId, senderId } = town;
  const message = { type: "text", text: "Hi" } as const;
  const { id } = await createCampaign(
    { workspaceId, senderId, surface: "engine", name: "Spring", message, audience: { type: "all" }, schedule: { type: "now" }, ...over },
    deps,
  );
  return { workspaceId, id };
}

const recipients = async ({ id }: CampaignRef) =>
  (
    await database.sql<
      { position: number; address: string | null }[]
    >`select position, address from recipient where campaign_id = ${id} order by position`
  ).map((row) => row.address);
const lots = ({ id }: CampaignRef) =>
  database.sql`select first, last, handed, due_at < 'infinity' as due, holder from lot where campaign_id = ${id} order by first`;
const events = ({ id }: CampaignRef) =>
  database.sql<
    { seq: number; name: string; body: Record<string, unknown> }[]
  >`select seq, name, body from event where campaign_id = ${id} order by seq`;
/** Small chunks, so that a small audience has several. */
const chunks = { chunkMax: 100 };
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `+91${9_000_000_000 + from + i}`);

async function addContact(values: Partial<ContactValues>, listId?: string): Promise<string> {
  const id = randomUUID();
  await database.sql`
    insert into contact (workspace_id, id, phone, email, first_name, last_name, company, attributes)
    values (${town.workspaceId}, ${id}, ${values.phone ?? null}, ${values.email ?? null}, ${values.firstName ?? null}, ${values.lastName ?? null},
      ${values.company ?? null}, ${database.sql.json((values.attributes ?? {}) as never)})`;
  if (listId !== undefined)
    await database.sql`insert into list_member (workspace_id, list_id, contact_id) values (${town.workspaceId}, ${listId}, ${id})`;
  return id;
}

test("a due campaign is planned in one step when its audience is small", async () => {
  const listId = await seedList(database.sql, town, 250);
  const ref = await started({ audience: { type: "list", listId } });
  expect(await planDue(10, deps)).toBe(1);
  expect(await recipients(ref)).toEqual(numbers(1, 250));
  expect([...(await lots(ref))]).toEqual([
    { first: 1, last: 100, handed: 0, due: true, holder: null },
    { first: 101, last: 200, handed: 100, due: true, holder: null },
    { first: 201, last: 250, handed: 200, due: true, holder: null },
  ]);
  expect(await readCampaign(database.sql, ref)).toMatchObject({ state: "running", totalRecipients: 250, startedAt: expect.any(Date) });
  expect([...(await events(ref))]).toEqual([{ seq: 1, name: "campaign:started", body: { campaignId: ref.id, totalRecipients: 250 } }]);
  expect(await planDue(10, deps)).toBe(0);
});

test("with a delay between batches only the first lot is due", async () => {
  const listId = await seedList(database.sql, town, 25);
  const ref = await started({ audience: { type: "list", listId }, throttle: { batchSize: 10, delayBetweenBatches: 5_000 } });
  await planNow(ref, deps);
  expect((await lots(ref)).map(({ first, last, due }) => [first, last, due])).toEqual([
    [1, 10, true],
    [11, 20, false],
    [21, 25, false],
  ]);
});

test("a campaign whose time has not come is left alone", async () => {
  const ref = await started({ schedule: { type: "scheduled", at: new Date("2099-01-01T00:00:00Z") } });
  expect(await planDue(10, deps)).toBe(0);
  expect(await planNow(ref, deps)).toBe("scheduled");
});

describe("a planner that dies", () => {
  test("between two chunks is followed by one that goes on exactly where it stood", async () => {
    const listId = await seedList(database.sql, town, 12_000);
    const ref = await started({ audience: { type: "list", listId }, throttle: { batchSize: null } });
    expect(await planStep(ref, deps)).toBe("preparing");
    expect(await recipients(ref)).toHaveLength(5_000);
    // Meanwhile the last one planned is deleted, and the audience grows: neither confuses the cursor.
    await database.sql`delete from contact where id = (select contact_id from recipient where campaign_id = ${ref.id} and position = 5000)`;
    await addContact({ phone: "+919900000000" }, listId);
    expect(await planNow(ref, deps)).toBe("running");
    expect(await recipients(ref)).toEqual([...numbers(1, 12_000), "+919900000000"]);
    expect((await lots(ref)).map(({ first, last }) => [first, last])).toEqual([
      ...Array.from({ length: 12 }, (_, i) => [i * 1_000 + 1, i * 1_000 + 1_000]),
      [12_001, 12_001],
    ]);
  });

  test("inside a chunk leaves nothing of it", async () => {
    const listId = await seedList(database.sql, town, 10);
    const ref = await started({ audience: { type: "list", listId } });
    await database.sql`alter table lot add constraint planted check (first < 0) not valid`;
    await expect(planStep(ref, deps)).rejects.toThrow("planted");
    await expect(planDue(10, deps)).rejects.toThrow("planted");
    await database.sql`alter table lot drop constraint planted`;
    expect(await readCampaign(database.sql, ref)).toMatchObject({ state: "scheduled", totalRecipients: null });
    expect(await recipients(ref)).toEqual([]);
    expect(await planNow(ref, deps)).toBe("running");
  });
});

test("many planners plan one campaign once", async () => {
  const listId = await seedList(database.sql, town, 2_300);
  const ref = await started({ audience: { type: "list", listId } });
  const states = await Promise.all(Array.from({ length: 5 }, () => planNow(ref, deps, chunks)));
  expect(states).toEqual(Array(5).fill("running"));
  expect(await recipients(ref)).toEqual(numbers(1, 2_300));
  expect(await events(ref)).toHaveLength(1);
});

test("a pause between two chunks stops planning; resume goes on with it", async () => {
  const listId = await seedList(database.sql, town, 250);
  const ref = await started({ audience: { type: "list", listId } });
  await planStep(ref, deps, chunks);
  expect(await pause(ref, { reason: "lunch" }, deps)).toMatchObject({ state: "paused", inFlight: 0 });
  expect(await planStep(ref, deps)).toBe("paused");
  expect(await resume(ref, { atOnce: false }, deps)).toEqual({ id: ref.id, state: "scheduled" });
  expect(await planNow(ref, deps)).toBe("running");
  expect(await recipients(ref)).toEqual(numbers(1, 250));
});

test("a campaign stopped between two chunks accounts for those planned so far", async () => {
  const listId = await seedList(database.sql, town, 250);
  const ref = await started({ audience: { type: "list", listId } });
  await planStep(ref, deps, chunks);
  await stop(ref, deps);
  expect(await planStep(ref, deps)).toBe("stopped");
  expect((await readCampaign(database.sql, ref)).statement).toEqual({
    recipients: 100,
    accepted: 0,
    failed: 0,
    skipped: { stopped: 100 },
    uncertain: 0,
    undelivered: 0,
  });
});

describe("an address is written to once", () => {
  test("though several contacts have it, in one chunk or in two; who has none stays, to be skipped", async () => {
    const listId = await seedList(database.sql, town, 110);
    const mailbox = (email: string, last: number[]) =>
      database.sql`update contact set email = ${email} where workspace_id = ${town.workspaceId} and phone = any(${last.map((n) => numbers(n, n)[0] ?? "")})`;
    await mailbox("everybody@example.com", [2, 3, 105]);
    await mailbox("late@example.com", [106]);
    const ref = await started({ audience: { type: "list", listId } });
    await database.sql`update campaign set channel = 'email' where id = ${ref.id}`; // no e-mail message can be made so far
    expect(await planNow(ref, deps, chunks)).toBe("running");
    const found = await recipients(ref);
    expect(found).toHaveLength(108);
    expect(found.flatMap((address, i) => (address === null ? [] : [[i + 1, address]]))).toEqual([
      [2, "everybody@example.com"],
      [104, "late@example.com"],
    ]);
  });

  test("though a number moved to another contact while the campaign was planned", async () => {
    const listId = await seedList(database.sql, town, 101);
    const ref = await started({ audience: { type: "list", listId } });
    await planStep(ref, deps, chunks);
    await database.sql`update contact set phone = '+919999999999' where workspace_id = ${town.workspaceId} and phone = '+919000000001'`;
    await addContact({ phone: "+919000000001" }, listId);
    await planNow(ref, deps, chunks);
    expect(await recipients(ref)).toEqual(numbers(1, 101));
  });
});

test("the audience `all` is every contact of the workspace in the order of their making", async () => {
  await seedList(database.sql, await seedWorkspace(database.sql), 3);
  for (const n of [3, 1, 2]) await addContact({ phone: `+9190000000${n}0` });
  const ref = await started({ audience: { type: "all" } });
  await planNow(ref, deps);
  expect(await recipients(ref)).toEqual(["+919000000030", "+919000000010", "+919000000020"]);
});

test("`all` goes on by its cursor, contacts made at the same instant included", async () => {
  await seedList(database.sql, town, 250);
  await database.sql`update contact set created_at = '2026-01-01T00:00:00.123456Z' where workspace_id = ${town.workspaceId}`;
  const ref = await started({ audience: { type: "all" } });
  expect(await planNow(ref, deps, chunks)).toBe("running");
  expect([...(await recipients(ref))].sort()).toEqual(numbers(1, 250));
});

describe("a campaign that cannot run", () => {
  test("has nobody to write to: it completes with a warning and a statement of zeros", async () => {
    const ref = await started({ audience: { type: "all" } });
    expect(await planNow(ref, deps)).toBe("completed");
    const statement = { recipients: 0, accepted: 0, failed: 0, skipped: {}, uncertain: 0, undelivered: 0 };
    expect(await readCampaign(database.sql, ref)).toMatchObject({ state: "completed", totalRecipients: 0, statement });
    expect([...(await events(ref))]).toEqual([
      { seq: 1, name: "campaign:completed", body: { campaignId: ref.id, statement, warning: "No pending recipients for campaign" } },
    ]);
  });

  test("has a sender that was never connected: it fails with document 001's words", async () => {
    await addContact({ phone: "+919000000001" });
    const ref = await started({ audience: { type: "all" } });
    await database.sql`update sender set connected_at = null where id = ${town.senderId}`;
    expect(await planNow(ref, deps)).toBe("failed");
    expect(await readCampaign(database.sql, ref)).toMatchObject({
      failure: "WhatsApp account is not connected",
      totalRecipients: 0,
      statement: { recipients: 0 },
    });
    expect((await events(ref))[0]).toMatchObject({
      name: "campaign:failed",
      body: { campaignId: ref.id, error: "WhatsApp account is not connected" },
    });
  });

  test("has a sender that the provider refuses now: it pauses with the reason, and nobody is lost", async () => {
    await addContact({ phone: "+919000000001" });
    const ref = await started({ audience: { type: "all" } });
    await database.sql`update sender set blocked_reason = 'The token has expired.' where id = ${town.senderId}`;
    expect(await planNow(ref, deps)).toBe("paused");
    expect(await readCampaign(database.sql, ref)).toMatchObject({ state: "paused", pauseReason: "The token has expired.", totalRecipients: null });
  });

  test("had a sender that was deleted: it fails", async () => {
    const ref = await started({ audience: { type: "all" } });
    await database.sql`update sender set deleted_at = campanile.clock() where id = ${town.senderId}`;
    expect(await planNow(ref, deps)).toBe("failed");
  });
});

test("one campaign that cannot be planned does not keep another from it", async () => {
  const listId = await seedList(database.sql, town, 3);
  const broken = await started({ audience: { type: "list", listId } });
  const sound = await started({ audience: { type: "list", listId } });
  await database.sql`insert into lot (campaign_id, first, last, handed, due_at) values (${broken.id}, 1, 1, 0, campanile.clock())`;
  await expect(planDue(10, deps)).rejects.toThrow("lot_pkey");
  expect(await readCampaign(database.sql, sound)).toMatchObject({ state: "running" });
});

test("start answers at once; `atOnce` plans before it answers and completes what was interrupted", async () => {
  const listId = await seedList(database.sql, town, 150);
  const ref = await started({ audience: { type: "list", listId }, schedule: { type: "manual" } });
  expect(await start(ref, { atOnce: false }, deps)).toMatchObject({ state: "scheduled", scheduledAt: expect.any(Date) });
  await planStep(ref, deps, chunks); // … and the process ends here
  await expect(start(ref, { atOnce: false }, deps)).rejects.toMatchObject({ code: "already_running" });
  expect(await start(ref, { atOnce: true }, deps)).toMatchObject({ state: "running" });
  await expect(start(ref, { atOnce: true }, deps)).rejects.toMatchObject({ code: "already_running", message: "Campaign is already running" });
});

test("the variables that Postgres freezes are those of the rule, whatever a contact holds", async () => {
  const value = fc.oneof(
    fc.string(),
    fc.constantFrom("", " ", "\u00a0x\t", "\ufeff", "  two words "),
    fc.integer(),
    fc.boolean(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.constant(null),
    fc.constant([1]),
    fc.constant({ a: "b" }),
  );
  const clean = (text: string) => text.replaceAll("\0", "").replace(/\p{Surrogate}/gu, "");
  const name = fc
    .option(fc.oneof(fc.string(), fc.constantFrom("", "  ", "\u3000Ada\u2028", "José")), { nil: null })
    .map((text) => (text === null ? null : clean(text)));
  const attributes = fc
    .dictionary(fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom("firstName", "name", "city", "__proto__", "constructor")).map(clean), value)
    .map((found) => JSON.parse(JSON.stringify(found, (_, raw) => (typeof raw === "string" ? clean(raw) : Object.is(raw, -0) ? 0 : raw))));
  const contact = fc.record({ firstName: name, lastName: name, company: name, attributes, email: fc.constantFrom("a@example.com", null) });
  const contacts = fc.sample(contact, { numRuns: 500, seed: 7 }).map((values, i) => ({ ...values, phone: numbers(i + 1, i + 1)[0] ?? "" }));
  for (const one of contacts) await addContact(one);
  const ref = await started({ audience: { type: "all" } });
  await planNow(ref, deps);
  const frozen = await database.sql<
    { address: string; variables: Record<string, unknown> }[]
  >`select address, variables from recipient where campaign_id = ${ref.id}`;
  expect(frozen).toHaveLength(500);
  for (const one of contacts) {
    const row = frozen.find(({ address }) => address === one.phone);
    expect(Object.entries(row?.variables ?? {}).sort()).toEqual(Object.entries(recipientVariables(one)).sort());
  }
});
