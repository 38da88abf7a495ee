import { createServer, connect as dial, type Socket } from "node:net";
import { setImmediate as tick } from "node:timers/promises";
import { buildConnector, Pool } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openPool } from "../../src/flow/provider/open.ts";
import type { Parcel, Provider } from "../../src/flow/provider/port.ts";
import { whatsappProvider } from "../../src/flow/provider/whatsapp/send.ts";
import { SEND_TIMEOUT_MS } from "../../src/rules/limits.ts";
import { openDeadlines } from "../../src/runtime/deadlines.ts";
import { type HandClock, handClock } from "./hand-clock.ts";

const TOKEN = "EAAGcanary123456";
const never = new AbortController().signal;
const parcel: Parcel = { reference: "c1.reference", address: "+919876543210", message: { type: "text", text: "Hi" } };
const ok = '{"messaging_product":"whatsapp","messages":[{"id":"wamid.X"}]}';
const answer = (status: string, body: string, headers = "") =>
  `HTTP/1.1 ${status}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;

/** What the server does with the n-th request it reads whole, counted over all connections. */
type Act = (socket: Socket, requests: number) => void;

interface Wire {
  readonly origin: string;
  /** Every request that was read whole. */
  readonly requests: string[];
  connections: number;
  act: Act;
  /** What the server does with a new connection. */
  greet: (socket: Socket) => void;
  close(): Promise<void>;
}

/** A server of sockets: it reads requests, and what it says need not be HTTP. */
async function openWire(): Promise<Wire> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    wire.connections++;
    wire.greet(socket);
    let read = "";
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk) => {
      read += chunk;
      const [head = "", body] = read.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
      if (body === undefined || Buffer.byteLength(body) < length) return;
      wire.requests.push(read);
      read = "";
      wire.act(socket, wire.requests.length);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const wire: Wire = {
    origin: `http://127.0.0.1:${address.port}`,
    requests: [],
    connections: 0,
    act: (socket) => socket.write(answer("200 OK", ok)),
    greet: () => {},
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return wire;
}

let wire: Wire;
let clock: HandClock;
let pool: Pool;
const providerOn = (on: Pool): Provider =>
  whatsappProvider({ pool: on, deadlines: openDeadlines(clock, SEND_TIMEOUT_MS), path: "/v25.0/1055/messages", accessToken: TOKEN });

beforeEach(async () => {
  wire = await openWire();
  clock = handClock();
  pool = openPool(wire.origin);
});
afterEach(async () => {
  await pool.destroy();
  await wire.close();
});

test("what goes over the wire", async () => {
  const outcome = await providerOn(pool).send(parcel, never);
  expect(outcome).toEqual({ kind: "accepted", providerRef: "wamid.X" });
  const [head = "", body = ""] = wire.requests[0]?.split("\r\n\r\n") ?? [];
  expect(head.split("\r\n")).toEqual(
    expect.arrayContaining([
      "POST /v25.0/1055/messages HTTP/1.1",
      `authorization: Bearer ${TOKEN}`,
      "content-type: application/json",
      "connection: keep-alive",
    ]),
  );
  expect(JSON.parse(body)).toEqual({
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: "+919876543210",
    type: "text",
    text: { preview_url: false, body: "Hi" },
    biz_opaque_callback_data: "c1.reference",
  });
});

test("a template with a header, a named body and buttons, as Meta's examples have it", async () => {
  await providerOn(pool).send(
    {
      ...parcel,
      message: {
        type: "template",
        name: "spring",
        language: "en_US",
        components: [
          { type: "header", parameters: [{ type: "document", link: "https://x.example/a.pdf", filename: "a.pdf" }] },
          { type: "body", parameters: [{ type: "text", parameter_name: "first_name", text: "Ana" }] },
          { type: "button", sub_type: "copy_code", index: 1, parameters: [{ type: "coupon_code", coupon_code: "25OFF" }] },
        ],
      },
    },
    never,
  );
  expect(JSON.parse(wire.requests[0]?.split("\r\n\r\n")[1] ?? "")).toMatchObject({
    type: "template",
    template: {
      name: "spring",
      language: { code: "en_US" },
      components: [
        { type: "header", parameters: [{ type: "document", document: { link: "https://x.example/a.pdf", filename: "a.pdf" } }] },
        { type: "body", parameters: [{ type: "text", parameter_name: "first_name", text: "Ana" }] },
        { type: "button", sub_type: "copy_code", index: 1, parameters: [{ type: "coupon_code", coupon_code: "25OFF" }] },
      ],
    },
  });
});

