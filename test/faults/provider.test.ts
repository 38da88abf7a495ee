import { createServer as createHttpServer } from "node:http";
import { createServer, type Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { Pool } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { openPool } from "../../src/flow/provider/open.ts";
import type { Provider } from "../../src/flow/provider/port.ts";
import { whatsappProvider } from "../../src/flow/provider/whatsapp/send.ts";
import { SEND_TIMEOUT_MS } from "../../src/rules/limits.ts";
import { openDeadlines } from "../../src/runtime/deadlines.ts";
import type { FaultName } from "../../vendor/settings.ts";
import { openProxy } from "../support/proxy.ts";
import { phoneOf, type Town } from "../support/town.ts";
import { authority, elsewhere, expired, good, key } from "./certificates.ts";
import { campaignOf, openTown, statesOf } from "./scene.ts";
import { vendorOf, whatsappAt, wire } from "./wire.ts";

const faults = ["unavailable", "timeout", "reset", "garbage", "missingId", "flood"] as const;
const RECIPIENTS = 84;
/** Every seventh meets a fault: fewer than the fifth of the last fifty that holds a sender. */
const fates = new Map<number, FaultName>(
  faults.flatMap((name, i) => [[7 * (2 * i + 1), name] as const, [7 * (2 * i + 2), `${name}Accepted`] as const]),
);
const isAccepted = (position: number) => fates.get(position)?.endsWith("Accepted") ?? true;

test("500, silence, a reset, garbage, no id, a flood: each is in doubt, receipts settle what was sent, and nobody is written to twice", async () => {
  const place = await openTown({ perSecond: 40 });
  const { vendor, hear } = await vendorOf(place);
  for (const [position, name] of fates) vendor.script({ phone: phoneOf(position).slice(1), mix: { faults: { [name]: 1 } } });
  const id = await place.campaign({ recipients: RECIPIENTS });
  const hangs = (address: string) => [...fates].some(([position, name]) => name.startsWith("timeout") && phoneOf(position) === address);
  const wired = wire(place, { provider: whatsappAt(place, vendor), hangs });
  await wired.pass(SEND_TIMEOUT_MS - 2_000);
  expect(await statesOf(place, id), "two are not answered; nobody waits for them").toEqual({ accepted: RECIPIENTS - 12, uncertain: 10 });
  await wired.pass(5_000);
  expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS - 12, uncertain: 12 });
  expect(await vendor.ledger(id)).toMatchObject({ accepted: RECIPIENTS - 6, duplicates: 0 });

  await hear();
  await wired.pass(10_000);
  expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS - 6, uncertain: 6 });
  const doubts = await place.sql<{ position: number }[]>`select position from message where campaign_id = ${id} and state = 'uncertain' order by 1`;
  expect(doubts.map(({ position }) => position)).toEqual([...fates.keys()].filter((position) => !isAccepted(position)));
  expect(await vendor.ledger(id)).toMatchObject({ accepted: RECIPIENTS - 6, duplicates: 0 });
  expect(await campaignOf(place, id)).toMatchObject({ statement: { accepted: RECIPIENTS - 12, uncertain: 12, amendments: [{ accepted: 6 }] } });
});

test("a provider that takes nine seconds for an answer is waited for, and no other sender waits with it", async () => {
  const place = await openTown({ perSecond: 20 });
  const id = await place.campaign({ recipients: 60 });
  const slow = new Set(Array.from({ length: 60 }, (_, i) => phoneOf(i + 1)));
  const provider: Provider = {
    name: "slow",
    async send({ address, reference }) {
      if (slow.has(address)) await place.clock.sleep(9_000);
      return { kind: "accepted", providerRef: `slow.${reference}` };
    },
  };
  const other = await place.campaign({ recipients: 80, addressOf: (position) => phoneOf(1_000 + position) });
  await ownSender(place, other);
  const wired = wire(place, { provider, hangs: (address) => slow.has(address) });
  await wired.pass(8_000);
  expect(await statesOf(place, other)).toEqual({ accepted: 80 });
  await wired.pass(45_000);
  expect(await statesOf(place, id)).toEqual({ accepted: 60 });
});

test("whatever a provider answers, and however much of it: in doubt, one by one, and everything goes on", async () => {
  const place = await openTown({ perSecond: 40 });
  const bomb = gzipSync(Buffer.alloc(10 * 1024 * 1024, "{"));
  const oddities: [string | Buffer, Record<string, string>?][] = [
    [bomb, { "content-encoding": "gzip", "content-type": "application/json" }],
    ["[".repeat(3 * 1024 * 1024)],
    ["<!doctype html><title>Welcome</title>", { "content-type": "text/html" }],
    ['{"messages":[]}'],
    ['{"messages":{"0":{"id":"wamid.x"}}}'],
    ['{"messages":[{"id":["wamid.x"]}]}'],
    ['{"messages":[null]}'],
    [""],
    ["null"],
    ["\u0000\ufffd"],
  ];
  const answers = [...oddities, ...fc.sample(fc.json(), { numRuns: 30, seed: 39 }).map((json): [string] => [json])];
  const seen: string[] = [];
  const origin = await answering((to) => {
    seen.push(to);
    return answers[Number(to.slice(-5)) - 1] ?? [""];
  });
  const pool = openPool(origin);
  const deadlines = openDeadlines(place.clock, SEND_TIMEOUT_MS);
  onTestFinished(async () => {
    deadlines.close();
    await pool.destroy();
  });
  const id = await place.campaign({ recipients: answers.length });
  const wired = wire(place, { provider: whatsappProvider({ pool, deadlines, path: "/v25.0/1/messages", accessToken: "EAA" }) });
  Object.assign(wired.engine, { breaker: { note: () => false } }); // it would hold the sender after the fifth
  await wired.pass(5_000);
  expect(await statesOf(place, id)).toEqual({ uncertain: answers.length });
  expect(new Set(seen).size).toBe(answers.length);
  expect(seen).toHaveLength(answers.length);
  const [longest] = await place.sql<{ n: number }[]>`select max(length(cause)) as n from message`;
  expect(longest?.n).toBeLessThan(500);
});

