import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { type Seeded, seedList, seedWorkspace } from "../../../test/support/seed.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemLuck } from "../../runtime/luck.ts";
import { closeDue, closeRest } from "./close.ts";
import { start, stop } from "./control.ts";
import { type CreateDeps, createCampaign } from "./create.ts";
import type { CampaignRef } from "./deps.ts";
import { planNow } from "./plan.ts";
import { readCampaign } from "./read.ts";
import { fail } from "./store.ts";

let database: FreshDatabase;
let deps: CreateDeps;
let town: Seeded;
beforeAll(async () => {
  database = await freshDatabase();
  deps = { sql: database.sql, clock: systemClock, luck: systemLuck, enlist: async () => [] };
});
afterAll(() => database.drop());
beforeEach(async () => {
  town = await seedWorkspace(database.sql);
});

async function running(size: number, batchSize: number | null = 100): Promise<CampaignRef> {
  const { workspaceId, senderId } = town;
  const listId = await seedList(database.sql, town, size);
  const message = { type: "text", text: "Hi" } as const;
  const { id } = await createCampaign(
    { workspaceId, senderId, surface: "engine", name: "Spring", message, audience: { type: "list", listId }, throttle: { batchSize } },
    deps,
  );
  await start({ workspaceId, id }, { atOnce: true }, deps);
  return { workspaceId, id };
}

/** What an engine would have written: outcomes of the positions from … to, and their counters. */
async function outcome({ id }: CampaignRef, [from, to]: [number, number], state: string, attempt = 1): Promise<void> {
  const counted = state === "accepted" || state === "failed" || state === "uncertain";
  await database.sql`
    insert into message (campaign_id, stage, position, attempt, state, code, provider_ref, at, due_at, token, lease_until)
    select ${id}, 1, n, ${attempt}, ${state}, case when ${state} = 'failed' then '131026' end, case when ${state} = 'accepted' then 'wamid.' || n end, campanile.clock(),
      case when ${state} = 'queued' then campanile.clock() end, case when ${state} = 'handing' then gen_random_uuid() end, case when ${state} = 'handing' then campanile.clock() end
    from generate_series(${from}::int, ${to}::int) n`;
  if (counted)
    await database.sql`update dispatch_count set ${database.sql(state)} = ${database.sql(state)} + ${to - from + 1} where campaign_id = ${id}`;
}

/** The lot that begins at `first` as its holder left it. */
const lot = ({ id }: CampaignRef, first: number, { handed, held }: { handed: number; held: boolean }) => database.sql`
  update lot set handed = ${handed}, holder = ${held ? database.sql`gen_random_uuid()` : null}, lease_until = ${held ? database.sql`campanile.clock()` : null}
  where campaign_id = ${id} and first = ${first}`;

const statement = async (ref: CampaignRef) => (await readCampaign(database.sql, ref)).statement;
const counters = async (ref: CampaignRef) => (await readCampaign(database.sql, ref)).counts;
const lots = async ({ id }: CampaignRef) =>
  (await database.sql<{ first: number }[]>`select first from lot where campaign_id = ${id} order by first`).map(({ first }) => first);

test("stop closes everybody who was not marked as a row, and the statement adds up", async () => {
  const ref = await running(1_000);
  await lot(ref, 1, { handed: 100, held: false });
  await outcome(ref, [1, 90], "accepted");
  await outcome(ref, [91, 96], "failed");
  await outcome(ref, [97, 98], "queued", 2);
  await outcome(ref, [99, 100], "uncertain");
  expect(await stop(ref, deps)).toMatchObject({ state: "stopped", inFlight: 0 });
  expect(await statement(ref)).toEqual({ recipients: 1_000, accepted: 90, failed: 6, skipped: { stopped: 902 }, uncertain: 2, undelivered: 0 });
  expect(await counters(ref)).toEqual({ accepted: 90, failed: 6, skipped: 902, uncertain: 2 });
  expect(await lots(ref)).toEqual([]);
  const cause = "The campaign was stopped before this message was sent.";
  expect([...(await database.sql`select attempt, code, cause, due_at from message where campaign_id = ${ref.id} and position in (98, 101)`)]).toEqual(
    [
      { attempt: 2, code: "stopped", cause, dueAt: null },
      { attempt: 1, code: "stopped", cause, dueAt: null },
    ],
  );
});

