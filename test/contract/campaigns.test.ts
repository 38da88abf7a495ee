import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { Campaign, CampaignEvent, CampaignStats, Duplicated, Paused, Resumed, Started, Stopped } from "../../src/contract/campaign.ts";
import { Recipient, RecipientsAdded, RecipientTimeline } from "../../src/contract/recipient.ts";
import { answerOf, listOf, Problem } from "../../src/contract/wire.ts";
import { type Door, openDoor } from "../support/door.ts";
import { rehearsalSender } from "../support/rehearsal-sender.ts";

let door: Door;
let accountId: string;
beforeAll(async () => {
  door = await openDoor();
  accountId = await rehearsalSender(door.database.sql, door.workspaceId);
});
afterAll(() => door.close());

const text = { messageType: "text", messageContent: 'Hi {{ firstName | default: "there" }}' };
const draft = (changes: object = {}) => ({
  accountId,
  name: "Product Launch Campaign",
  ...text,
  audienceType: "csv",
  scheduleType: "manual",
  ...changes,
});
const post = (path: string, payload?: object) => door.ask("POST", `/api/v1/campaigns${path}`, payload === undefined ? {} : { payload });

async function create(changes: object = {}) {
  const answer = await post("", draft(changes));
  expect(answer.statusCode, answer.body).toBe(201);
  return answerOf(Campaign).parse(answer.json()).data;
}

const refusalOf = async (answer: ReturnType<typeof post>) => Problem.parse((await answer).json());

test("a campaign is answered as it was asked for, with the defaults filled in", async () => {
  const throttleConfig = { messagesPerMinute: 20, batchSize: 100, delayBetweenBatches: 5000 };
  const campaign = await create({ throttleConfig, templateVariables: { discount: 10 } });
  expect(campaign).toMatchObject({
    name: "Product Launch Campaign",
    status: "draft",
    accountId,
    ...text,
    template: null,
    throttleConfig,
    templateVariables: { discount: 10 },
    onUncertain: "hold",
    onDailyLimit: "wait",
    scheduledAt: null,
    scheduled_at: null,
    total_recipients: null,
  });
  const read = await door.ask("GET", `/api/v1/campaigns/${campaign.id}`);
  expect(answerOf(Campaign).parse(read.json()).data).toEqual(campaign);
});

describe("control answers in the words of the document", () => {
  test("start, pause, resume, stop", async () => {
    const { id } = await create();
    await door.ask("POST", `/api/v1/campaigns/${id}/recipients`, { payload: "919876543210\n", headers: { "content-type": "text/csv" } });
    const started = await post(`/${id}/start`);
    expect(started.statusCode).toBe(200);
    expect(Started.parse(started.json())).toMatchObject({ message: "Campaign started successfully", data: { id, status: "scheduled" } });
    expect(Object.keys(started.json())).toEqual(["success", "message", "data"]);
    const again = await post(`/${id}/start`);
    expect(again.statusCode).toBe(400);
    expect(Problem.parse(again.json()).message).toBe("Campaign is already running");
    expect(Paused.parse((await post(`/${id}/pause`)).json())).toMatchObject({
      message: "Campaign paused successfully",
      data: { id, status: "paused", inFlight: 0 },
    });
    expect(Resumed.parse((await post(`/${id}/resume`)).json())).toEqual({
      success: true,
      message: "Campaign resumed successfully",
      data: { id, status: "scheduled" },
    });
    expect(Stopped.parse((await post(`/${id}/stop`)).json()).data).toMatchObject({ id, status: "stopped" });
    expect(await refusalOf(post(`/${id}/resume`))).toMatchObject({ status: 409, message: "Campaign status is stopped" });
  });

  test("a client that sends the JSON header and no body is understood", async () => {
    const { id } = await create();
    const answer = await door.ask("POST", `/api/v1/campaigns/${id}/start`, { headers: { "content-type": "application/json" } });
    expect(answer.statusCode).toBe(200);
  });
});

