import { randomUUID } from "node:crypto";
import { request } from "undici";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { chosenBy } from "../../src/flow/audience/chosen-store.ts";
import { deleteSegment, updateSegment } from "../../src/flow/audience/segments.ts";
import { pause, resume } from "../../src/flow/campaign/control.ts";
import { type CreateDeps, createCampaign, type NewCampaign } from "../../src/flow/campaign/create.ts";
import type { CampaignRef } from "../../src/flow/campaign/deps.ts";
import { duplicateCampaign } from "../../src/flow/campaign/duplicate.ts";
import { planNow, planStep } from "../../src/flow/campaign/plan.ts";
import { readCampaign, readStats } from "../../src/flow/campaign/read.ts";
import type { Filter } from "../../src/rules/segment.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { openProduct } from "../faults/product.ts";
import { type FreshDatabase, freshDatabase } from "../support/database.ts";
import { type Seeded, seedList, seedSegment, seedWorkspace } from "../support/seed.ts";

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const PEOPLE = 1_000;
const phone = (n: number) => `+9198${10_000_000 + n}`;
/** Every third lives in Pune, every tenth is a guest; whoever is between 100 and 199 is on the list of colleagues. */
const everybody = Array.from({ length: PEOPLE }, (_, n) => ({ n, pune: n % 3 === 0, guest: n % 10 === 0, colleague: n >= 100 && n < 200 }));

test("a thousand people: a campaign to a segment, without a list, a segment and whoever had the last one, reaches each of the others once", async () => {
  const { url, call, vendor, until } = await openProduct({ vendor: { seed: 7, mix: { successRate: 1, latencyMs: [1, 5] } } });
  const upload = async (people: typeof everybody, query: string) => {
    const rows = people.map(({ n, pune, guest }) => `${phone(n)},N${n},${pune ? "Pune" : "Delhi"},"${guest ? "new, guest" : "new"}"`);
    const headers = { authorization: "Bearer a-key-for-this-test", "content-type": "text/csv" };
    const body = ["phone,firstName,city,tags", ...rows].join("\n");
    const answer = await request(`${url}/api/v1/contacts/import${query}`, { method: "POST", headers, body });
    expect(answer.statusCode).toBe(201);
    return ((await answer.body.json()) as { data: { listId: string } }).data.listId;
  };
  await upload(everybody, "");
  const colleagues = await upload(
    everybody.filter((one) => one.colleague),
    "?list=Colleagues",
  );
  const segment = async (name: string, filter: object) => {
    const { status, body } = await call("POST", "/api/v1/segments", { name, filter });
    expect(status).toBe(201);
    return body.data.id as string;
  };
  const pune = await segment("Pune", { attribute: "city", op: "eq", value: "Pune" });
  const guests = await segment("Guests", { tag: "guest" });
  const { body: senders } = await call("GET", "/api/v1/senders");
  const launch = async (name: string, audience: object) => {
    const campaign = { accountId: senders.data[0].id, name, messageType: "text", messageContent: "Hi {{firstName}}", scheduleType: "now" };
    const { status, body } = await call("POST", "/api/v1/campaigns", { ...campaign, ...audience, throttleConfig: { messagesPerMinute: null } });
    expect(status).toBe(201);
    await until(async () => (await call("GET", `/api/v1/campaigns/${body.data.id}`)).body.data.status === "completed");
    return body.data.id as string;
  };
  const reached = async (id: string) => {
    const { recipients, accepted, duplicates } = { ...(await vendor.ledger(id)), recipients: await addresses(id) };
    expect({ accepted, duplicates }).toEqual({ accepted: recipients.length, duplicates: 0 });
    return recipients;
  };
  const addresses = async (id: string): Promise<string[]> => {
    const found: string[] = [];
    for (let cursor = ""; ; ) {
      const { body } = await call("GET", `/api/v1/campaigns/${id}/recipients?state=accepted&limit=500${cursor}`);
      found.push(...body.data.map(({ address }: { address: string }) => address));
      if (body.nextCursor === null) return found.sort();
      cursor = `&cursor=${body.nextCursor}`;
    }
  };
  const expected = (of: (one: (typeof everybody)[number]) => boolean) => everybody.filter(of).map(({ n }) => phone(n));

  const first = await launch("To guests of Pune", { audienceType: "segment", audienceConfig: { segmentId: guests } });
  expect(await reached(first)).toEqual(expected(({ guest }) => guest));

  const exclude = { listIds: [colleagues], campaignIds: [first] };
  const second = await launch("To Pune", { audienceType: "segment", audienceConfig: { segmentId: pune, exclude } });
  expect(await reached(second)).toEqual(expected((one) => one.pune && !one.colleague && !one.guest));
  const { body: read } = await call("GET", `/api/v1/campaigns/${second}`);
  expect(read.data).toMatchObject({ audienceType: "segment", audienceConfig: { segmentId: pune, exclude } });

  const third = await launch("To all others", { audienceType: "all", audienceConfig: { exclude: { segmentIds: [pune, guests] } } });
  expect(await reached(third)).toEqual(expected((one) => !one.pune && !one.guest));
  const fourth = await launch("To colleagues", { audienceType: "list", audienceConfig: { listId: colleagues, exclude: { segmentIds: [pune] } } });
  expect(await reached(fourth)).toEqual(expected((one) => one.colleague && !one.pune));
  const recipients = everybody.slice(0, 10).map(({ n }) => ({ phone: phone(n) }));
  const fifth = await launch("To ten", { audienceType: "inline", audienceConfig: { recipients, exclude: { segmentIds: [pune] } } });
  expect(await reached(fifth)).toEqual(expected((one) => one.n < 10 && !one.pune));

  // They are planned: nothing that happens to the segment matters to them.
  const { body: gone } = await call("DELETE", `/api/v1/segments/${pune}`);
  expect(gone.success).toBe(true);
  expect((await call("GET", `/api/v1/campaigns/${second}/stats`)).body.data.recipients).toBe((await reached(second)).length);
});

