import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { type Seeded, seedList, seedWorkspace, stopClock } from "../../../test/support/seed.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemLuck } from "../../runtime/luck.ts";
import { start } from "./control.ts";
import { type CreateDeps, createCampaign, type NewCampaign } from "./create.ts";
import type { CampaignRef } from "./deps.ts";
import { listCampaigns, readCampaign, readProgress, readStats } from "./read.ts";
import { recipientStates } from "./recipient-store.ts";
import { listRecipients, readRecipient } from "./recipients.ts";

const NOON = "2026-03-01T12:00:00Z";

let database: FreshDatabase;
let deps: CreateDeps;
let town: Seeded;
beforeAll(async () => {
  database = await freshDatabase();
  deps = { sql: database.sql, clock: systemClock, luck: systemLuck, enlist: async () => [] };
});
afterAll(() => database.drop());
beforeEach(async () => {
  await stopClock(database.sql, NOON);
  town = await seedWorkspace(database.sql);
});

async function draft(over: Partial<NewCampaign> = {}): Promise<CampaignRef> {
  const { workspaceId, senderId } = town;
  const message = { type: "text", text: "Hi" } as const;
  const { id } = await createCampaign(
    { workspaceId, senderId, surface: "engine", name: "Spring", message, audience: { type: "all" }, ...over },
    deps,
  );
  return { workspaceId, id };
}

const at = (time: string) => new Date(`2026-03-01T${time}Z`);

/**
 * Twelve recipients in lots of five, as two engines left them: 1 accepted and read, 2 accepted and undelivered, 3 failed after two
 * attempts, 4 in doubt, 5 suppressed; 6 waits for a second attempt, 7 is on its way for the second time, 8 and 9 are marked, and
 * nobody has come to 10 … 12.
 */
async function underWay(): Promise<CampaignRef> {
  const { sql } = database;
  const ref = await draft({ audience: { type: "list", listId: await seedList(sql, town, 12) }, throttle: { batchSize: 5 } });
  await start(ref, { atOnce: true }, deps);
  await sql`delete from lot where campaign_id = ${ref.id} and first = 1`;
  await sql`update lot set handed = 9, holder = gen_random_uuid(), lease_until = campanile.clock() where campaign_id = ${ref.id} and first = 6`;
  const message = (position: number, row: Record<string, unknown>) =>
    sql`insert into message ${sql({ campaignId: ref.id, stage: 1, position, attempt: 1, at: at("12:01:00"), ...row } as never)}`;
  await message(1, { state: "accepted", providerRef: "wamid.1" });
  await message(2, { state: "accepted", providerRef: "wamid.2" });
  await message(3, { state: "failed", attempt: 2, code: "131026", cause: "Message undeliverable" });
  await message(4, { state: "uncertain", code: "timeout", cause: "No answer in 10 s." });
  await message(5, { state: "skipped", code: "suppressed", cause: "This address must not be written to." });
  await message(6, { state: "queued", attempt: 2, code: "130472", cause: "Try again.", dueAt: at("12:05:00") });
  await message(7, { state: "handing", attempt: 2, token: randomUUID(), leaseUntil: at("12:02:00") });
  for (const position of [3, 6, 7]) {
    await sql`insert into attempt (campaign_id, stage, position, attempt, outcome, code, cause, at) values (${ref.id}, 1, ${position}, 1, 'rejected', '131000', 'Something went wrong', ${at("12:00:30")})`;
  }
  const receipt = (position: number, kind: string, time: string, error: { code?: string; cause?: string } = {}) =>
    sql`insert into receipt ${sql({ campaignId: ref.id, stage: 1, position, attempt: 1, kind, at: at(time), ...error } as never)}`;
  await receipt(1, "delivered", "12:01:05");
  await receipt(1, "read", "12:03:00");
  await receipt(2, "failed", "12:01:09", { code: "131026", cause: "Message undeliverable" });
  await sql`insert into receipt_count (campaign_id, stage, kind, messages) values (${ref.id}, 1, 'sent', 1), (${ref.id}, 1, 'delivered', 1), (${ref.id}, 1, 'read', 1), (${ref.id}, 1, 'failed', 1)`;
  await sql`update dispatch_count set accepted = 2, failed = 1, skipped = 1, uncertain = 1 where campaign_id = ${ref.id}`;
  return ref;
}