test.each([
  ["no message", { messageContent: undefined }, ["messageContent"]],
  ["a template beside a text", { template: { name: "welcome" } }, ["template"]],
  ["a list without its id", { audienceType: "list" }, ["audienceConfig.listId"]],
  ["a field of another audience", { audienceConfig: { listId: "12345678-1234-4234-8234-123456789abc" } }, ["audienceConfig.listId"]],
  ["a segment without its id", { audienceType: "segment" }, ["audienceConfig.segmentId"]],
  [
    "nobody to leave out",
    { audienceConfig: { exclude: { segmentIds: ["x"], people: [] } } },
    ["audienceConfig.exclude.people", "audienceConfig.exclude.segmentIds[0]"],
  ],
  ["no instant", { scheduleType: "scheduled" }, ["scheduledAt"]],
  ["an instant without an offset", { scheduleType: "scheduled", scheduledAt: "2026-03-01T09:00:00" }, ["scheduledAt"]],
  ["a batch of 0", { throttleConfig: { batchSize: 0 } }, ["throttleConfig.batchSize"]],
  ["a pace of next to nothing", { throttleConfig: { messagesPerMinute: 1e-300 } }, ["throttleConfig.messagesPerMinute"]],
  ["a text of blanks", { messageContent: "   " }, ["messageContent"]],
  ["a number that has lost digits", { templateVariables: { order: 2 ** 53 } }, ["templateVariables.order"]],
  [
    "a recipient's number that has lost digits",
    { audienceType: "inline", audienceConfig: { recipients: [{ phone: "+919876543210", attributes: { order: -(2 ** 53) } }] } },
    ["audienceConfig.recipients[0].attributes.order"],
  ],
  ["a misspelt limit", { throttleConfig: { batchsize: 5 } }, ["throttleConfig.batchsize"]],
  ["two mistakes", { name: "", onUncertain: "guess" }, ["name", "onUncertain"]],
])("%s is refused at its field", async (_what, changes, paths) => {
  const problem = await refusalOf(post("", draft(changes)));
  expect(problem).toMatchObject({ status: 400, code: "malformed" });
  expect(problem.errors?.map(({ path }) => path).sort()).toEqual([...paths].sort());
});

test("a limit says what it is", async () => {
  const causes = async (changes: object) => (await refusalOf(post("", draft(changes)))).errors?.map(({ message }) => message).join();
  expect(await causes({ throttleConfig: { messagesPerMinute: 0 } })).toContain("at least 0.01");
  expect(await causes({ templateVariables: { order: 12345678901234567000 } })).toContain("send it as text");
});

test("a CSV's bad first line is told, and is no empty file", async () => {
  for (const [file, inserted] of [
    ["12345\n919811100006\n", 1],
    ["Rakesh\n919811100006\n", 1],
    ["12345\n", 0],
  ] as const) {
    const { id } = await create();
    const answer = await door.ask("POST", `/api/v1/campaigns/${id}/recipients`, { payload: file, headers: { "content-type": "text/csv" } });
    const { data } = answerOf(RecipientsAdded).parse(answer.json());
    expect(data).toMatchObject({ inserted, rejectedCount: 1, rejected: [{ line: 1, value: file.split("\n")[0] }] });
  }
});

test.each([
  ["a template with an unclosed tag", { messageContent: "Hi {{ firstName" }, 422, "liquid_invalid"],
  ["an unknown sender", { accountId: "12345678-1234-4234-8234-123456789abc" }, 404, "not_found"],
  ["an unknown template", { messageType: "template", messageContent: undefined, template: { name: "nothing" } }, 422, "template_unknown"],
])("%s is refused with its cause", async (_what, changes, status, code) => {
  expect(await refusalOf(post("", draft(changes)))).toMatchObject({ status, code });
});

test("nothing of a refused campaign is stored", async () => {
  const [before] = await door.database.sql`select count(*)::int as n from campaign`;
  await post("", draft({ messageContent: "Hi {{ firstName" }));
  await post("", draft({ name: "" }));
  expect((await door.database.sql`select count(*)::int as n from campaign`)[0]).toEqual(before);
});

test("the same Idempotency-Key makes one campaign, also when the process died before it could keep its answer", async () => {
  const send = () => door.ask("POST", "/api/v1/campaigns", { headers: { "idempotency-key": "launch" }, payload: draft({ name: "Once" }) });
  const first = await send();
  expect((await send()).body).toBe(first.body);
  const { id } = first.json().data;
  await door.database.sql`
    update idempotency set status = null, answer = to_jsonb(${id}::text), created_at = created_at - interval '2 minutes' where key = 'launch'`;
  const third = await send();
  expect(third.statusCode).toBe(201);
  expect(third.json().data.id).toBe(id);
  expect((await door.database.sql`select count(*)::int as n from campaign where name = 'Once'`)[0]).toEqual({ n: 1 });
});

test("lists page by an opaque cursor, the newest first", async () => {
  const made = [];
  for (const name of ["a", "b", "c"]) made.push((await create({ name })).id);
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const answer = await door.ask("GET", `/api/v1/campaigns?limit=2${cursor === null ? "" : `&cursor=${cursor}`}`);
    const page = listOf(Campaign).parse(answer.json());
    expect(page.data.length).toBeLessThanOrEqual(2);
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.nextCursor;
  } while (cursor !== null);
  expect(seen.slice(0, 3)).toEqual(made.reverse());
  expect(new Set(seen).size).toBe(seen.length);
  expect((await door.ask("GET", "/api/v1/campaigns?cursor=nonsense")).statusCode).toBe(400);
  expect((await door.ask("GET", "/api/v1/campaigns?limit=0")).statusCode).toBe(400);
});

