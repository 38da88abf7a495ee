import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { BatchCampaignAnswer, BatchControlled, BatchCreated, BatchExecuted, BatchPopulated, BatchRecipient } from "../../src/contract/batch.ts";
import { listOf, Problem } from "../../src/contract/wire.ts";
import { type Door, openDoor } from "../support/door.ts";
import { rehearsalSender } from "../support/rehearsal-sender.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor();
  await rehearsalSender(door.database.sql, door.workspaceId, { cap: 60 });
});
afterAll(() => door.close());

const phones = (count: number, from = 0) => Array.from({ length: count }, (_, at) => `9198765${String(43_000 + from + at)}`);
const csv = (lines: readonly string[]) => `${lines.join("\n")}\n`;

async function create(): Promise<string> {
  const answer = await door.ask("POST", "/api/campaigns/create", {
    payload: { name: "Test Campaign", templateName: "welcome", channel: "WHATSAPP", audienceType: "CSV" },
  });
  expect(answer.statusCode).toBe(201);
  await door.database.sql`update pace set per_second = null`; // the default of 50 ms between two messages is real time
  return BatchCreated.parse(answer.json()).campaignId;
}

const upload = (id: string, text: string, type = "text/csv") =>
  door.ask("POST", `/api/campaigns/${id}/populate`, { payload: text, headers: { "content-type": type } });

function form(field: string, text: string, fileName: string | null) {
  const boundary = "xYz";
  const disposition = `Content-Disposition: form-data; name="${field}"${fileName === null ? "" : `; filename="${fileName}"`}`;
  return {
    payload: `--${boundary}\r\n${disposition}\r\n\r\n${text}\r\n--${boundary}--\r\n`,
    headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
  };
}

const control = (id: string, action: string) => door.ask("POST", `/api/campaigns/${id}/control`, { payload: { action } });
const execute = async (id: string) => {
  const answer = await door.ask("POST", `/api/campaigns/${id}/execute-batch`);
  expect(answer.statusCode).toBe(200);
  return { text: answer.body, result: BatchExecuted.parse(answer.json()).result };
};
const read = async (id: string) => BatchCampaignAnswer.parse((await door.ask("GET", `/api/campaigns/${id}`)).json()).campaign;

test("the walk of the document, answer for answer", async () => {
  const id = await create();
  expect(id).toMatch(/^cmp_[0-9a-f-]{36}$/);

  const populated = await upload(id, csv(phones(53)));
  expect(populated.statusCode).toBe(200);
  expect(populated.body).toBe('{"success":true,"inserted":53,"rejected":[],"rejectedCount":0}');

  expect((await control(id, "start")).body).toBe('{"success":true,"newStatus":"RUNNING"}');

  const first = await execute(id);
  expect(first.text).toBe(
    '{"success":true,"result":{"processed":25,"sent":25,"failed":0,"paused":false,"completed":false,"skipped":0,"uncertain":0,"deferred":0}}',
  );
  expect(await read(id)).toMatchObject({
    id,
    status: "RUNNING",
    sent: 25,
    failed: 0,
    pending: 28,
    progress: 47.1,
    dailyLimit: { used: 25, cap: 60, nextFreeAt: null },
  });

  expect((await control(id, "pause")).body).toBe('{"success":true,"newStatus":"PAUSED"}');
  expect((await execute(id)).result).toMatchObject({ processed: 0, paused: true });
  expect((await control(id, "resume")).body).toBe('{"success":true,"newStatus":"RUNNING"}');

  expect((await execute(id)).result).toMatchObject({ processed: 25, sent: 25 });
  expect((await execute(id)).result).toMatchObject({ processed: 3, sent: 3 });
  const last = await execute(id);
  expect(last.result).toMatchObject({ processed: 0, completed: true, pauseReason: "No pending recipients remaining" });

  const campaign = await read(id);
  expect(campaign).toMatchObject({ status: "COMPLETED", sent: 53, pending: 0, progress: 100 });
  expect(campaign.lastBatch).toMatchObject({ processed: 0, completed: true });
  const again = Problem.parse((await control(id, "start")).json());
  expect(again).toMatchObject({ status: 409, code: "transition_refused", message: "Campaign status is COMPLETED" });

  const sent = listOf(BatchRecipient).parse((await door.ask("GET", `/api/campaigns/${id}/recipients?status=SENT&limit=2`)).json());
  expect(sent.data).toHaveLength(2);
  expect(sent.data[0]).toMatchObject({ phone: "919876543000", status: "SENT", attempts: 1, position: 1 });
  const next = listOf(BatchRecipient).parse(
    (await door.ask("GET", `/api/campaigns/${id}/recipients?status=sent&limit=500&cursor=${sent.nextCursor}`)).json(),
  );
  expect(next.data).toHaveLength(51);
  expect(next.nextCursor).toBeNull();
});

