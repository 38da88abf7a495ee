import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { type Seeded, seedList, seedSegment, seedWorkspace, stopClock } from "../../../test/support/seed.ts";
import type { RefusalCode } from "../../rules/refusal.ts";
import { systemClock } from "../../runtime/clock.ts";
import { systemLuck } from "../../runtime/luck.ts";
import { type CreateDeps, createCampaign, type NewCampaign } from "./create.ts";

let database: FreshDatabase;
let deps: CreateDeps;
let town: Seeded;
beforeAll(async () => {
  database = await freshDatabase();
  deps = { sql: database.sql, clock: systemClock, luck: systemLuck, enlist: async () => [] };
  await stopClock(database.sql, "2026-03-01T12:00:00Z");
});
afterAll(() => database.drop());
beforeEach(async () => {
  town = await seedWorkspace(database.sql);
});

const text = (over: Partial<NewCampaign> = {}): NewCampaign => ({
  workspaceId: town.workspaceId,
  surface: "engine",
  name: "Spring",
  senderId: town.senderId,
  message: { type: "text", text: "Hi {{ firstName }}" },
  audience: { type: "all" },
  ...over,
});

async function addTemplate(name: string, language: string, { status = "APPROVED", body = "Hello" } = {}): Promise<void> {
  await database.sql`
    insert into template (workspace_id, id, sender_id, name, language, category, status, parameter_format, components)
    values (${town.workspaceId}, ${randomUUID()}, ${town.senderId}, ${name}, ${language}, 'MARKETING', ${status}, 'POSITIONAL',
      ${database.sql.json([{ type: "BODY", text: body }])})`;
}

/** Asks for the template in one language, which the sender has in another one only, or not as it should be. */
async function offer(language: string | undefined, has: string, template: { status?: string; body?: string } = {}): Promise<Partial<NewCampaign>> {
  await addTemplate("offer", has, template);
  return { message: { type: "template", name: "offer", language } };
}

const stored = async () => {
  const [row] = await database.sql<{ n: number }[]>`
    select (select count(*) from campaign) + (select count(*) from list) + (select count(*) from dispatch_count) + (select count(*) from pace) as n`;
  return row?.n;
};

describe("defaults", () => {
  test("of the engine surface are document 001's", async () => {
    const campaign = await createCampaign(text(), deps);
    expect(campaign).toMatchObject({
      state: "draft",
      engine: true,
      perMinute: 20,
      batchSize: 100,
      delayBetweenBatchesMs: 0,
      onDailyLimit: "wait",
      onUncertain: "hold",
      scheduleType: "manual",
      scheduledAt: null,
      totalRecipients: null,
      statement: null,
      counts: { accepted: 0, failed: 0, skipped: 0, uncertain: 0 },
    });
  });

  test("of the batch surface are document 004's; the sender is the workspace's first", async () => {
    await addTemplate("signup", "en");
    const campaign = await createCampaign(
      text({ surface: "batch", senderId: undefined, message: { type: "template", name: "signup" }, audience: { type: "csv" } }),
      deps,
    );
    expect(campaign).toMatchObject({
      state: "draft",
      engine: false,
      perMinute: 1_200,
      batchSize: null,
      onDailyLimit: "pause",
      senderId: town.senderId,
    });
    const [list] = await database.sql`select id from list where campaign_id = ${campaign.id}`;
    expect(campaign.audienceConfig.listId).toBe(list?.["id"]);
  });

  test("messagesPerMinute is the campaign's own door; null leaves the sender's only", async () => {
    const paced = await createCampaign(text({ throttle: { messagesPerMinute: 90 } }), deps);
    const free = await createCampaign(text({ throttle: { messagesPerMinute: null, batchSize: null, delayBetweenBatches: 5_000 } }), deps);
    expect(free).toMatchObject({ perMinute: null, batchSize: null, delayBetweenBatchesMs: 5_000 });
    const doors = await database.sql`select owner_id, per_second from pace where owner_id in (${paced.id}, ${free.id}) order by per_second`;
    expect([...doors]).toEqual([
      { ownerId: paced.id, perSecond: 1.5 },
      { ownerId: free.id, perSecond: null },
    ]);
  });
});

test.each(["   ", "\n\u200b\t", '{{ "" }}', "{% comment %}Hi{% endcomment %}", "{% if false %}Hi{% endif %}"])(
  "a text that prints nothing for anybody is refused (%j)",
  async (nothing) => {
    const refused = createCampaign(text({ message: { type: "text", text: nothing } }), deps);
    await expect(refused).rejects.toMatchObject({ code: "malformed", message: expect.stringContaining("The text is empty.") });
  },
);

describe("schedule", () => {
  test("now is due at once; scheduled at its time", async () => {
    const at = new Date("2026-03-02T08:00:00Z");
    expect(await createCampaign(text({ schedule: { type: "now" } }), deps)).toMatchObject({
      state: "scheduled",
      scheduledAt: new Date("2026-03-01T12:00:00Z"),
    });
    expect(await createCampaign(text({ schedule: { type: "scheduled", at } }), deps)).toMatchObject({ state: "scheduled", scheduledAt: at });
  });

  test("a csv campaign with a time stays a draft, for its file comes later", async () => {
    const at = new Date("2026-03-02T08:00:00Z");
    expect(await createCampaign(text({ audience: { type: "csv" }, schedule: { type: "scheduled", at } }), deps)).toMatchObject({
      state: "draft",
      scheduledAt: at,
    });
  });
});

