import { once } from "node:events";
import { type AddressInfo, createServer, connect as dial, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { openProxy, type TcpProxy } from "./proxy.ts";
import { statementReader } from "./statements.ts";

/** A server that says everything back, and a proxy before it. */
async function echo(): Promise<{ proxy: TcpProxy; server: { readonly open: number } }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy = await openProxy({ port: (server.address() as AddressInfo).port }, { luck: () => 0 });
  onTestFinished(async () => {
    await proxy.close();
    server.close();
  });
  return {
    proxy,
    server: {
      get open() {
        return sockets.size;
      },
    },
  };
}

async function client(proxy: TcpProxy) {
  const socket = dial(proxy.port, "127.0.0.1");
  let heard = "";
  let end: string | null = null;
  socket.on("data", (chunk) => {
    heard += String(chunk);
  });
  socket.on("error", (error: NodeJS.ErrnoException) => {
    end = error.code ?? "";
  });
  socket.on("end", () => {
    end = "end";
  });
  await once(socket, "connect");
  onTestFinished(() => void socket.destroy());
  return {
    socket,
    heard: () => heard,
    end: () => end,
    async said(text: string) {
      const from = performance.now();
      socket.write(text);
      await expect.poll(() => heard).toContain(text);
      return performance.now() - from;
    },
  };
}

describe("a proxy", () => {
  test("carries everything in order, also when each chunk is late by another time", async () => {
    const { proxy } = await echo();
    proxy.toxics({ latencyMs: 5, jitterMs: 20 });
    const { socket, heard } = await client(proxy);
    const words = Array.from({ length: 200 }, (_, i) => `${i} `);
    for (const word of words) socket.write(word);
    await expect.poll(heard).toBe(words.join(""));
  });

  test("is as late, and as slow, as it is told", async () => {
    const { proxy } = await echo();
    const near = await client(proxy);
    proxy.toxics({ latencyMs: 40 });
    expect(await near.said("late")).toBeGreaterThanOrEqual(79); // there and back
    proxy.toxics({ latencyMs: 0, bytesPerSecond: 10_000 });
    expect(await near.said("x".repeat(1_000))).toBeGreaterThanOrEqual(180);
    proxy.heal();
    expect(await near.said("well")).toBeLessThan(1_000);
  });

  test("cuts: both sides are reset", async () => {
    const { proxy, server } = await echo();
    const [one, two] = [await client(proxy), await client(proxy)];
    await one.said("1");
    await two.said("2");
    expect(proxy.cut(0.5)).toBe(1);
    await expect.poll(one.end).toBe("ECONNRESET");
    await expect.poll(() => server.open).toBe(1);
    expect(await two.said("still there")).toBeGreaterThan(0);
    expect(proxy.cut(5)).toBe(1);
    await expect.poll(() => proxy.open).toBe(0);
    expect(proxy.broken).toBe(2);
  });

  test("is half-open: nothing arrives, nobody is told, until it is healed", async () => {
    const { proxy, server } = await echo();
    const near = await client(proxy);
    await near.said("heard");
    expect(proxy.silence(1)).toBe(1);
    near.socket.write("lost");
    const other = await client(proxy);
    await other.said("a connection that came later is well");
    expect([near.heard(), near.end()]).toEqual(["heard", null]);
    near.socket.destroy();
    await other.said("the other side does not learn of it");
    expect(server.open).toBe(2);
    proxy.heal();
    await expect.poll(() => server.open).toBe(1);
    await expect.poll(() => proxy.open).toBe(1);
  });

  test("passes on that one side has ended, after what it said", async () => {
    const { proxy, server } = await echo();
    proxy.toxics({ latencyMs: 20 });
    const near = await client(proxy);
    near.socket.end("goodbye");
    await expect.poll(near.heard).toBe("goodbye");
    await expect.poll(near.end).toBe("end");
    await expect.poll(() => [server.open, proxy.open]).toEqual([0, 0]);
  });
});

describe("what a client of Postgres executes", () => {
  const message = (type: string, ...texts: string[]) => {
    const body = Buffer.from(texts.map((text) => `${text}\0`).join(""));
    const head = Buffer.alloc(5);
    head.write(type);
    head.writeInt32BE(body.length + 4, 1);
    return Buffer.concat([head, body]);
  };
  const startUp = Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0]);

  test("is told by name too, and however the bytes are cut", () => {
    const said = Buffer.concat([
      startUp,
      message("Q", "begin"),
      message("P", "s1", "commit"),
      message("B", "", "s1"),
      message("E", ""),
      message("Q", "begin"),
      message("B", "", "s1"),
      message("E", ""),
      message("P", "", "select 1"),
      message("B", "", ""),
      message("E", ""),
    ]);
    const expected = ["begin", "commit", "begin", "commit", "select 1"];
    expect(statementReader()(said)).toEqual(expected);
    for (const size of [1, 3, 7]) {
      const read = statementReader();
      const chunks = Array.from({ length: Math.ceil(said.length / size) }, (_, i) => said.subarray(i * size, (i + 1) * size));
      expect(chunks.flatMap(read)).toEqual(expected);
    }
  });
});