describe("known not to have been sent", () => {
  const notSent = { kind: "throttled", code: "not_reached", scope: "sender" };

  test("nobody listens", async () => {
    await wire.close();
    expect(await providerOn(pool).send(parcel, never)).toMatchObject({ ...notSent, cause: expect.stringContaining("ECONNREFUSED") });
  });

  test("the name is not known", async () => {
    const lookup = (_name: string, _options: object, back: (error: Error) => void) =>
      back(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" }));
    const lost = new Pool("http://graph.invalid", { connect: { lookup } as never });
    expect(await providerOn(lost).send(parcel, never)).toMatchObject({ ...notSent, cause: expect.stringContaining("ENOTFOUND") });
    await lost.destroy();
  });

  test("the other side does not speak TLS", async () => {
    wire.greet = (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    const tls = openPool(wire.origin.replace("http:", "https:"));
    expect(await providerOn(tls).send(parcel, never)).toMatchObject({ ...notSent, cause: expect.stringContaining("ERR_SSL_WRONG_VERSION_NUMBER") });
    await tls.destroy();
  });

  test("no connection in time", async () => {
    const named = new Pool("http://graph.invalid", { connect: { timeout: 1, lookup: () => {} } as never });
    expect(await providerOn(named).send(parcel, never)).toMatchObject({ ...notSent, cause: expect.stringContaining("UND_ERR_CONNECT_TIMEOUT") });
    await named.destroy();
  });

  test.each(["deadline", "abort"])("the %s comes while it waits for a connection; the connection that comes after is not used", async (how) => {
    let connect = () => {};
    const dialled = buildConnector({});
    const late = new Pool(wire.origin, {
      connect: (options, back) => {
        connect = () => dialled(options, back);
      },
    });
    const abort = new AbortController();
    const outcome = providerOn(late).send(parcel, abort.signal);
    await tick();
    if (how === "abort") abort.abort();
    else await clock.pass(SEND_TIMEOUT_MS);
    expect(await outcome).toMatchObject({ ...notSent, code: how === "abort" ? "aborted" : "not_reached" });
    const reached = wire.connections;
    connect();
    while (wire.connections === reached) await new Promise((resolve) => setImmediate(resolve));
    expect(await providerOn(pool).send(parcel, never)).toMatchObject({ kind: "accepted" });
    expect(wire.requests).toHaveLength(1);
    await late.destroy();
  });

  test.each(["deadline", "abort"])("the %s comes in the tick in which it was begun", async (how) => {
    const abort = new AbortController();
    const outcome = providerOn(pool).send(parcel, abort.signal);
    if (how === "abort") abort.abort();
    else await clock.pass(SEND_TIMEOUT_MS);
    expect(await outcome).toMatchObject({ ...notSent, code: how === "abort" ? "aborted" : "not_reached" });
    expect(await providerOn(pool).send({ ...parcel, reference: "c1.next" }, never)).toMatchObject({ kind: "accepted" });
    expect(wire.requests.map((request) => request.includes("c1.next"))).toEqual([true]);
  });

  test("the process was frozen until after the deadline, and its connection is there before its timer", async () => {
    let at = 0;
    let connect = () => {};
    const dialled = buildConnector({});
    const slow = new Pool(wire.origin, {
      connect: (options, back) => {
        connect = () => dialled(options, back);
      },
    });
    const frozen = openDeadlines({ ...clock, monotonicMs: () => at, sleep: () => new Promise(() => {}) }, SEND_TIMEOUT_MS);
    const outcome = whatsappProvider({ pool: slow, deadlines: frozen, path: "/v25.0/1055/messages", accessToken: TOKEN }).send(parcel, never);
    await tick();
    at = SEND_TIMEOUT_MS;
    connect();
    expect(await outcome).toMatchObject(notSent);
    expect([wire.connections, wire.requests]).toEqual([1, []]);
    await slow.destroy();
  });

  test("the pool is closed", async () => {
    await pool.destroy();
    expect(await providerOn(pool).send(parcel, never)).toMatchObject(notSent);
  });

  test("a redirect is not followed", async () => {
    wire.act = (socket) => socket.write(answer("307 Temporary Redirect", "", "location: /elsewhere\r\n"));
    expect(await providerOn(pool).send(parcel, never)).toMatchObject({ kind: "rejected", code: "redirected", remedy: "block_sender" });
    expect(wire.requests).toHaveLength(1);
  });
});

describe("uncertain, and written once", () => {
  const uncertain: Record<string, [Act, string]> = {
    "a reset": [(socket) => socket.resetAndDestroy(), "connection_lost"],
    "a closed connection": [(socket) => socket.end(), "connection_lost"],
    "half a head": [(socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-le"), "connection_lost"],
    "half a body": [(socket) => socket.end(`HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n${ok}`), "connection_lost"],
    "a chunk that does not end": [(socket) => socket.end("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n{"), "connection_lost"],
    "another protocol": [(socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"), "answer_unreadable"],
    "half a JSON": [(socket) => socket.write(answer("200 OK", ok.slice(0, 40))), "answer_unreadable"],
    "a page": [(socket) => socket.write(answer("200 OK", "<html>Welcome</html>")), "answer_unreadable"],
    nothing: [(socket) => socket.write(answer("200 OK", "")), "answer_unreadable"],
    "no id": [(socket) => socket.write(answer("200 OK", '{"messages":[{}]}')), "no_message_id"],
    "an id that is none": [(socket) => socket.write(answer("200 OK", '{"messages":[{"id":7}]}')), "no_message_id"],
    "204": [(socket) => socket.write("HTTP/1.1 204 No Content\r\n\r\n"), "answer_unreadable"],
    "ten megabytes": [(socket) => socket.write(answer("200 OK", "{".padEnd(10 * 1024 * 1024))), "answer_too_large"],
    "a head of a megabyte": [(socket) => socket.write(answer("200 OK", ok, `x: ${"y".repeat(1024 * 1024)}\r\n`)), "answer_too_large"],
    "502 of a proxy": [(socket) => socket.write(answer("502 Bad Gateway", "<html></html>")), "http_502"],
    "503 with an unknown code": [(socket) => socket.write(answer("503 Unavailable", '{"error":{"code":987654,"message":"?"}}')), "987654"],
    "131000": [(socket) => socket.write(answer("500 Error", '{"error":{"code":131000,"message":"Something went wrong"}}')), "131000"],
  };
  test.each(Object.entries(uncertain))("%s", async (_name, [act, code]) => {
    wire.act = act;
    expect(await providerOn(pool).send(parcel, never)).toMatchObject({ kind: "uncertain", code });
    wire.act = (socket) => socket.write(answer("200 OK", ok));
    expect(await providerOn(pool).send({ ...parcel, reference: "c1.next" }, never)).toMatchObject({ kind: "accepted" });
    expect(wire.requests.filter((request) => request.includes("c1.reference"))).toHaveLength(1);
    expect(wire.requests).toHaveLength(2);
  });

  test("the other side closes an idle connection at the moment we write on it", async () => {
    const single = new Pool(wire.origin, { connections: 1, pipelining: 1 });
    const provider = providerOn(single);
    await provider.send(parcel, never);
    wire.act = (socket) => socket.resetAndDestroy();
    expect(await provider.send({ ...parcel, reference: "c1.raced" }, never)).toMatchObject({ kind: "uncertain", code: "connection_lost" });
    expect(wire.connections).toBe(1);
    expect(await provider.send(parcel, never)).toMatchObject({ kind: "uncertain" });
    expect(wire.requests.filter((request) => request.includes("c1.raced"))).toHaveLength(1);
    await single.destroy();
  });

  test("fifty at once are reset: fifty requests, fifty doubts", async () => {
    wire.act = (socket) => socket.resetAndDestroy();
    const provider = providerOn(pool);
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, at) => provider.send({ ...parcel, reference: `c1.${at}` }, never)));
    expect(outcomes.every((outcome) => outcome.kind === "uncertain")).toBe(true);
    expect(wire.requests).toHaveLength(50);
  });

  test("silence after the head, until the deadline", async () => {
    let silent = () => {};
    const silence = new Promise<void>((resolve) => {
      silent = resolve;
    });
    wire.act = (socket) => socket.write("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{", () => silent());
    const outcome = providerOn(pool).send(parcel, never);
    await silence;
    await clock.pass(SEND_TIMEOUT_MS);
    expect(await outcome).toMatchObject({ kind: "uncertain", code: "no_answer" });
  });
});

test("a connection that was closed while idle is not used; the message goes over a new one, once", async () => {
  wire.act = (socket) => socket.end(answer("200 OK", ok, "connection: keep-alive\r\n"));
  const provider = providerOn(pool);
  for (const at of [1, 2, 3]) expect(await provider.send({ ...parcel, reference: `c1.${at}` }, never)).toMatchObject({ kind: "accepted" });
  expect(wire.requests).toHaveLength(3);
});

test("there are as many connections as calls at once", async () => {
  const provider = providerOn(pool);
  const some = async () => {
    for (let call = 0; call < 20; call++) expect(await provider.send(parcel, never)).toMatchObject({ kind: "accepted" });
  };
  await Promise.all(Array.from({ length: 10 }, some));
  expect(wire.connections).toBe(10);
});

test("an answer announced by 103 is the one that comes after it", async () => {
  wire.act = (socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${answer("200 OK", ok)}`);
  expect(await providerOn(pool).send(parcel, never)).toEqual({ kind: "accepted", providerRef: "wamid.X" });
});

test("a proxy's 429 says how long to wait", async () => {
  wire.act = (socket) => socket.write(answer("429 Too Many Requests", "", "retry-after: 7\r\n"));
  expect(await providerOn(pool).send(parcel, never)).toMatchObject({ kind: "throttled", scope: "sender", retryAfterMs: 7_000 });
});

test("the access token is never told", async () => {
  wire.act = (socket) => socket.write(answer("401 Unauthorized", `{"error":{"code":190,"message":"Malformed access token ${TOKEN}"}}`));
  const outcome = await providerOn(pool).send(parcel, never);
  expect(outcome).toMatchObject({ kind: "rejected", code: "190", remedy: "block_sender" });
  expect(JSON.stringify(outcome)).not.toContain("canary");
});

test("the test's server counts what it reads", async () => {
  const socket = dial(Number(new URL(wire.origin).port), "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}POST");
  await new Promise((resolve) => socket.once("data", resolve));
  expect(wire.requests).toHaveLength(1);
  socket.destroy();
});
