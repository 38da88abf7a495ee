import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { fleet } from "../support/fleet.ts";
import { SECOND_MS, statesOf } from "./judge.ts";

test("130429: a sender that is too fast for its vendor slows down, fails nobody, and comes back to its full speed", async () => {
  const [PACE, VENDOR] = [4, 1.5];
  const { place, vendor, sender, sail } = await fleet({ engines: 2, sweepMs: 2 * SECOND_MS, settings: { limits: { throughput: VENDOR } } });
  const senderId = await sender({ perSecond: PACE });
  const ids: string[] = [];
  for (let i = 0; i < 2; i++) ids.push(await place.campaign({ senderId, recipients: 115 }));
  sail();
  const SLOW_S = 20;
  await place.clock.pass(SLOW_S * SECOND_MS);
  const { accepted, refused } = vendor.stats();
  // Most of what the vendor gives is used, and few calls are wasted on being refused.
  expect(accepted).toBeGreaterThanOrEqual(0.5 * VENDOR * SLOW_S);
  expect(refused["130429"]).toBeGreaterThan(0);
  expect(refused["130429"]).toBeLessThanOrEqual(accepted / 3);

  vendor.set({ limits: { throughput: null } });
  await place.clock.pass(60 * SECOND_MS);
  const before = vendor.stats().accepted;
  await place.clock.pass(5 * SECOND_MS);
  expect(vendor.stats().accepted - before).toBeGreaterThanOrEqual(5 * PACE - 2);
  expect(vendor.stats().accepted - before).toBeLessThanOrEqual(5 * PACE + 1);
  await place.clock.pass(30 * SECOND_MS);
  expect(await statesOf(place, ids)).toEqual({ accepted: 230 });
  expect((await vendor.ledgerLines()).every(({ attempt }) => attempt === 1)).toBe(true);
  const [kept] = await place.sql<{ n: number }[]>`select count(*)::int as n from attempt`;
  expect(kept?.n).toBe(0);
});

test("HTTP 429 of a gateway: waited for as long as it says, by everybody, and no attempt is counted", async () => {
  const WAIT_S = 7;
  const refusedAt: number[] = [];
  let busy = false;
  const gateway = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", async () => {
      if (busy && incoming.method === "POST") {
        refusedAt.push(place.clock.elapsedMs);
        response.writeHead(429, { "retry-after": String(WAIT_S) }).end("Too Many Requests");
        return;
      }
      const { method = "GET", headers, url } = incoming;
      const { authorization = "" } = headers;
      const sent = {
        method: method as "GET" | "POST",
        headers: { authorization, "content-type": "application/json" },
        body: chunks.length === 0 ? null : Buffer.concat(chunks),
      };
      const { statusCode, body } = await request(`${vendor.url}${url}`, sent);
      response.writeHead(statusCode, { "content-type": "application/json" }).end(await body.text());
    });
  });
  await new Promise<void>((resolve) => gateway.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void gateway.close());
  const { place, vendor, sender, sail } = await fleet({ engines: 2, sweepMs: SECOND_MS });
  const senderId = await sender({ perSecond: 20, apiBase: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}` });
  const ids = [await place.campaign({ senderId, recipients: 40 }), await place.campaign({ senderId, recipients: 40 })];
  sail();
  await place.clock.pass(SECOND_MS);
  busy = true;
  await place.clock.pass(0.5 * SECOND_MS);
  busy = false;
  const [first = 0] = refusedAt;
  await place.clock.pass(60 * SECOND_MS);
  expect(refusedAt.length).toBeGreaterThan(0);
  expect(refusedAt.length).toBeLessThanOrEqual(8);
  const lines = await vendor.ledgerLines();
  const start = Date.parse("2026-03-02T09:00:00.000Z");
  const rested = lines.map(({ at }) => Date.parse(at) - start).filter((ms) => ms > first + 50);
  expect(Math.min(...rested)).toBeGreaterThanOrEqual(first + WAIT_S * SECOND_MS);
  expect(await statesOf(place, ids)).toEqual({ accepted: 80 });
  expect(lines.every(({ attempt }) => attempt === 1)).toBe(true);
});