test("the daily limit pauses the campaign, in the document's words", async () => {
  const id = await create();
  await upload(id, csv(phones(20, 500)));
  await control(id, "start");
  const { result } = await execute(id);
  expect(result).toMatchObject({ processed: 7, sent: 7, paused: true, completed: false, pauseReason: "Daily limit reached: 60/60 conversations" });
  const campaign = await read(id);
  expect(campaign).toMatchObject({ status: "PAUSED", pauseReason: "Daily limit reached: 60/60 conversations", dailyLimit: { used: 60, cap: 60 } });
  expect(campaign.dailyLimit.nextFreeAt).not.toBeNull();
});

describe("refused with 409, and with the cause", () => {
  test.each([
    ["pause", "DRAFT"],
    ["resume", "DRAFT"],
  ])("%s of a draft", async (action, status) => {
    const answer = await control(await create(), action);
    expect(answer.statusCode).toBe(409);
    expect(Problem.parse(answer.json()).message).toBe(`Campaign status is ${status}`);
  });

  test.each(["start", "resume"])("%s of a running campaign", async (action) => {
    const id = await create();
    await upload(id, csv(phones(1)));
    BatchControlled.parse((await control(id, "start")).json());
    const answer = await control(id, action);
    expect(answer.statusCode).toBe(409);
    expect(Problem.parse(answer.json()).message).toBe("Campaign status is RUNNING");
  });

  test("populate after start", async () => {
    const id = await create();
    await upload(id, csv(phones(1)));
    await control(id, "start");
    const answer = await upload(id, csv(phones(2)));
    expect(answer.statusCode).toBe(409);
    expect(Problem.parse(answer.json()).code).toBe("not_a_draft");
  });
});

describe("populate", () => {
  test.each([
    ["a file in any field", form("whatever", csv(phones(3)), "people.csv")],
    ["a text typed into a field", form("csv", csv(phones(3)), null)],
    ["the body itself", { payload: csv(phones(3)), headers: { "content-type": "text/csv" } }],
    ["with a header", { payload: csv(["phone", ...phones(3)]), headers: { "content-type": "text/csv" } }],
    ["with a plus", { payload: csv(phones(3).map((phone) => `+${phone}`)), headers: { "content-type": "text/csv" } }],
  ])("takes %s", async (_what, request) => {
    const answer = await door.ask("POST", `/api/campaigns/${await create()}/populate`, request);
    expect(BatchPopulated.parse(answer.json())).toMatchObject({ inserted: 3, rejectedCount: 0 });
  });

  test("inserts nobody twice, however often and in whatever spelling", async () => {
    const id = await create();
    await upload(id, csv([...phones(3), ...phones(3)]));
    expect((await upload(id, csv(phones(4).map((phone) => `+${phone.slice(0, 2)} ${phone.slice(2, 7)}-${phone.slice(7)}`)))).json()).toMatchObject({
      inserted: 1,
    });
    expect(await read(id)).toMatchObject({ pending: 4 });
  });

  test("tells the rejected rows with line, value and reason", async () => {
    const answer = BatchPopulated.parse((await upload(await create(), csv([...phones(1), "12", "hello", ...phones(1, 5)]))).json());
    expect(answer).toMatchObject({ inserted: 2, rejectedCount: 2 });
    expect(answer.rejected.map(({ line, value }) => ({ line, value }))).toEqual([
      { line: 2, value: "12" },
      { line: 3, value: "hello" },
    ]);
    expect(answer.rejected.every(({ reason }) => reason.length > 5)).toBe(true);
  });

  test.each([
    ["an empty file", "", 422],
    ["a file with nothing but a header", "phone\n", 422],
    ["a file with a NUL byte", `9198765\u000043000\n${phones(1)[0]}\n`, null],
  ])("%s", async (_what, text, status) => {
    const id = await create();
    const answer = await upload(id, text);
    if (status === null) expect([200, 422]).toContain(answer.statusCode);
    else {
      expect(answer.statusCode).toBe(status);
      expect(Problem.parse(answer.json()).detail.length).toBeGreaterThan(10);
    }
    const { pending } = await read(id);
    expect(pending).toBe(answer.statusCode === 200 ? answer.json().inserted : 0);
  });

  test("another media type is refused", async () => {
    const answer = await upload(await create(), "{}", "application/json");
    expect(answer.statusCode).toBe(415);
  });

  test("with an Idempotency-Key the same file is answered once, another is refused", async () => {
    const id = await create();
    const send = (text: string, boundary: string) => {
      const { payload } = form("file", text, "a.csv");
      return door.ask("POST", `/api/campaigns/${id}/populate`, {
        payload: payload.replaceAll("xYz", boundary),
        headers: { "content-type": `multipart/form-data; boundary=${boundary}`, "idempotency-key": `upload-${id}` },
      });
    };
    const first = await send(csv(phones(3)), "one");
    expect(first.json()).toMatchObject({ inserted: 3 });
    const again = await send(csv(phones(3)), "two");
    expect(again.headers["idempotent-replayed"]).toBe("true");
    expect(again.body).toBe(first.body);
    expect((await send(csv(phones(4)), "three")).json()).toMatchObject({ code: "idempotency_mismatch" });
  });
});