describe("recipients", () => {
  const people = [
    { phone: "+919876543210", firstName: "Asha", attributes: { plan: "gold" } },
    { phone: "+919876543211", firstName: "=HYPERLINK(1)" },
    { phone: "12" },
  ];

  async function sent() {
    const { id } = await create({ throttleConfig: { messagesPerMinute: null } });
    const added = await post(`/${id}/recipients`, people);
    expect(added.statusCode, added.body).toBe(200);
    expect(answerOf(RecipientsAdded).parse(added.json()).data).toMatchObject({ inserted: 2, rejectedCount: 1 });
    await door.ask("POST", `/api/campaigns/${id}/control`, { payload: { action: "start" } });
    await door.ask("POST", `/api/campaigns/${id}/execute-batch`);
    return id;
  }

  test("are uploaded as JSON, listed, told one by one, exported and counted", async () => {
    const id = await sent();
    const list = listOf(Recipient).parse((await door.ask("GET", `/api/v1/campaigns/${id}/recipients?state=accepted`)).json());
    expect(list.data.map(({ position, address }) => [position, address])).toEqual([
      [1, "+919876543210"],
      [2, "+919876543211"],
    ]);
    const one = answerOf(RecipientTimeline).parse((await door.ask("GET", `/api/v1/campaigns/${id}/recipients/1`)).json()).data;
    expect(one).toMatchObject({ state: "accepted", variables: { firstName: "Asha", plan: "gold" } });
    expect(one.attempts).toHaveLength(1);
    const csv = await door.ask("GET", `/api/v1/campaigns/${id}/recipients.csv`);
    expect(csv.headers["content-type"]).toBe("text/csv; charset=utf-8");
    const [head, first] = csv.body.split("\r\n");
    expect(head).toMatch(/^position,address,state,/);
    expect(first).toMatch(/^1,"'\+919876543210",accepted,/);
    const stats = answerOf(CampaignStats).parse((await door.ask("GET", `/api/v1/campaigns/${id}/stats`)).json()).data;
    expect(stats).toMatchObject({ recipients: 2, pending: 0, accepted: 2, sent: 2, delivered: 0, failureRate: 0 });
  });

  test("that are wrong are refused at their field", async () => {
    const { id } = await create();
    const problem = await refusalOf(post(`/${id}/recipients`, [{ phone: "+919876543210" }, { phone: 7, colour: "red" }]));
    expect(problem.errors?.map(({ path }) => path)).toEqual(expect.arrayContaining(["[1].phone"]));
  });

  test.each(["0", "3", "x", "99999999999"])("there is no recipient %s", async (position) => {
    const { id } = await create();
    expect((await door.ask("GET", `/api/v1/campaigns/${id}/recipients/${position}`)).statusCode).toBe(404);
  });

  test("an unknown state is refused", async () => {
    const { id } = await create();
    const problem = Problem.parse((await door.ask("GET", `/api/v1/campaigns/${id}/recipients?state=lost`)).json());
    expect(problem.errors?.[0]?.path).toBe("state");
  });
});

