import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Door, openDoor } from "../../../test/support/door.ts";
import { rehearsalSender } from "../../../test/support/rehearsal-sender.ts";

let door: Door;
let origin: string;
let paths: { importing: string; populate: string; recipients: string };
beforeAll(async () => {
  door = await openDoor();
  await door.app.listen({ port: 0, host: "127.0.0.1" });
  origin = `http://127.0.0.1:${(door.app.server.address() as AddressInfo).port}`;
  await rehearsalSender(door.database.sql, door.workspaceId);
  const payload = { name: "x", templateName: "welcome", channel: "WHATSAPP", audienceType: "CSV" };
  const id = (await door.ask("POST", "/api/campaigns/create", { payload })).json().campaignId;
  paths = { importing: "/api/v1/contacts/import", populate: `/api/campaigns/${id}/populate`, recipients: `/api/v1/campaigns/${id}/recipients` };
});
afterAll(() => door.close());

const head = (name: string) => `--xYz\r\nContent-Disposition: form-data; name="f"; filename="${name}"\r\n\r\n`;
const fine = "phone\n+919876543210\n";
const ended = "\r\n--xYz--\r\n";

/** Over a socket: what is said with its Content-Length is all there is to come. */
async function send(path: string, body: string, type = "multipart/form-data; boundary=xYz") {
  const answer = await fetch(`${origin}${path}`, { method: "POST", body, headers: { authorization: `Bearer ${door.key}`, "content-type": type } });
  return { status: answer.status, problem: (await answer.json()) as { code: string; detail: string } };
}

const count = async (table: string) => (await door.database.sql`select 1 from ${door.database.sql(table)}`).count;
async function expectNothingStored() {
  expect([await count("contact"), await count("list_member")]).toEqual([0, 0]);
  expect((await door.database.sql`select 1 from import where state = 'running'`).count).toBe(0);
}

const multi = "multipart/form-data; boundary=xYz";
const brokenForms: [name: string, body: string, type: string][] = [
  ["has no end", `${head("a.csv")}${fine}`, multi],
  ["has no end, and is long", `${head("a.csv")}phone\n${"+919876543210\n".repeat(20_000)}`, multi],
  ["ends within its last boundary", `${head("a.csv")}${fine}\r\n--xY`, multi],
  ["ends within the first headers", "--xYz\r\nContent-Disposition: form-da", multi],
  ["ends within the second headers", `${head("a.csv")}${fine}\r\n--xYz\r\nContent-Dispo`, multi],
  ["ends after a boundary that goes on", `${head("a.csv")}${fine}\r\n--xYz\r\n`, multi],
  ["is garbage", "garbage", multi],
  ["has no boundary", `${head("a.csv")}${fine}${ended}`, "multipart/form-data"],
  ["has another boundary", `${head("a.csv")}${fine}${ended}`, "multipart/form-data; boundary=other"],
];

describe.each(["importing", "populate", "recipients"] as const)("%s", (route) => {
  test.each(brokenForms)("a form that %s is refused, and nothing of it stored", async (_name, body, type) => {
    expect(await send(paths[route], body, type)).toMatchObject({ status: 400, problem: { code: "malformed" } });
    await expectNothingStored();
  });

  test.each([
    ["fine too", "phone\n+919876543211\n"],
    ["empty", ""],
    ["broken", 'phone\n"+919876543211\n'],
  ])("of two files neither is stored, when the second is %s", async (_name, second) => {
    const answer = await send(paths[route], `${head("a.csv")}${fine}\r\n${head("b.csv")}${second}${ended}`);
    expect(answer).toMatchObject({ status: 400, problem: { code: "malformed" } });
    expect(answer.problem.detail).toContain("Send one file per request");
    await expectNothingStored();
  });

  test("of two typed texts neither is stored", async () => {
    const field = `--xYz\r\nContent-Disposition: form-data; name="f"\r\n\r\n${fine}`;
    expect(await send(paths[route], `${field}\r\n${field}${ended}`)).toMatchObject({ status: 400, problem: { code: "malformed" } });
    await expectNothingStored();
  });
});

test.each([
  ["", "text/csv"],
  ['phone\n"+919876543210\n', "text/csv"],
  [`${head("a.csv")}${fine}`, multi],
])("a list is not made for a file that is not stored: %j", async (body, type) => {
  expect((await send(`${paths.importing}?list=Fresh`, body, type)).status).toBeGreaterThanOrEqual(400);
  expect((await door.ask("GET", "/api/v1/lists")).json().data).toEqual([]);
});

test.each([{ phone: "+919876543210" }, {}, "text", null])("JSON recipients that are no list are refused: %j", async (body) => {
  const { status, problem } = await send(paths.recipients, JSON.stringify(body), "application/json");
  expect(status).toBe(400);
  expect(problem.code).toBe("malformed");
  expect(problem.detail).toContain("expected array");
});

test("rejected people of a JSON list are counted from 1, also after a text of several lines", async () => {
  const people = [{ phone: "1" }, { phone: "+919876543212", attributes: { note: "two\nlines" } }, { phone: "+919876543213" }, { phone: "2" }];
  const answer = await door.ask("POST", paths.recipients, { payload: people });
  expect(answer.json().data.rejected.map(({ line }: { line: number }) => line)).toEqual([1, 4]);
});
