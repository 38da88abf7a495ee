import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { handClock } from "../../../test/conformance/hand-clock.ts";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { stopClock } from "../../../test/support/seed.ts";
import { startVendor, type Vendor } from "../../../vendor/main.ts";
import { Refusal } from "../../rules/refusal.ts";
import { systemLuck } from "../../runtime/luck.ts";
import { credentialKey } from "./credentials.ts";
import { openProviders } from "./open.ts";
import * as senders from "./sender.ts";
import * as store from "./store.ts";

let database: FreshDatabase;
let vendor: Vendor;
let deps: senders.SenderDeps;
let clock: ReturnType<typeof handClock>;
let workspaceId: string;

beforeAll(async () => {
  database = await freshDatabase();
});
afterAll(() => database.drop());
beforeEach(async () => {
  vendor = await startVendor({ fsync: false });
  clock = handClock();
  const keys = [credentialKey("a secret of the installation")] as const;
  deps = { sql: database.sql, luck: systemLuck, keys, providers: openProviders({ sql: database.sql, clock, keys }) };
  workspaceId = randomUUID();
  await database.sql`insert into workspace (id, name) values (${workspaceId}, 'w')`;
});
afterEach(async () => {
  await deps.providers.close();
  await vendor.stop();
  await database.sql`update sender set deleted_at = campanile.clock() where deleted_at is null`;
});

const fresh = (changes: Partial<senders.NewSender> = {}): senders.NewSender => ({
  workspaceId,
  provider: "whatsapp_cloud",
  name: "Shop",
  externalId: vendor.phoneNumberId,
  settings: { apiBase: vendor.url, apiVersion: "v25.0", wabaId: vendor.wabaId },
  accessToken: vendor.token,
  cap: 200,
  ...changes,
});
const make = (changes?: Partial<senders.NewSender>) => senders.createSender(fresh(changes), deps);
const parcel = { reference: "c1.x", address: "+919876543210", message: { type: "text", text: "Hi" } } as const;
const never = new AbortController().signal;
const send = async (id: string) => (await deps.providers.open(id)).send(parcel, never);