describe("what is in flight when a campaign is stopped", () => {
  test("stays open until its holder settles it; only then is there a statement", async () => {
    const ref = await running(300);
    await lot(ref, 1, { handed: 60, held: true });
    await lot(ref, 101, { handed: 110, held: true });
    await outcome(ref, [1, 55], "accepted");
    await outcome(ref, [101, 110], "accepted");
    expect(await stop(ref, deps)).toMatchObject({ inFlight: 5 });
    expect(await statement(ref)).toBeNull();
    expect(await counters(ref)).toEqual({ accepted: 65, failed: 0, skipped: 230, uncertain: 0 });
    expect(await lots(ref)).toEqual([1, 101]); // held: their holders close them

    // The holder gives back 58 … 60, which it had not begun, and settles the others.
    await outcome(ref, [56, 57], "accepted");
    await lot(ref, 1, { handed: 57, held: false });
    await lot(ref, 101, { handed: 110, held: false });
    expect(await closeDue(10, deps)).toBeGreaterThan(0);
    expect(await statement(ref)).toEqual({ recipients: 300, accepted: 67, failed: 0, skipped: { stopped: 233 }, uncertain: 0, undelivered: 0 });
    expect(await lots(ref)).toEqual([]);
    expect(await closeDue(10, deps)).toBe(0);
  });

  test("a message that is handed over again stays open too", async () => {
    const ref = await running(10);
    await lot(ref, 1, { handed: 10, held: false });
    await outcome(ref, [1, 9], "accepted");
    await outcome(ref, [10, 10], "handing", 2);
    expect(await stop(ref, deps)).toMatchObject({ inFlight: 1 });
    expect(await closeDue(10, deps)).toBe(0);
    await database.sql`update message set state = 'queued', due_at = campanile.clock(), token = null, lease_until = null where campaign_id = ${ref.id} and position = 10`;
    await closeDue(10, deps);
    expect(await statement(ref)).toMatchObject({ accepted: 9, skipped: { stopped: 1 } });
  });
});

test("a large campaign is closed in parts: what stop leaves is the loop's", async () => {
  const ref = await running(12_000, null);
  await database.sql`update campaign set state = 'stopped', completed_at = campanile.clock() where id = ${ref.id}`;
  expect(await closeRest(ref.id, { chunksMax: 1 }, deps)).toBe(1);
  expect(await counters(ref)).toMatchObject({ skipped: 5_000 });
  expect(await statement(ref)).toBeNull();
  expect(await closeRest(ref.id, { chunksMax: 20 }, deps)).toBe(3); // two chunks and the statement
  expect(await statement(ref)).toMatchObject({ recipients: 12_000, skipped: { stopped: 12_000 } });
});

test("many who close one campaign count nobody twice", async () => {
  const ref = await running(3_000);
  await database.sql`update campaign set state = 'stopped', completed_at = campanile.clock() where id = ${ref.id}`;
  await Promise.all(Array.from({ length: 5 }, () => closeRest(ref.id, { chunksMax: 20 }, deps)));
  expect(await counters(ref)).toEqual({ accepted: 0, failed: 0, skipped: 3_000, uncertain: 0 });
  expect(await statement(ref)).toMatchObject({ skipped: { stopped: 3_000 } });
});

test("a failed campaign closes as campaign_failed", async () => {
  const ref = await running(5);
  await database.sql`update campaign set state = 'failed', failure = 'The template was deleted.', completed_at = campanile.clock() where id = ${ref.id}`;
  expect(await fail(database.sql, ref.id, "again")).toHaveLength(0);
  await closeDue(10, deps);
  expect(await statement(ref)).toMatchObject({ recipients: 5, skipped: { campaign_failed: 5 } });
});

test("a draft that is stopped had nobody: zeros", async () => {
  const { workspaceId, senderId } = town;
  const message = { type: "text", text: "Hi" } as const;
  const { id } = await createCampaign({ workspaceId, senderId, surface: "engine", name: "Spring", message, audience: { type: "all" } }, deps);
  await stop({ workspaceId, id }, deps);
  expect(await readCampaign(database.sql, { workspaceId, id })).toMatchObject({ totalRecipients: 0, statement: { recipients: 0, skipped: {} } });
});

test("a statement that would not add up is never given; others are closed all the same", async () => {
  const wrong = await running(3);
  await database.sql`update dispatch_count set accepted = 3 where campaign_id = ${wrong.id}`; // three who have no row
  await database.sql`update campaign set state = 'stopped', completed_at = campanile.clock() where id = ${wrong.id}`;
  const right = await running(3);
  await database.sql`update campaign set state = 'stopped', completed_at = campanile.clock() where id = ${right.id}`;
  await expect(closeDue(10, deps)).rejects.toThrow(/does not add up: .* = 0, of 3 recipients/);
  expect(await statement(wrong)).toBeNull();
  expect(await statement(right)).toMatchObject({ recipients: 3 });
  await expect(planNow(right, deps)).resolves.toBe("stopped");
});