describe("planning", () => {
  let database: FreshDatabase;
  let deps: CreateDeps;
  let town: Seeded;
  beforeAll(async () => {
    database = await freshDatabase();
    deps = { sql: database.sql, clock: systemClock, luck: systemLuck, enlist: async () => [], chosenBy };
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    town = await seedWorkspace(database.sql);
  });

  const chunks = { chunkMax: 100 };
  const until400: Filter = { field: "phone", op: "in", value: Array.from({ length: 400 }, (_, n) => `+91${9_000_000_001 + n}`) };
  const nobody: Filter = { field: "firstName", op: "eq", value: "nobody" };
  async function made(over: Partial<NewCampaign>): Promise<CampaignRef> {
    const { workspaceId, senderId } = town;
    const message = { type: "text", text: "Hi" } as const;
    const { id } = await createCampaign(
      { workspaceId, senderId, surface: "engine", name: "Spring", message, audience: { type: "all" }, schedule: { type: "now" }, ...over },
      deps,
    );
    return { workspaceId, id };
  }
  const addresses = async ({ id }: CampaignRef) =>
    (await database.sql<{ address: string }[]>`select address from recipient where campaign_id = ${id} order by address`).map((row) => row.address);
  const inOrder = async ({ id }: CampaignRef) =>
    (await database.sql<{ contactId: string }[]>`select contact_id from recipient where campaign_id = ${id} order by position`).map(
      (row) => row.contactId,
    );

  test("takes a segment chunk by chunk in the order of its contacts, as it was when planning began", async () => {
    await seedList(database.sql, town, 1_000);
    const segmentId = await seedSegment(database.sql, town, until400);
    const ref = await made({ audience: { type: "segment", segmentId } });
    const segment = { workspaceId: town.workspaceId, id: segmentId };
    expect(await readStats(database.sql, ref, chosenBy)).toMatchObject({ recipients: 400, pending: 400 });
    await expect(deleteSegment(segment, deps)).rejects.toMatchObject({ code: "in_use" });
    expect(await planStep(ref, deps, chunks)).toBe("preparing");
    await updateSegment(segment, { filter: nobody }, deps);
    await planStep(ref, deps, chunks);
    await pause(ref, { reason: null }, deps);
    await deleteSegment(segment, deps);
    expect(await readStats(database.sql, ref, chosenBy)).toMatchObject({ recipients: 400 });
    await resume(ref, { atOnce: false }, deps);
    expect(await planNow(ref, deps, chunks)).toBe("running");
    expect(await addresses(ref)).toEqual([...until400.value].sort());
    const order = await inOrder(ref);
    expect(order).toEqual([...order].sort());
    expect(await readCampaign(database.sql, ref)).toMatchObject({ totalRecipients: 400 });
  });

  test("of a segment that was edited before takes it as it is now", async () => {
    await seedList(database.sql, town, 500);
    const segmentId = await seedSegment(database.sql, town, nobody);
    const ref = await made({ audience: { type: "segment", segmentId } });
    await updateSegment({ workspaceId: town.workspaceId, id: segmentId }, { filter: until400 }, deps);
    await planNow(ref, deps, chunks);
    expect(await addresses(ref)).toHaveLength(400);
  });

  test("leaves people out in every chunk, and a duplicate leaves out the same", async () => {
    const listId = await seedList(database.sql, town, 450);
    const few = await seedList(database.sql, town, 30);
    const exclude = { listIds: [few], segmentIds: [await seedSegment(database.sql, town, { field: "firstName", op: "eq", value: "Person 300" })] };
    const ref = await made({ audience: { type: "list", listId }, exclude, schedule: { type: "manual" } });
    const copy = await duplicateCampaign(ref, deps);
    expect(copy.totalRecipients).toBe(419);
    for (const id of [ref.id, copy.id]) {
      await database.sql`update campaign set state = 'scheduled', scheduled_at = campanile.clock() where id = ${id}`;
      await planNow({ ...ref, id }, deps, chunks);
      const planned = await addresses({ ...ref, id });
      expect(planned).toHaveLength(419);
      expect(planned).not.toContain("+919000000300");
      expect(planned[0]).toBe("+919000000031");
    }
  });

  test("of a duplicate leaves out whoever a campaign reached that was removed since", async () => {
    await seedList(database.sql, town, 20);
    const before = await made({});
    await planNow(before, deps);
    await database.sql`
      insert into message (campaign_id, stage, position, attempt, state, provider_ref, at)
      select campaign_id, 1, position, 1, 'accepted', address, campanile.clock() from recipient where campaign_id = ${before.id} and position <= 5`;
    const ref = await made({ exclude: { campaignIds: [before.id] }, schedule: { type: "manual" } });
    await database.sql`update campaign set deleted_at = campanile.clock() where id = ${before.id}`;
    expect((await duplicateCampaign(ref, deps)).totalRecipients).toBe(15);
    await expect(made({ exclude: { campaignIds: [before.id] } })).rejects.toMatchObject({ code: "not_found" });
  });

  test("of a segment nobody is in completes at once", async () => {
    await seedList(database.sql, town, 250);
    const ref = await made({ audience: { type: "segment", segmentId: await seedSegment(database.sql, town, nobody) } });
    expect(await planNow(ref, deps, chunks)).toBe("completed");
    expect(await readCampaign(database.sql, ref)).toMatchObject({ totalRecipients: 0 });
  });

  test("fails, and says so, when somebody took the segment away by hand", async () => {
    const segmentId = await seedSegment(database.sql, town);
    const ref = await made({ audience: { type: "segment", segmentId } });
    await database.sql`delete from segment where id = ${segmentId}`;
    expect((await readStats(database.sql, ref, chosenBy)).recipients).toBe(0);
    expect(await planNow(ref, deps)).toBe("failed");
    expect(await readCampaign(database.sql, ref)).toMatchObject({ failure: `Segment ${segmentId} was deleted.`, totalRecipients: 0 });
    await expect(duplicateCampaign(ref, deps)).rejects.toMatchObject({ code: "not_found" });
  });

  test("a segment is not deleted while a campaign to it is being made", async () => {
    const segmentId = await seedSegment(database.sql, town);
    const exclude = { segmentIds: [segmentId] };
    const [campaign, deletion] = await Promise.allSettled([
      made({ exclude, schedule: { type: "manual" } }),
      deleteSegment({ workspaceId: town.workspaceId, id: segmentId }, deps),
    ]);
    expect([campaign.status, deletion.status].sort()).toEqual(["fulfilled", "rejected"]);
    await expect(made({ exclude: { listIds: [randomUUID()] } })).rejects.toMatchObject({ code: "not_found" });
  });
});
