import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { type Seeded, seedList, seedWorkspace } from "../../../test/support/seed.ts";
import { type CampaignState, campaignStates, transitions } from "../../rules/campaign-state.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemLuck } from "../../runtime/luck.ts";
import { assertDraft, pause, resume, start, stop } from "./control.ts";
import { type CreateDeps, createCampaign, type NewCampaign } from "./create.ts";
import type { CampaignRef } from "./deps.ts";
import { planNow } from "./plan.ts";
import { readCampaign } from "./read.ts";

let database: FreshDatabase;
let deps: CreateDeps;
let town: Seeded;
beforeAll(async () => {
  database = await freshDatabase({ max: 10 });
  deps = { sql: database.sql, clock: systemClock, luck: systemLuck, enlist: async () => [] };
});
afterAll(() => database.drop());
beforeEach(async () => {
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

/** A campaign that runs, with as many recipients. */
async function running(size: number, over: Partial<NewCampaign> = {}): Promise<CampaignRef> {
  const listId = await seedList(database.sql, town, size);
  const ref = await draft({ audience: { type: "list", listId }, schedule: { type: "now" }, ...over });
  await planNow(ref, deps);
  return ref;
}

const rowOf = async ({ id }: CampaignRef) =>
  (await database.sql`select state, epoch, last_seq, paused_at, pause_reason, completed_at from campaign where id = ${id}`)[0];
const eventNames = async ({ id }: CampaignRef) =>
  (await database.sql<{ name: string }[]>`select name from event where campaign_id = ${id} order by seq`).map(({ name }) => name);

/** Puts a campaign into a state without going through those before. */
async function put({ id }: CampaignRef, state: CampaignState, planned: boolean): Promise<void> {
  const statement = { recipients: 0, accepted: 0, failed: 0, skipped: {}, uncertain: 0, undelivered: 0 };
  const ended = state === "completed" || state === "stopped" || state === "failed";
  await database.sql`alter table campaign disable trigger campaign_legal_transition`;
  await database.sql`
    update campaign set state = ${state}, total_recipients = ${planned || ended ? 0 : null}, statement = ${ended ? database.sql.json(statement) : null},
      failure = ${state === "failed" ? "the reason" : null}, scheduled_at = campanile.clock() + interval '1 day' where id = ${id}`;
  await database.sql`alter table campaign enable trigger campaign_legal_transition`;
}

describe("transitions and actions", () => {
  const actions = {
    start: (ref: CampaignRef) => start(ref, { atOnce: false }, deps),
    pause: (ref: CampaignRef) => pause(ref, { reason: null }, deps),
    resume: (ref: CampaignRef) => resume(ref, { atOnce: false }, deps),
    stop: (ref: CampaignRef) => stop(ref, deps),
  };
  const cases = campaignStates.flatMap((state) =>
    [false, true]
      .filter((planned) => (planned ? !["draft", "scheduled", "preparing"].includes(state) : !["running", "completed"].includes(state)))
      .flatMap((planned) => (Object.keys(actions) as (keyof typeof actions)[]).map((action) => ({ state, planned, action }))),
  );

  test.each(cases)("$action of a campaign that is $state (planned: $planned)", async ({ state, planned, action }) => {
    const ref = await draft();
    await put(ref, state, planned);
    const expected = action === "resume" && state === "paused" && planned ? transitions.paused.run : transitions[state][action];
    if (expected !== undefined) {
      expect(await actions[action](ref)).toMatchObject({ id: ref.id, state: expected });
      const row = await rowOf(ref);
      expect(row).toMatchObject({ state: expected, epoch: action === "start" ? 0 : 1 });
      expect(row?.["pausedAt"] !== null).toBe(expected === "paused");
      expect(row?.["completedAt"] !== null).toBe(expected === "stopped");
    } else {
      const isRunning = action === "start" && (state === "running" || state === "preparing");
      const refusal = isRunning
        ? { code: "already_running", message: "Campaign is already running" }
        : { code: "transition_refused", message: `Campaign status is ${state}` };
      await expect(actions[action](ref)).rejects.toMatchObject(refusal);
      expect(await rowOf(ref)).toMatchObject({ state, epoch: 0, lastSeq: 0 });
    }
  });

  test("the database's table is the rule's table", async () => {
    const stored = await database.sql<{ fromState: string; toState: string }[]>`select from_state, to_state from campaign_transition`;
    const ruled = Object.entries(transitions).flatMap(([from, events]) => Object.values(events).map((to) => `${from} ${to}`));
    expect(stored.map(({ fromState, toState }) => `${fromState} ${toState}`).sort()).toEqual([...new Set(ruled)].sort());
  });

  test.each(campaignStates.flatMap((from) => campaignStates.map((to) => [from, to] as const)))(
    "the trigger lets %s become %s only when the rule does",
    async (from, to) => {
      const legal = from === to || Object.values(transitions[from]).includes(to);
      const ref = await draft();
      await put(ref, from, true);
      const change = database.sql`
      update campaign set state = ${to}, total_recipients = 0, failure = 'the reason', statement = case when ${to} = 'completed' then '{}'::jsonb end where id = ${ref.id}`;
      if (legal) await change;
      else await expect(change).rejects.toThrow(`${from} -> ${to} is not a legal transition`);
    },
  );
});

describe("fifty at once make one transition:", () => {
  const many = async (action: () => Promise<unknown>) => {
    const results = await Promise.allSettled(Array.from({ length: 50 }, action));
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused.filter(({ reason }) => !["already_running", "transition_refused"].includes(reason.code))).toEqual([]);
    return 50 - refused.length;
  };

  test("start, pause, resume, stop", async () => {
    const ref = await draft({ audience: { type: "list", listId: await seedList(database.sql, town, 3) } });
    expect(await many(() => start(ref, { atOnce: false }, deps))).toBe(1);
    await planNow(ref, deps);
    expect(await many(() => pause(ref, { reason: null }, deps))).toBe(1);
    expect(await many(() => resume(ref, { atOnce: false }, deps))).toBe(1);
    expect(await many(() => stop(ref, deps))).toBe(1);
    expect(await rowOf(ref)).toMatchObject({ state: "stopped", epoch: 3, lastSeq: 5 });
    expect(await eventNames(ref)).toEqual(["campaign:started", "campaign:paused", "campaign:resumed", "campaign:stopped", "campaign:progress"]);
  });
});

describe("pause", () => {
  test("says how many may be on their way: marked without an outcome, or handed over again", async () => {
    const ref = await running(1_000, { throttle: { batchSize: null, messagesPerMinute: null } });
    await database.sql`update lot set handed = 40, holder = gen_random_uuid(), lease_until = campanile.clock() where campaign_id = ${ref.id}`;
    await database.sql`
      insert into message (campaign_id, stage, position, attempt, state, provider_ref, at) select ${ref.id}, 1, n, 1, 'accepted', 'wamid.' || n, campanile.clock() from generate_series(1, 33) n`;
    await database.sql`
      insert into message (campaign_id, stage, position, attempt, state, at, token, lease_until) values (${ref.id}, 1, 34, 2, 'handing', campanile.clock(), gen_random_uuid(), campanile.clock())`;
    const paused = await pause(ref, { reason: "the shop is closed" }, deps);
    expect(paused).toMatchObject({ state: "paused", inFlight: 7, pausedAt: expect.any(Date) }); // 35 … 40, and 34 once more
    expect(await readCampaign(database.sql, ref)).toMatchObject({ pauseReason: "the shop is closed", pausedAt: paused.pausedAt });
  });
});

describe("resume", () => {
  const dueLots = async ({ id }: CampaignRef) =>
    (
      await database.sql<{ first: number; wait: number | null }[]>`
      select first, case when due_at < 'infinity' then ceil(extract(epoch from greatest(due_at - campanile.clock(), interval '0'))) end as wait from lot where campaign_id = ${id} order by first`
    ).map(({ first, wait }) => [first, wait]);

  test("lets lots that wait for a cap be tried again", async () => {
    const ref = await running(200);
    await database.sql`update lot set due_at = campanile.clock() + interval '20 hours' where campaign_id = ${ref.id}`;
    await pause(ref, { reason: "Daily limit reached: 200/200 conversations" }, deps);
    await resume(ref, { atOnce: false }, deps);
    expect(await dueLots(ref)).toEqual([
      [1, 0],
      [101, 0],
    ]);
  });

  test("keeps the delay between two batches, and the batches after them waiting", async () => {
    const ref = await running(300, { throttle: { batchSize: 100, delayBetweenBatches: 60_000 } });
    await database.sql`update lot set due_at = campanile.clock() + interval '20 hours' where campaign_id = ${ref.id} and first = 1`;
    await pause(ref, { reason: null }, deps);
    await resume(ref, { atOnce: false }, deps);
    expect(await dueLots(ref)).toEqual([
      [1, 60],
      [101, null],
      [201, null],
    ]);
  });

  test("leaves a lot that is held to its holder", async () => {
    const ref = await running(10);
    await database.sql`update lot set holder = gen_random_uuid(), lease_until = campanile.clock(), due_at = campanile.clock() + interval '2 hours' where campaign_id = ${ref.id}`;
    await pause(ref, { reason: null }, deps);
    await resume(ref, { atOnce: false }, deps);
    expect(await dueLots(ref)).toEqual([[1, 7_200]]);
  });

  test("is refused while the provider refuses the sender, in the provider's words", async () => {
    const ref = await running(1);
    await pause(ref, { reason: null }, deps);
    await database.sql`update sender set blocked_reason = 'The token has expired.' where id = ${town.senderId}`;
    await expect(resume(ref, { atOnce: false }, deps)).rejects.toMatchObject({
      code: "sender_blocked",
      message: expect.stringContaining("The token has expired."),
    });
    expect(await rowOf(ref)).toMatchObject({ state: "paused", epoch: 1 });
  });

  test("does not wait for a turn that waits for the campaign: lots are locked first", async () => {
    const ref = await running(10);
    await pause(ref, { reason: null }, deps);
    // A turn as dispatch takes it: its lot, then the campaign.
    const turn = database.sql.begin(async (tx) => {
      await tx`select 1 from lot where campaign_id = ${ref.id} for no key update`;
      const resumed = resume(ref, { atOnce: false }, deps);
      for (let waiting = 0; waiting === 0; )
        waiting =
          (
            await tx<{ n: number }[]>`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
          )[0]?.n ?? 0;
      await tx`select 1 from campaign where id = ${ref.id} for no key update`;
      return { resumed };
    });
    expect(await (await turn).resumed).toMatchObject({ state: "running" });
  });
});

describe("the batch surface", () => {
  test("plans before it answers: start → running, and nobody → completed", async () => {
    const ref = await draft({ surface: "batch", audience: { type: "list", listId: await seedList(database.sql, town, 30) } });
    expect(await start(ref, { atOnce: true }, deps)).toMatchObject({ state: "running" });
    const empty = await draft({ surface: "batch", audience: { type: "csv" } });
    expect(await start(empty, { atOnce: true }, deps)).toMatchObject({ state: "completed" });
    await expect(start(empty, { atOnce: true }, deps)).rejects.toMatchObject({ code: "transition_refused", details: { state: "completed" } });
  });

  test("a campaign that no engine drives is planned at once from the other surface too", async () => {
    const ref = await draft({ surface: "batch", audience: { type: "list", listId: await seedList(database.sql, town, 3) } });
    expect(await start(ref, { atOnce: false }, deps)).toMatchObject({ state: "running" });
  });
});

test("a draft with a time of its own keeps it while that lies ahead", async () => {
  const at = new Date("2099-01-01T00:00:00Z");
  const ref = await draft({ audience: { type: "csv" }, schedule: { type: "scheduled", at } });
  expect(await start(ref, { atOnce: true }, deps)).toEqual({ id: ref.id, state: "scheduled", scheduledAt: at });
});

describe("somebody else's campaign", () => {
  test.each([
    ["start", (ref: CampaignRef) => start(ref, { atOnce: true }, deps)],
    ["pause", (ref: CampaignRef) => pause(ref, { reason: null }, deps)],
    ["resume", (ref: CampaignRef) => resume(ref, { atOnce: true }, deps)],
    ["stop", (ref: CampaignRef) => stop(ref, deps)],
    ["assertDraft", (ref: CampaignRef) => assertDraft(database.sql, ref)],
    ["read", (ref: CampaignRef) => readCampaign(database.sql, ref)],
  ])("is not found by %s; nor is an id that is none", async (_, action) => {
    const { workspaceId } = await seedWorkspace(database.sql);
    const { id } = await draft();
    for (const foreign of [id, `cmp_${id}`, "cmp_1", "'; drop table campaign"]) {
      await expect(action({ workspaceId, id: foreign })).rejects.toMatchObject({ code: "campaign_not_found", details: { id: foreign } });
    }
    expect(await rowOf({ workspaceId, id })).toMatchObject({ state: "draft" });
  });

  test("both spellings name one's own", async () => {
    const ref = await draft();
    expect(await stop({ ...ref, id: `cmp_${ref.id}` }, deps)).toMatchObject({ id: ref.id });
  });
});

describe("adding to a draft", () => {
  test("is refused once it was started", async () => {
    const ref = await draft();
    await assertDraft(database.sql, ref);
    await start(ref, { atOnce: false }, deps);
    await expect(assertDraft(database.sql, ref)).rejects.toMatchObject({ code: "not_a_draft", message: expect.stringContaining("is scheduled") });
  });

  test("keeps a start waiting until it is committed", async () => {
    const ref = await draft({ audience: { type: "csv" } });
    const { audienceConfig } = await readCampaign(database.sql, ref);
    const other = await seedList(database.sql, town, 3);
    let started: Promise<unknown> = Promise.resolve();
    await database.sql.begin(async (tx) => {
      await assertDraft(tx, ref);
      started = start(ref, { atOnce: true }, deps);
      for (let waiting = 0; waiting === 0; )
        waiting =
          (
            await tx<{ n: number }[]>`select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
          )[0]?.n ?? 0;
      await tx`insert into list_member (workspace_id, list_id, contact_id) select workspace_id, ${audienceConfig.listId ?? null}, contact_id from list_member where list_id = ${other}`;
    });
    expect(await started).toMatchObject({ state: "running" });
    expect((await readCampaign(database.sql, ref)).totalRecipients).toBe(3);
  });
});