describe("language of a template", () => {
  test.each([
    [
      "the only approved one",
      [
        ["hi", "APPROVED"],
        ["en_US", "REJECTED"],
      ],
      "hi",
    ],
    [
      "en_US when several are approved",
      [
        ["hi", "APPROVED"],
        ["en_US", "APPROVED"],
      ],
      "en_US",
    ],
  ] as const)("defaults to %s", async (_, languages, expected) => {
    for (const [language, status] of languages) await addTemplate("offer", language, { status });
    const { message } = await createCampaign(text({ message: { type: "template", name: "offer" } }), deps);
    expect(message).toEqual({ type: "template", name: "offer", language: expected, components: [] });
  });

  test("parameters are bound when the campaign is made", async () => {
    await addTemplate("offer", "en", { body: "Hi {{1}}, {{2}} off" });
    const { message } = await createCampaign(
      text({ message: { type: "template", name: "offer", components: { body: ["{{ firstName }}", "20%"] } } }),
      deps,
    );
    expect(message).toMatchObject({
      components: [
        {
          type: "body",
          parameters: [
            { type: "text", text: "{{ firstName }}" },
            { type: "text", text: "20%" },
          ],
        },
      ],
    });
  });
});

test("inline recipients go into the campaign's own list, in its transaction", async () => {
  const people = [{ phone: "+919000000001" }, { phone: "+919000000002" }];
  const lists: string[] = [];
  const enlist: CreateDeps["enlist"] = async (tx, list, given) => {
    expect(given).toEqual(people);
    lists.push(...(await tx<{ id: string }[]>`select id from list where id = ${list.listId}`).map(({ id }) => id));
    return [];
  };
  const campaign = await createCampaign(text({ audience: { type: "inline", recipients: people }, schedule: { type: "now" } }), { ...deps, enlist });
  expect(lists).toEqual([campaign.audienceConfig.listId]);
});

describe("is refused, and nothing is stored:", () => {
  const cases: [string, RefusalCode, string, () => Promise<Partial<NewCampaign>> | Partial<NewCampaign>][] = [
    ["a sender of another workspace", "not_found", "There is no sender", async () => ({ senderId: (await seedWorkspace(database.sql)).senderId })],
    [
      "a list of another workspace",
      "not_found",
      "There is no list",
      async () => ({ audience: { type: "list", listId: await seedList(database.sql, await seedWorkspace(database.sql), 1) } }),
    ],
    [
      "a segment of another workspace",
      "not_found",
      "There is no segment",
      async () => ({ audience: { type: "segment", segmentId: await seedSegment(database.sql, await seedWorkspace(database.sql)) } }),
    ],
    ["a campaign to leave out that is not there", "not_found", "There is no campaign", () => ({ exclude: { campaignIds: [randomUUID()] } })],
    ["an unclosed tag", "liquid_invalid", "cannot be understood as a template", () => ({ message: { type: "text", text: "Hi {{ firstName" } })],
    [
      "an unknown template",
      "template_unknown",
      "no template offer in language en_US. It has: none",
      () => ({ message: { type: "template", name: "offer" } }),
    ],
    ["another language", "template_unknown", "It has: offer in hi (APPROVED)", () => offer("de", "hi")],
    ["a rejected template", "template_not_approved", "offer (hi) is REJECTED", () => offer("hi", "hi", { status: "REJECTED" })],
    ["too few parameters", "template_parameters", "Template offer (hi)", () => offer(undefined, "hi", { body: "{{1}}" })],
    ["a time in the past", "malformed", "is in the past", () => ({ schedule: { type: "scheduled", at: new Date("2026-03-01T11:58:00Z") } })],
    [
      "an end before the beginning",
      "malformed",
      "nobody would be written to",
      () => ({ schedule: { type: "scheduled", at: new Date("2026-03-02T00:00:00Z") }, expiresAt: new Date("2026-03-01T13:00:00Z") }),
    ],
    ["a csv audience that starts now", "malformed", "uploaded afterwards", () => ({ audience: { type: "csv" }, schedule: { type: "now" } })],
  ];
  test.each(cases)("%s", async (_, code, cause, change) => {
    const input = text(await change());
    const before = await stored();
    await expect(createCampaign(input, deps)).rejects.toMatchObject({ code, message: expect.stringContaining(cause) });
    expect(await stored()).toBe(before);
  });

  test("an inline recipient who cannot be written to", async () => {
    const before = await stored();
    const enlist: CreateDeps["enlist"] = async () => [{ path: "1.phone", message: "12 is no phone number." }];
    const input = text({ audience: { type: "inline", recipients: [{ phone: "+919000000001" }, { phone: "12" }] } });
    await expect(createCampaign(input, { ...deps, enlist })).rejects.toMatchObject({
      code: "malformed",
      faults: [{ path: "audienceConfig.recipients.1.phone" }],
    });
    expect(await stored()).toBe(before);
  });

  test("a batch campaign in a workspace without a sender", async () => {
    await database.sql`update sender set deleted_at = campanile.clock() where id = ${town.senderId}`;
    await expect(createCampaign(text({ surface: "batch", senderId: undefined }), deps)).rejects.toMatchObject({ code: "sender_not_connected" });
  });

  test("a text through an e-mail sender", async () => {
    await database.sql`update sender set channel = 'email' where id = ${town.senderId}`;
    await expect(createCampaign(text(), deps)).rejects.toMatchObject({ code: "malformed", faults: [{ path: "messageType" }] });
  });
});