describe("stats", () => {
  test("count outcomes, receipts and why messages failed, at once or later", async () => {
    expect(await readStats(database.sql, await underWay())).toEqual({
      recipients: 12,
      pending: 7,
      accepted: 2,
      failed: 1,
      skipped: { suppressed: 1 },
      uncertain: 1,
      sent: 2,
      delivered: 1,
      read: 1,
      replied: 0,
      undelivered: 1,
      deliveryRate: 50,
      readRate: 100,
      replyRate: 0,
      failureRate: 16.7,
      byCode: [{ code: "131026", count: 2, cause: "Message undeliverable" }],
      statement: null,
    });
  });

  test("are of one moment, also while outcomes are stored", async () => {
    const ref = await underWay();
    let reading: ReturnType<typeof readStats> | undefined;
    await database.sql.begin(async (tx) => {
      await tx`lock table message in access exclusive mode`;
      reading = readStats(database.sql, ref);
      await expect
        .poll(async () => (await tx`select 1 from pg_locks where not granted and relation = 'message'::regclass`).length)
        .toBeGreaterThan(0);
      const skipped = { state: "skipped", code: "expired", cause: "Too late.", attempt: 1, at: at("12:06:00") };
      for (const position of [10, 11, 12]) await tx`insert into message ${tx({ campaignId: ref.id, stage: 1, position, ...skipped } as never)}`;
      await tx`update dispatch_count set skipped = skipped + 3 where campaign_id = ${ref.id}`;
    });
    const stats = await reading;
    const sum = Object.values(stats?.skipped ?? {}).reduce((one, other) => one + other, 0);
    expect((stats?.pending ?? 0) + (stats?.accepted ?? 0) + (stats?.failed ?? 0) + (stats?.uncertain ?? 0) + sum).toBe(12);
  });

  test("of a draft show whom it would write to, and rates of nothing", async () => {
    const ref = await draft({ audience: { type: "list", listId: await seedList(database.sql, town, 40) } });
    expect(await readStats(database.sql, ref)).toMatchObject({
      recipients: 40,
      pending: 40,
      accepted: 0,
      skipped: {},
      deliveryRate: 0,
      failureRate: 0,
      byCode: [],
    });
    expect(await readStats(database.sql, await draft())).toMatchObject({ recipients: 40 });
  });
});

describe("recipients", () => {
  const states = async (ref: CampaignRef, state: (typeof recipientStates)[number] | null = null) =>
    (await listRecipients(database.sql, ref, { state, cursor: null, limit: 100 })).items.map((one) => [one.position, one.state, one.attempts]);

  test("have a state, and the attempts that were begun", async () => {
    expect(await states(await underWay())).toEqual([
      [1, "accepted", 1],
      [2, "accepted", 1],
      [3, "failed", 2],
      [4, "uncertain", 1],
      [5, "skipped", 0],
      [6, "pending", 1],
      [7, "handing", 2],
      [8, "handing", 1],
      [9, "handing", 1],
      [10, "pending", 0],
      [11, "pending", 0],
      [12, "pending", 0],
    ]);
  });

  test("of each state are those which have it in the whole list", async () => {
    const ref = await underWay();
    const all = await states(ref);
    for (const state of recipientStates) expect(await states(ref, state)).toEqual(all.filter(([, is]) => is === state));
  });

  test.each([null, ...recipientStates])("come page by page, nobody twice and nobody left out (%s)", async (state) => {
    const ref = await underWay();
    const found: number[] = [];
    let cursor: string | null = null;
    do {
      const page = await listRecipients(database.sql, ref, { state, cursor, limit: 2 });
      found.push(...page.items.map((one) => one.position));
      cursor = page.nextCursor;
    } while (cursor !== null);
    expect(found).toEqual((await listRecipients(database.sql, ref, { state, cursor: null, limit: 100 })).items.map((one) => one.position));
  });

  test("say what happened and when", async () => {
    const ref = await underWay();
    const { items } = await listRecipients(database.sql, ref, { state: null, cursor: null, limit: 6 });
    expect(items[0]).toMatchObject({
      address: "+919000000001",
      providerRef: "wamid.1",
      at: at("12:01:00"),
      reach: "read",
      receipts: { delivered: at("12:01:05"), read: at("12:03:00") },
    });
    expect(items[4]).toMatchObject({ reason: "suppressed", cause: "This address must not be written to.", reach: null, receipts: {} });
    expect(items[5]).toMatchObject({ reason: null, code: "130472", dueAt: at("12:05:00") });
  });

  test("are pending one and all while the campaign is being planned, and until it is", async () => {
    const ref = await draft({ audience: { type: "list", listId: await seedList(database.sql, town, 2) } });
    expect(await states(ref)).toEqual([]);
    await start(ref, { atOnce: true }, deps);
    await database.sql`delete from lot where campaign_id = ${ref.id}`; // as between two chunks
    expect(await states(ref, "pending")).toEqual([
      [1, "pending", 0],
      [2, "pending", 0],
    ]);
  });

  test("one has a timeline: why it is here, each attempt, each receipt", async () => {
    const ref = await underWay();
    const [list] = await database.sql<{ id: string; name: string }[]>`select id, name from list where workspace_id = ${town.workspaceId}`;
    expect(await readRecipient(database.sql, ref, "3")).toMatchObject({
      position: 3,
      state: "failed",
      variables: { firstName: "Person 3", name: "Person 3", phone: "+919000000003" },
      audience: { type: "list", listId: list?.id, listName: list?.name },
      attempts: [
        { attempt: 1, outcome: "rejected", code: "131000" },
        { attempt: 2, outcome: "rejected", code: "131026" },
      ],
      receipts: [],
    });
    expect(await readRecipient(database.sql, ref, "1")).toMatchObject({
      attempts: [{ attempt: 1, outcome: "accepted", providerRef: "wamid.1" }],
      receipts: [{ kind: "delivered" }, { kind: "read" }],
    });
    expect(await readRecipient(database.sql, ref, "12")).toMatchObject({ state: "pending", attempts: [], receipts: [] });
  });

  test("that do not exist, or not in this workspace, are not found", async () => {
    const ref = await underWay();
    for (const position of ["13", "0", "-1", "x", "99999999999"])
      await expect(readRecipient(database.sql, ref, position)).rejects.toMatchObject({ code: "not_found" });
    const { workspaceId } = await seedWorkspace(database.sql);
    await expect(readRecipient(database.sql, { ...ref, workspaceId }, "1")).rejects.toMatchObject({ code: "campaign_not_found" });
    await expect(listRecipients(database.sql, { ...ref, workspaceId }, { state: null, cursor: null, limit: 1 })).rejects.toMatchObject({
      code: "campaign_not_found",
    });
    await expect(listRecipients(database.sql, ref, { state: null, cursor: "x", limit: 1 })).rejects.toMatchObject({ code: "malformed" });
  });
});

