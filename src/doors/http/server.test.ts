import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { setImmediate as tick } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Door, openDoor } from "../../../test/support/door.ts";
import { Problem } from "../../contract/wire.ts";

let door: Door;
beforeAll(async () => {
  door = await openDoor();
  await door.app.listen({ port: 0, host: "127.0.0.1" });
});
afterAll(() => door.close());

const post = (payload: string | object, headers: Record<string, string> = { "content-type": "application/json" }) =>
  door.ask("POST", "/api/v1/keys", { payload, headers: typeof payload === "string" ? headers : {} });

test.each([
  ["malformed JSON", '{"name": ', 400, "malformed", "not valid JSON"],
  ["an empty body", "", 400, "malformed", "expected object"],
  ["a list instead of an object", "[]", 400, "malformed", "expected object"],
  ["a NUL character", '{"name":"a\\u0000b","rights":["read"]}', 400, "malformed", "name: Holds a NUL"],
  ["half a surrogate pair", '{"name":"\\ud800","rights":["read"]}', 400, "malformed", "surrogate"],
  ["a poisoned prototype", '{"__proto__":{"admin":true},"name":"x","rights":["read"]}', 400, "malformed", "JSON"],
  ["500,000 brackets", `${"[".repeat(500_000)}${"]".repeat(500_000)}`, 400, "malformed", "nests deeper"],
  ["another type", { name: 7, rights: ["read"] }, 400, "malformed", "name: Invalid input: expected string, received number"],
  ["a body over 1 MB", { name: "x".repeat(1_100_000), rights: ["read"] }, 413, "too_large", "at most 1048576 bytes"],
])("%s is refused with the cause", async (_what, payload, status, code, cause) => {
  const answer = await post(payload);
  expect(answer.statusCode).toBe(status);
  expect(answer.headers["content-type"]).toBe("application/problem+json; charset=utf-8");
  const problem = Problem.parse(answer.json());
  expect(problem).toMatchObject({ code, status });
  expect(problem.detail).toContain(cause);
  expect(problem.message).toBe(problem.detail);
  expect(Object.keys(answer.json())[0]).toBe("success");
});

test("every wrong field is told with its path", async () => {
  const answer = await post({ name: "", rights: ["read", "all"], colour: "red" });
  expect(
    Problem.parse(answer.json())
      .errors?.map(({ path }) => path)
      .sort(),
  ).toEqual(["colour", "name", "rights[1]"]);
});

test("what curl -d says is read as the JSON it is", async () => {
  const form = { "content-type": "application/x-www-form-urlencoded" };
  expect((await post('{"name":"curl","rights":["read"]}', form)).statusCode).toBe(201);
  expect((await post("name=curl", form)).statusCode).toBe(415);
});

test("another media type is refused", async () => {
  const answer = await post("<x/>", { "content-type": "application/xml" });
  expect(answer.statusCode).toBe(415);
  expect(answer.json().code).toBe("media_type");
});

test("what is not there is a problem too", async () => {
  const unknown = await door.ask("GET", "/api/v1/nothing");
  expect(unknown.statusCode).toBe(404);
  expect(Problem.parse(unknown.json()).code).toBe("route_not_found");
  const method = await door.ask("PUT", "/api/v1/keys");
  expect(method.statusCode).toBe(405);
  expect(method.headers["allow"]).toBe("GET, HEAD, POST");
  expect(Problem.parse(method.json()).detail).toBe("/api/v1/keys does not take PUT. It takes GET, HEAD, POST.");
  expect((await door.ask("GET", "/%ff")).statusCode).toBe(400);
});

test("every answer is guarded", async () => {
  for (const url of ["/api/v1/keys", "/health/live", "/nothing", "/docs"]) {
    const { headers } = await door.ask("GET", url);
    expect(headers).toMatchObject({ "x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer" });
    expect(headers["content-security-policy"]).toContain("default-src 'none'");
    expect(headers["x-request-id"]).toMatch(/^[0-9a-f-]{36}$/);
  }
});