describe("a campaign that has not begun", () => {
  const patch = (id: string, payload: object) => door.ask("PATCH", `/api/v1/campaigns/${id}`, { payload });
  const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString();

  test("is changed in what is given, and stays in the rest", async () => {
    const campaign = await create({ templateVariables: { discount: 10 }, throttleConfig: { batchSize: 50 } });
    const answer = await patch(campaign.id, {
      name: "New name",
      messageContent: "Bye",
      messageType: "text",
      throttleConfig: { messagesPerMinute: null },
    });
    expect(answer.statusCode, answer.body).toBe(200);
    expect(answerOf(Campaign).parse(answer.json()).data).toEqual({
      ...campaign,
      name: "New name",
      messageContent: "Bye",
      throttleConfig: { ...campaign.throttleConfig, messagesPerMinute: null },
    });
  });

  test("takes a time, and keeps it when it is started", async () => {
    const { id } = await create();
    const scheduledAt = inAnHour();
    expect((await patch(id, { scheduleType: "scheduled", scheduledAt })).json().data).toMatchObject({ status: "draft", scheduledAt });
    expect((await post(`/${id}/start`)).json().data).toMatchObject({ status: "scheduled", scheduled_at: scheduledAt });
    const later = new Date(Date.parse(scheduledAt) + 60_000).toISOString();
    expect((await patch(id, { scheduleType: "scheduled", scheduledAt: later })).json().data).toMatchObject({
      status: "scheduled",
      scheduledAt: later,
    });
    expect((await patch(id, { expiresAt: new Date(Date.parse(later) + 60_000).toISOString() })).json().data).toMatchObject({ scheduledAt: later });
    expect((await patch(id, { scheduleType: "manual" })).statusCode).toBe(400);
  });

  test.each([
    ["a time without its type", { scheduledAt: "2030-01-01T00:00:00Z" }, "scheduleType"],
    ["a time that has passed", { scheduleType: "scheduled", scheduledAt: "2020-01-01T00:00:00Z" }, "scheduledAt"],
    ["an end that has passed", { expiresAt: "2020-01-01T00:00:00Z" }, "expiresAt"],
    ["another audience", { audienceType: "all" }, "audienceType"],
    ["a message without its type", { messageContent: "x" }, "messageType"],
  ])("%s is refused", async (_what, payload, path) => {
    const answer = await patch((await create()).id, payload);
    expect(answer.statusCode).toBe(400);
    expect(Problem.parse(answer.json()).errors?.map((fault) => fault.path)).toContain(path);
  });

  test("a new time needs the right send", async () => {
    const { id } = await create();
    const payload = { scheduleType: "scheduled", scheduledAt: inAnHour() };
    expect((await door.ask("PATCH", `/api/v1/campaigns/${id}`, { payload, key: await door.newKey(["write"]) })).statusCode).toBe(403);
  });

  test("is removed; one that runs is not", async () => {
    const { id } = await create();
    expect((await door.ask("DELETE", `/api/v1/campaigns/${id}`)).json()).toEqual({ success: true, data: { id } });
    expect((await door.ask("GET", `/api/v1/campaigns/${id}`)).statusCode).toBe(404);
    const running = (await create()).id;
    await post(`/${running}/recipients`, [{ phone: "+919876543210" }]);
    await door.ask("POST", `/api/campaigns/${running}/control`, { payload: { action: "start" } });
    for (const answer of [door.ask("DELETE", `/api/v1/campaigns/${running}`), patch(running, { name: "Late" })]) {
      expect(await refusalOf(answer)).toMatchObject({ status: 409, message: "Campaign status is running" });
    }
  });

  test("is duplicated with its audience and without what became of it; its events are told in order", async () => {
    const { id } = await create({ name: "Original Campaign Name" });
    await post(`/${id}/recipients`, [{ phone: "+919876543210" }, { phone: "+919876543211" }]);
    await door.ask("POST", `/api/campaigns/${id}/control`, { payload: { action: "start" } });
    await post(`/${id}/stop`);
    const answer = await post(`/${id}/duplicate`);
    expect(answer.statusCode, answer.body).toBe(200);
    const { data, message } = Duplicated.parse(answer.json());
    expect(message).toBe("Campaign duplicated successfully");
    expect(data).toMatchObject({ name: "Original Campaign Name (Copy)", status: "draft", total_recipients: 2 });
    const copy = answerOf(Campaign).parse((await door.ask("GET", `/api/v1/campaigns/${data.id}`)).json()).data;
    expect(copy).toMatchObject({ counts: { accepted: 0, failed: 0, skipped: 0, uncertain: 0 }, startedAt: null, statement: null });
    await post(`/${data.id}/recipients`, [{ phone: "+919876543212" }]);
    expect((await door.ask("GET", `/api/v1/campaigns/${id}/stats`)).json().data.recipients).toBe(2);

    const events = listOf(CampaignEvent).parse((await door.ask("GET", `/api/v1/campaigns/${id}/events?limit=1`)).json());
    expect(events.data[0]?.seq).toBe(1);
    const rest = listOf(CampaignEvent).parse((await door.ask("GET", `/api/v1/campaigns/${id}/events?cursor=${events.nextCursor}`)).json());
    expect(rest.data.map(({ name }) => name)).toContain("campaign:stopped");
    expect((await door.ask("GET", `/api/v1/campaigns/${id}/events?cursor=eA`)).statusCode).toBe(400);
  });
});

test("what a caller says is in no log", async () => {
  const canary = "CANARY-7f3a";
  await create({ name: canary, messageContent: `Hi ${canary}` });
  await post("", draft({ name: canary, messageContent: `{{ ${canary}` }));
  await post("", { canary });
  await door.ask("GET", `/api/v1/campaigns?limit=${canary}`);
  await door.ask("POST", "/api/v1/keys", { key: `cpk_${canary}`, payload: { canary } });
  expect(z.string().parse(door.lines.join("")).includes(canary)).toBe(false);
  expect(door.lines.join("")).toContain("/api/v1/campaigns");
});