/** A server that answers every message with what it is told to, with status 200. */
async function answering(answerTo: (to: string) => [string | Buffer, Record<string, string>?]): Promise<string> {
  const server = createHttpServer((incoming, answer) => {
    let body = "";
    incoming.on("data", (chunk) => {
      body += chunk;
    });
    incoming.on("end", () => {
      const [content, headers = {}] = answerTo((JSON.parse(body) as { to: string }).to);
      answer.writeHead(200, headers).end(content);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** The campaign goes through a sender of its own. */
async function ownSender(place: Town, campaignId: string): Promise<void> {
  const [senderId, scopeId] = [crypto.randomUUID(), crypto.randomUUID()];
  await place.sql`insert into cap_scope (workspace_id, id, name) values (${place.workspaceId}, ${scopeId}, 'other')`;
  await place.sql`insert into sender (workspace_id, id, channel, provider, name, external_id, cap_scope_id, connected_at)
    values (${place.workspaceId}, ${senderId}, 'whatsapp', 'rehearsal', 'other', ${senderId}, ${scopeId}, campanile.clock())`;
  await place.sql`insert into pace (owner_id, per_second, next_at) values (${senderId}, 20, campanile.clock())`;
  await place.sql`update campaign set sender_id = ${senderId} where id = ${campaignId}`;
}

test("connections that die without a word: what was on them is in doubt, and new ones carry on", async () => {
  const place = await openTown({ perSecond: 20 });
  const { vendor, hear } = await vendorOf(place, { mix: { latencyMs: [5, 20] } });
  const line = await openProxy({ port: vendor.port });
  onTestFinished(line.close);
  const id = await place.campaign({ recipients: 60 });
  let dead = false;
  const wired = wire(place, { provider: whatsappAt(place, vendor, `http://127.0.0.1:${line.port}`), hangs: () => dead });
  await wired.pass(500);
  dead = true;
  const silenced = line.silence(1);
  expect(silenced).toBeGreaterThan(0);
  await wired.pass(SEND_TIMEOUT_MS + 1_000);
  dead = false;
  await wired.pass(60_000);
  const { accepted = 0, uncertain = 0 } = await statesOf(place, id);
  expect(accepted + uncertain).toBe(60);
  expect(uncertain).toBeLessThanOrEqual(silenced);
  expect(line.open, "nothing holds on to a dead connection").toBeLessThan(60);
  await hear();
  await wired.pass(10_000);
  expect(await vendor.ledger(id)).toMatchObject({ accepted: 60 - ((await statesOf(place, id))["uncertain"] ?? 0), duplicates: 0 });
});

/** A server that answers every message, under this certificate. */
async function tlsServer(cert: string): Promise<string> {
  const server: TlsServer = createServer({ key, cert }, (incoming, answer) => {
    incoming.resume();
    incoming.on("end", () => answer.end(JSON.stringify({ messages: [{ id: `wamid.${crypto.randomUUID()}` }] })));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const unknownName = (_name: string, _options: object, back: (error: Error) => void) =>
  back(Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" }));

test.each([
  ["its name is not known", async () => new Pool("https://graph.invalid", { connect: { lookup: unknownName } as never })],
  ["its certificate has expired", async () => new Pool(await tlsServer(expired), { connect: { ca: authority } })],
  ["its certificate is for another name", async () => new Pool(await tlsServer(elsewhere), { connect: { ca: authority } })],
  ["nobody knows who signed its certificate", async () => new Pool(await tlsServer(good))],
  ["nobody listens", async () => new Pool("https://127.0.0.1:1")],
])("while the provider cannot be reached because %s, nobody is in doubt, nobody fails, and the cap is not used", async (_, badPool) => {
  const place = await openTown({ perSecond: 20, cap: 100 });
  const pools = { bad: await badPool(), good: new Pool(await tlsServer(good), { connect: { ca: authority } }) };
  onTestFinished(async () => void (await Promise.all([pools.bad.destroy(), pools.good.destroy()])));
  const deadlines = openDeadlines(place.clock, SEND_TIMEOUT_MS);
  onTestFinished(() => deadlines.close());
  const through = (pool: Pool) => whatsappProvider({ pool, deadlines, path: "/v25.0/1/messages", accessToken: "EAA" });
  const [bad, working] = [through(pools.bad), through(pools.good)];
  let healed = false;
  const id = await place.campaign({ recipients: 8 });
  const provider: Provider = { name: "switched", send: (parcel, signal) => (healed ? working : bad).send(parcel, signal) };
  const wired = wire(place, { provider });
  await wired.pass(6_000);
  const { queued = 0, ...others } = await statesOf(place, id);
  expect(others).toEqual({});
  expect(queued).toBeGreaterThan(0);
  const [scope] = await place.sql<{ used: number }[]>`select used from cap_scope`;
  expect(scope?.used).toBe(0);
  healed = true;
  await wired.pass(25_000);
  expect(await statesOf(place, id)).toEqual({ accepted: 8 });
});