test("a failure of ours tells the caller nothing but the request's id", async () => {
  await using broken = await breaking();
  const answer = await broken.door.ask("GET", "/api/v1/keys");
  expect(answer.statusCode).toBe(500);
  const problem = Problem.parse(answer.json());
  expect(problem.code).toBe("internal");
  expect(problem.detail).not.toMatch(/api_key|relation/);
  expect(broken.door.lines.join("")).toContain(problem.requestId);
  expect(broken.door.lines.join("")).toContain("prefix");
});

async function breaking() {
  const broken = await openDoor();
  await broken.database.sql`alter table api_key rename column prefix to lost`;
  return { door: broken, [Symbol.asyncDispose]: () => broken.close() };
}

/** Says `head`, then zeros as long as somebody listens; gives back what the server said and how much it let in. */
async function shout(head: string, bytesMax: number): Promise<{ said: string; sent: number }> {
  const { port } = door.app.server.address() as AddressInfo;
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  let said = "";
  let open = true;
  socket.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  socket
    .on("error", () => {})
    .on("close", () => {
      open = false;
    });
  socket.write(head);
  const chunk = Buffer.alloc(64 * 1024);
  for (let sent = 0; open && said === "" && sent < bytesMax; sent += chunk.length) {
    if (!socket.write(chunk)) await Promise.race([once(socket, "drain"), once(socket, "close")]).catch(() => {});
  }
  if (open) await once(socket, "close").catch(() => {});
  return { said, sent: socket.bytesWritten };
}

const head = (extra: string) =>
  `POST /api/v1/keys HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${door.key}\r\nContent-Type: application/json\r\n${extra}\r\n\r\n`;

test("a body of 100 MB is refused before it was read", async () => {
  const { said, sent } = await shout(head(`Content-Length: ${100_000_000}`), 100_000_000);
  expect(said).toMatch(/^HTTP\/1\.1 413 /);
  expect(said).toContain("The body is 100000000 bytes; at most 1048576 bytes is accepted.");
  expect(sent).toBeLessThan(20_000_000);
});

test("who asks first is refused before it sends a byte", async () => {
  const { said } = await shout(head(`Content-Length: ${100_000_000}\r\nExpect: 100-continue`), 0);
  expect(said).toMatch(/^HTTP\/1\.1 413 /);
  const noKey = await shout(head("Content-Length: 50\r\nExpect: 100-continue").replace(door.key, "x".repeat(40)), 0);
  expect(noKey.said).toMatch(/^HTTP\/1\.1 401 /);
});

const csv = "phone\n+919876543210\n";
const bodies = {
  "text/csv": csv,
  "multipart/form-data; boundary=xYz": `--xYz\r\nContent-Disposition: form-data; name="f"; filename="f.csv"\r\n\r\n${csv}`,
};
const moments = [0, 1, 2, 3, 5, 8, 13, 21, 34, 55];

test.each(moments.flatMap((after) => Object.keys(bodies).map((type) => [type, after] as [keyof typeof bodies, number])))(
  "an upload of %s that breaks off %i moments later stores nothing, and is no failure of ours",
  async (type, after) => {
    const { port } = door.app.server.address() as AddressInfo;
    const socket = connect(port, "127.0.0.1");
    const name = `${type.slice(0, 4)}${after}.csv`;
    const headers = `Host: x\r\nAuthorization: Bearer ${door.key}\r\nContent-Type: ${type}\r\nContent-Length: 100000\r\n\r\n`;
    socket.write(`POST /api/v1/contacts/import?fileName=${name} HTTP/1.1\r\n${headers}${bodies[type]}`);
    const state = async () => (await door.database.sql<{ state: string }[]>`select state from import where file_name = ${name}`)[0]?.state;
    while ((await state()) !== "running") await tick();
    for (let passed = 0; passed < after; passed++) await tick();
    socket.destroy();
    while ((await state()) === "running") await tick();
    expect(await state()).toBe("failed");
    expect((await door.database.sql`select 1 from contact`).count).toBe(0);
    expect(door.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  },
);

test("neither bodies nor keys are logged", () => {
  const log = door.lines.join("");
  expect(log).not.toContain(door.key);
  expect(log).not.toContain("xxxxxxxx");
  expect(log).toContain("/api/v1/keys");
});