describe("a sender's life", () => {
  test("made, read, listed, changed, deleted", async () => {
    const made = await make();
    expect(made).toMatchObject({ workspaceId, name: "Shop", channel: "whatsapp", connectedAt: null, blockedReason: null });
    expect(JSON.stringify(made)).not.toContain(vendor.token);
    expect(await senders.readSender(made, deps)).toEqual(made);
    expect(await store.listSenders(deps.sql, { workspaceId, afterId: null, limit: 10 })).toEqual([made]);
    expect(await store.listSenders(deps.sql, { workspaceId, afterId: made.id, limit: 10 })).toEqual([]);
    const changed = await senders.updateSender(made, { name: "Store", settings: { path: "marketing_messages" }, cap: 500, perSecond: null }, deps);
    expect(changed).toMatchObject({ name: "Store", settings: { apiBase: vendor.url, path: "marketing_messages" } });
    expect(await senders.senderUsage(made, deps)).toMatchObject({ cap: 500, perSecond: null, used: 0, nextFreeAt: null });
    await senders.deleteSender(made, deps);
    await expect(senders.readSender(made, deps)).rejects.toThrow(`There is no sender ${made.id} in this workspace.`);
    await expect(send(made.id)).rejects.toThrow(Refusal);
    expect(await make()).toMatchObject({ name: "Shop" });
  });

  test("its defaults: 80 per second, and a cap of its own", async () => {
    expect(await senders.senderUsage(await make(), deps)).toEqual({
      perSecond: 80,
      currentPerSecond: null,
      holdUntil: null,
      holdReason: null,
      cap: 200,
      used: 0,
      calendarZone: null,
      nextFreeAt: null,
    });
  });

  test("one phone number has one sender, whatever the workspace", async () => {
    await make();
    await expect(make()).rejects.toThrow(/There is a sender for phone number id \d+ already\./);
    const elsewhere = randomUUID();
    await database.sql`insert into workspace (id, name) values (${elsewhere}, 'other')`;
    await expect(make({ workspaceId: elsewhere })).rejects.toThrow(Refusal);
    const outcomes = await Promise.allSettled([make({ externalId: "77" }), make({ externalId: "77" })]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  test("another workspace does not find it", async () => {
    const made = await make();
    const ref = { workspaceId: randomUUID(), id: made.id };
    for (const ask of [senders.readSender, senders.senderUsage, senders.senderHealth, senders.connectSender, senders.deleteSender]) {
      await expect(ask(ref, deps)).rejects.toThrow(Refusal);
    }
    await expect(senders.updateSender(ref, { name: "x" }, deps)).rejects.toThrow(Refusal);
  });

  test("senders of one portfolio share one cap, made by whoever comes first", async () => {
    const [one, two] = await Promise.all([make({ externalId: "1", portfolio: "Shops" }), make({ externalId: "2", portfolio: "Shops", cap: 9 })]);
    const other = await make({ externalId: "3", portfolio: "Others" });
    expect(one.capScopeId).toBe(two.capScopeId);
    expect(other.capScopeId).not.toBe(one.capScopeId);
  });
});

describe("usage", () => {
  test("what expired no longer counts, and the next place is free 24 hours after the oldest", async () => {
    const made = await make({ cap: 2 });
    await stopClock(database.sql, "2026-03-02T12:00:00Z");
    const open = (address: string, at: string) =>
      database.sql`insert into opening (scope_id, address, last_at) values (${made.capScopeId}, ${address}, ${new Date(at)})`;
    await open("+1", "2026-03-01T12:00:00Z");
    await open("+2", "2026-03-01T13:30:00Z");
    await open("+3", "2026-03-02T11:00:00Z");
    await database.sql`update cap_scope set used = 3 where id = ${made.capScopeId}`;
    expect(await senders.senderUsage(made, deps)).toMatchObject({ used: 2, cap: 2, nextFreeAt: new Date("2026-03-02T13:30:00Z") });
    await database.sql`update cap_scope set calendar_zone = 'Asia/Kolkata' where id = ${made.capScopeId}`;
    expect(await senders.senderUsage(made, deps)).toMatchObject({ used: 1, nextFreeAt: null });
    await senders.updateSender(made, { cap: 1 }, deps);
    expect(await senders.senderUsage(made, deps)).toMatchObject({ used: 1, nextFreeAt: new Date("2026-03-02T18:30:00Z") });
  });
});

describe("connecting", () => {
  test("asks the vendor, remembers what it says, and lifts the block", async () => {
    const made = await make({ cap: 1_000_000 });
    await store.blockSender(deps.sql, made.id, "Access token has expired");
    await store.blockSender(deps.sql, made.id, "a consequence");
    expect(await senders.readSender(made, deps)).toMatchObject({ blockedReason: "Access token has expired" });
    const connected = await senders.connectSender(made, deps);
    expect(connected).toMatchObject({
      blockedReason: null,
      settings: { apiBase: vendor.url, account: { displayPhoneNumber: "+1 555-078-3881", messagingLimit: "TIER_100K" } },
    });
    expect(connected.connectedAt).toBeInstanceOf(Date);
    expect(await senders.senderUsage(made, deps)).toMatchObject({ cap: 100_000 });
    await senders.updateSender(made, { cap: 200 }, deps);
    await senders.connectSender(made, deps);
    expect(await senders.senderUsage(made, deps)).toMatchObject({ cap: 200 });
  });

  test("a wrong token is refused with a sentence, and nothing is connected", async () => {
    const made = await make({ accessToken: "EAAGwrong123" });
    const refusal = await senders.connectSender(made, deps).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "provider_refused", message: expect.stringContaining("Give this sender a new access token") });
    expect(String(refusal)).not.toContain("EAAGwrong123");
    expect(await senders.readSender(made, deps)).toMatchObject({ connectedAt: null });
  });

  test.each([
    ["an unknown number", { externalId: "99999" }, "provider_refused"],
    ["nobody there", { settings: { apiBase: "http://127.0.0.1:1" } }, "not_available"],
    ["no token", { accessToken: undefined }, "not_available"],
  ])("%s", async (_name, changes, code) => {
    const made = await make(changes);
    await expect(senders.connectSender(made, deps)).rejects.toMatchObject({ code });
  });

  test("health tells who keeps it from sending", async () => {
    expect(await senders.senderHealth(await make(), deps)).toMatchObject({ canSendMessage: "AVAILABLE" });
  });

  test("a rehearsal needs no vendor", async () => {
    const made = await make({ provider: "rehearsal", externalId: "r1", accessToken: undefined });
    expect(await senders.connectSender(made, deps)).toMatchObject({ connectedAt: expect.any(Date) });
    expect(await send(made.id)).toMatchObject({ kind: "accepted" });
  });
});

describe("templates", () => {
  test("are taken over page by page, kept up to date, and become DELETED when the vendor has them no more", async () => {
    const made = await make();
    for (let at = 0; at < 250; at++) {
      vendor.putTemplate({
        name: `t_${at}`,
        language: "en_US",
        status: "APPROVED",
        category: "UTILITY",
        parameter_format: "NAMED",
        components: [{ type: "BODY", text: "Hi {{name}}" }],
      } as never);
    }
    const count = await senders.syncTemplates(made, deps);
    expect(count).toBeGreaterThanOrEqual(250);
    const first = await store.listTemplates(deps.sql, made);
    expect(first).toHaveLength(count);
    expect(first.find(({ name }) => name === "t_249")).toMatchObject({
      status: "APPROVED",
      category: "UTILITY",
      parameterFormat: "NAMED",
      components: [{ type: "BODY", text: "Hi {{name}}" }],
    });
    const gone = first.find(({ name }) => name === "t_7");
    vendor.deleteTemplate(gone?.externalId ?? "");
    expect(await senders.syncTemplates(made, deps)).toBe(count - 1);
    const second = await store.listTemplates(deps.sql, made);
    expect(second).toHaveLength(count);
    expect(second.filter(({ status }) => status === "DELETED").map(({ name }) => name)).toEqual(["t_7"]);
    expect(second.map(({ id }) => id)).toEqual(first.map(({ id }) => id));
  });

  test("a sender without an account id is told what is missing", async () => {
    const made = await make({ settings: { apiBase: vendor.url } });
    await expect(senders.syncTemplates(made, deps)).rejects.toThrow("no WhatsApp Business Account id");
  });
});

describe("the default sender", () => {
  const given = () => ({
    accessToken: vendor.token,
    phoneNumberId: vendor.phoneNumberId,
    wabaId: vendor.wabaId,
    apiBase: vendor.url,
    apiVersion: "v25.0",
    cap: 200,
    calendarZone: null,
  });

  test("is made once; a new token replaces the old and lifts the block, the same one does not", async () => {
    const made = await senders.defaultWhatsAppSender(workspaceId, given(), deps);
    await store.blockSender(deps.sql, made.id, "locked");
    const again = await senders.defaultWhatsAppSender(workspaceId, given(), deps);
    expect(again).toMatchObject({ id: made.id, blockedReason: "locked" });
    const renewed = await senders.defaultWhatsAppSender(workspaceId, { ...given(), accessToken: "EAAGnew12345" }, deps);
    expect(renewed).toMatchObject({ id: made.id, blockedReason: null });
    expect(await send(made.id)).toMatchObject({ kind: "rejected", code: "190" });
  });

  test("survives a lost CAMPANILE_SECRET: the environment has the token", async () => {
    const made = await senders.defaultWhatsAppSender(workspaceId, given(), deps);
    const keys = [credentialKey("another secret, after the loss")] as const;
    const other = { ...deps, keys, providers: openProviders({ sql: database.sql, clock, keys }) };
    await expect(other.providers.open(made.id)).rejects.toThrow("CAMPANILE_SECRET");
    await senders.defaultWhatsAppSender(workspaceId, given(), other);
    expect(await (await other.providers.open(made.id)).send(parcel, never)).toMatchObject({ kind: "accepted" });
    await other.providers.close();
  });
});

describe("an open provider", () => {
  test("is kept, and opened anew when the sender changes here or elsewhere", async () => {
    const made = await make();
    const provider = await deps.providers.open(made.id);
    expect(await provider.send(parcel, never)).toMatchObject({ kind: "accepted" });
    expect(await deps.providers.open(made.id)).toBe(provider);
    await clock.pass(60_000);
    expect(await deps.providers.open(made.id)).toBe(provider);
    await senders.updateSender(made, { accessToken: "EAAGwrong123" }, deps);
    expect(await deps.providers.open(made.id)).not.toBe(provider);
    const elsewhere = { ...deps, providers: openProviders({ sql: database.sql, clock, keys: deps.keys }) };
    await senders.updateSender(made, { accessToken: vendor.token }, elsewhere);
    expect(await send(made.id)).toMatchObject({ code: "190" });
    await clock.pass(5_000);
    expect(await send(made.id)).toMatchObject({ kind: "accepted" });
    await elsewhere.providers.close();
  });
});