test("a campaign of another workspace is not there", async () => {
  const id = await create();
  const other = await door.newKey(["read", "write", "send", "admin"], await door.newWorkspace());
  const calls = [
    ["GET", `/api/campaigns/${id}`],
    ["GET", `/api/campaigns/${id}/recipients`],
    ["POST", `/api/campaigns/${id}/execute-batch`],
    ["POST", `/api/campaigns/${id}/control`, { action: "start" }],
    ["POST", `/api/campaigns/${id}/populate`, csv(phones(1))],
    ["GET", `/api/v1/campaigns/${id}`],
    ["GET", `/api/v1/campaigns/${id}/stats`],
    ["GET", `/api/v1/campaigns/${id}/recipients`],
    ["POST", `/api/v1/campaigns/${id}/start`],
    ["POST", `/api/v1/campaigns/${id}/stop`],
  ] as const;
  for (const [method, url, payload] of calls) {
    const headers = typeof payload === "string" ? { "content-type": "text/csv" } : {};
    const answer = await door.ask(method, url, { key: other, headers, ...(payload === undefined ? {} : { payload }) });
    expect(answer.statusCode, `${method} ${url}`).toBe(404);
    expect(Problem.parse(answer.json()).code).toBe("campaign_not_found");
  }
  expect(await read(id)).toMatchObject({ status: "DRAFT", pending: 0 });
});

test.each(["cmp_12345678-1234-4234-8234-123456789abc", "12345678-1234-4234-8234-123456789abc", "hello", "..%2f..", "cmp_"])(
  "the id %s is not there",
  async (id) => {
    expect((await door.ask("GET", `/api/campaigns/${id}`)).statusCode).toBe(404);
  },
);

test("ids are taken bare or with cmp_, on both surfaces", async () => {
  const id = await create();
  const bare = id.slice(4);
  expect(await read(bare)).toMatchObject({ id });
  const v1 = z.object({ data: z.object({ id: z.uuid() }) }).parse((await door.ask("GET", `/api/v1/campaigns/${id}`)).json());
  expect(v1.data.id).toBe(bare);
});

test.each([
  ["no template", { name: "x", channel: "WHATSAPP", audienceType: "CSV" }, 400, "templateName"],
  ["another channel", { name: "x", templateName: "welcome", channel: "SMS", audienceType: "CSV" }, 400, "channel"],
  ["an unknown field", { name: "x", templateName: "welcome", channel: "WHATSAPP", audienceType: "CSV", colour: 1 }, 400, "colour"],
  ["an unknown template", { name: "x", templateName: "nothing", channel: "WHATSAPP", audienceType: "CSV" }, 422, null],
  ["an unknown action", { action: "explode" }, 400, "action"],
])("%s is refused", async (_what, payload, status, path) => {
  const url = "action" in payload ? `/api/campaigns/${await create()}/control` : "/api/campaigns/create";
  const answer = await door.ask("POST", url, { payload });
  expect(answer.statusCode).toBe(status);
  const problem = Problem.parse(answer.json());
  if (path !== null) expect(problem.errors?.map((error) => error.path)).toContain(path);
});