describe("the list of campaigns", () => {
  test("pages from the newest on, within the workspace, without deleted ones", async () => {
    const ids: string[] = [];
    for (const hour of ["08", "09", "10", "11"]) {
      await stopClock(database.sql, `2026-03-01T${hour}:00:00Z`);
      ids.unshift((await draft()).id);
    }
    const same = await draft(); // made at the same instant as the newest
    await database.sql`update campaign set deleted_at = campanile.clock() where id = ${ids[2] ?? ""}`;
    const mine = town;
    town = await seedWorkspace(database.sql);
    await draft();
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await listCampaigns(database.sql, mine.workspaceId, { cursor, limit: 1 });
      found.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    } while (cursor !== null);
    const newest = [ids[0], same.id].sort().reverse();
    expect(found).toEqual([...newest, ids[1], ids[3]]);
    await expect(listCampaigns(database.sql, mine.workspaceId, { cursor: "1", limit: 1 })).rejects.toMatchObject({ code: "malformed" });
  });
});

describe("progress", () => {
  test("counts who has an outcome; 100 only when everybody has", async () => {
    const { campaign, counters } = await readProgress(database.sql, await underWay());
    expect(campaign).toMatchObject({ state: "running", totalRecipients: 12 });
    expect(counters).toEqual({ recipients: 12, pending: 7, accepted: 2, failed: 1, skipped: 1, uncertain: 1, progress: 41.6 });
  });

  const open = (times: string[]) => database.sql`
    insert into opening (scope_id, address, last_at) select ${town.scopeId}, '+91' || n, a::timestamptz from unnest(${times}::text[]) with ordinality as t (a, n)`;
  const limit = async () => (await readProgress(database.sql, await draft())).dailyLimit;

  test("shows the cap as it is now: openings of the last 24 hours", async () => {
    expect(await limit()).toEqual({ used: 0, cap: 200, nextFreeAt: null });
    await database.sql`update cap_scope set cap = 2, used = 3 where id = ${town.scopeId}`; // used: as the last turn left it
    await open(["2026-02-28T12:00:00Z", "2026-02-28T12:00:01Z"]);
    expect(await limit()).toEqual({ used: 1, cap: 2, nextFreeAt: null });
    await database.sql`insert into opening (scope_id, address, last_at) values (${town.scopeId}, '+917', '2026-03-01T11:00:00Z')`;
    expect(await limit()).toEqual({ used: 2, cap: 2, nextFreeAt: at("12:00:01") });
  });

  test("or of the calendar day where that is how the cap counts", async () => {
    await database.sql`update cap_scope set cap = 1, calendar_zone = 'Asia/Kolkata' where id = ${town.scopeId}`;
    await open(["2026-02-28T18:29:59Z", "2026-02-28T18:30:01Z"]);
    expect(await limit()).toEqual({ used: 1, cap: 1, nextFreeAt: at("18:30:00") });
  });

  test("a sender without a cap has none to show", async () => {
    await database.sql`update cap_scope set cap = null where id = ${town.scopeId}`;
    expect(await limit()).toEqual({ used: 0, cap: null, nextFreeAt: null });
  });
});

test("a campaign reads as it was made", async () => {
  const ref = await draft({ variables: { shop: "Town", first_name: "kept" }, expiresAt: at("18:00:00") });
  expect(await readCampaign(database.sql, ref)).toMatchObject({
    ...ref,
    name: "Spring",
    variables: { shop: "Town", first_name: "kept" },
    expiresAt: at("18:00:00"),
    createdAt: at("12:00:00"),
  });
});
