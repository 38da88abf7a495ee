import { afterEach, expect, test } from "vitest";
import { Refusal } from "../../src/rules/refusal.ts";
import { busiest, type Crew, type CrewOptions, crew } from "../support/crew.ts";
import { type CampaignOptions, phoneOf, type Town, type TownOptions, town } from "../support/town.ts";

const open: { place?: Town; hands?: Crew } = {};
const EXPECTED = [
  "the provider refuses this sender; its campaigns pause",
  "a lot was left in the middle; it is recovered when its lease runs out: a fault",
];
afterEach(async () => {
  await open.hands?.stop();
  expect(open.place?.errors.filter((error) => !EXPECTED.includes(error)) ?? []).toEqual([]);
  await open.place?.close();
  delete open.hands;
  delete open.place;
});

async function begin(town_: TownOptions, campaign: CampaignOptions, hands: CrewOptions = {}) {
  const place = await town(town_);
  open.place = place;
  const id = await place.campaign(campaign);
  const crew_ = crew(place, hands);
  open.hands = crew_;
  return { place, id, crew: crew_ };
}

const HOUR_MS = 3_600_000;
const receive = async (place: Town, id: string, receipt: { position: number; kind: string; providerRef: string }) => {
  await place.sql`insert into receipt (campaign_id, stage, position, attempt, kind, at, provider_ref)
    values (${id}, 1, ${receipt.position}, 1, ${receipt.kind}, campanile.clock(), ${receipt.providerRef})`;
  for (const kind of receipt.kind === "delivered" ? ["delivered", "sent"] : [receipt.kind])
    await place.sql`insert into receipt_count (campaign_id, stage, kind, messages) values (${id}, 1, ${kind}, 1)`;
};
const states = async (place: Town, id: string) =>
  Object.fromEntries(
    (await place.sql<{ state: string; n: number }[]>`select state, count(*)::int as n from message where campaign_id = ${id} group by 1`).map(
      ({ state, n }) => [state, n],
    ),
  );
const campaign = async (place: Town, id: string) => {
  const [row] = await place.sql<
    { state: string; pauseReason: string | null; statement: Record<string, number> | null }[]
  >`select state, pause_reason, statement from campaign where id = ${id}`;
  return row;
};
const everybodyOnce = (crew_: Crew, recipients: number) =>
  expect(crew_.sent.map((one) => one.position).sort((a, b) => a - b)).toEqual(Array.from({ length: recipients }, (_, i) => i + 1));

test("a campaign without a pace reaches everybody once, each lot in order, and completes with a statement", async () => {
  const { place, id, crew } = await begin({}, { recipients: 600, lotSize: 250 });
  await place.clock.pass(5_000);
  everybodyOnce(crew, 600);
  expect(crew.sent.find(({ position }) => position === 1)?.text).toBe("Hi N1");
  for (const first of [1, 251, 501]) {
    const lot = crew.sent.map(({ position }) => position).filter((position) => position >= first && position < first + 250);
    expect(lot).toEqual(lot.toSorted((a, b) => a - b));
  }
  expect(await campaign(place, id)).toMatchObject({ state: "completed", statement: { recipients: 600, accepted: 600, failed: 0, uncertain: 0 } });
});

test("several engines together keep a sender's pace, and use it", async () => {
  const { place, crew } = await begin({ perSecond: 20 }, { recipients: 300, lotSize: 50 }, { engines: 3, latencyMs: 120 });
  await place.clock.pass(10_000);
  expect(busiest(crew.sent, 1_000)).toBeLessThanOrEqual(20 * 1.05 + 1);
  expect(busiest(crew.sent, 5_000)).toBeLessThanOrEqual(20 * 5.05 + 1);
  expect(crew.sent.length).toBeGreaterThanOrEqual(190);
});

test("at 20 per minute one message goes every three seconds, and one at most is in doubt", async () => {
  const { place, id, crew } = await begin({ perSecond: 80 }, { recipients: 10, perMinute: 20 });
  await place.clock.pass(10_000);
  expect(crew.sent.map((one) => Math.round(one.atMs / 3_000))).toEqual([0, 1, 2, 3]);
  const [lot] = await place.sql<{ handed: number }[]>`select handed from lot where campaign_id = ${id}`;
  expect(lot?.handed).toBe(4);
});

test("a campaign stops at the daily cap and goes on as it frees", { timeout: 60_000 }, async () => {
  const { place, id, crew } = await begin({ cap: 20 }, { recipients: 30 }, { engines: 2, sweepMs: HOUR_MS / 2 });
  await place.clock.pass(23 * HOUR_MS);
  expect(crew.sent.length).toBe(20);
  expect(await campaign(place, id)).toMatchObject({ state: "running" });
  await place.clock.pass(2 * HOUR_MS);
  everybodyOnce(crew, 30);
});

test("onDailyLimit pause: the campaign pauses and says how full it is", async () => {
  const { place, id, crew } = await begin({ cap: 5 }, { recipients: 8, onDailyLimit: "pause" });
  await place.clock.pass(2_000);
  expect(crew.sent.length).toBe(5);
  expect(await campaign(place, id)).toMatchObject({ state: "paused", pauseReason: "Daily limit reached: 5/5 conversations" });
});

test("an opening whose call is known not to have been made is given back", async () => {
  const refused = { kind: "rejected", code: "131026", cause: "not on WhatsApp", remedy: "fail" } as const;
  const { place, id, crew } = await begin(
    { cap: 5 },
    { recipients: 10, onDailyLimit: "pause" },
    { outcome: ({ position }) => (position <= 3 ? refused : undefined) },
  );
  await place.clock.pass(2_000);
  expect(crew.sent.length).toBe(8);
  expect(await states(place, id)).toEqual({ failed: 3, accepted: 5 });
  const [scope] = await place.sql<{ used: number; open: number }[]>`select used, (select count(*)::int from opening) as open from cap_scope`;
  expect(scope).toEqual({ used: 5, open: 5 });
});

test("whoever is suppressed while the campaign runs is not written to", async () => {
  const { place, id, crew } = await begin({ perSecond: 10 }, { recipients: 30 });
  await place.clock.pass(1_000);
  await place.sql`insert into suppression (workspace_id, channel, address, reason, source) values (${place.workspaceId}, 'whatsapp', ${phoneOf(25)}, 'opt_out', 'test')`;
  await place.clock.pass(5_000);
  expect(crew.sent.some((one) => one.position === 25)).toBe(false);
  expect(await states(place, id)).toEqual({ accepted: 29, skipped: 1 });
  expect((await campaign(place, id))?.statement).toMatchObject({ skipped: { suppressed: 1 } });
});

test("whom the vendor reports as opted out is not written to again", async () => {
  const optedOut = { kind: "rejected", code: "131050", cause: "opted out", remedy: "suppress" } as const;
  const { place, id, crew } = await begin({}, { recipients: 3 }, { outcome: ({ position }) => (position === 2 ? optedOut : undefined) });
  await place.clock.pass(2_000);
  expect(await states(place, id)).toEqual({ accepted: 2, failed: 1 });
  const next = await place.campaign({ recipients: 3 });
  await place.clock.pass(10_000);
  expect(await states(place, next)).toEqual({ accepted: 2, skipped: 1 });
  expect(crew.sent.filter((one) => one.address === phoneOf(2)).length).toBe(1);
});

test("nobody without an address or a variable is written to, and the statement says why", async () => {
  const options = {
    recipients: 4,
    addressOf: (position: number) => (position === 2 ? null : phoneOf(position)),
    message: { type: "text", text: "Hi {{firstName}} of {{city}}" },
  } as const;
  const { place, id, crew } = await begin({}, options);
  await place.clock.pass(1_000);
  expect(crew.sent).toEqual([]);
  const rows = await place.sql<{ code: string; cause: string }[]>`select code, cause from message where campaign_id = ${id} order by position`;
  expect(rows.map((row) => `${row.code} ${row.cause}`)[0]).toBe("missing_variable city");
  expect((await campaign(place, id))?.state).toBe("completed");
});

test("a message whose time is over is skipped, not sent late", async () => {
  const { place, id, crew } = await begin({ perSecond: 1 }, { recipients: 10, expiresAt: new Date("2026-03-02T09:00:04.500Z") });
  await place.clock.pass(8_000);
  expect(crew.sent.length).toBe(5);
  expect((await campaign(place, id))?.statement).toMatchObject({ accepted: 5, skipped: { expired: 5 } });
});

test("a refusal for the time being is tried again, three times at most", async () => {
  const refused = { kind: "rejected", code: "1", cause: "try again", remedy: "retry" } as const;
  const { place, id, crew } = await begin(
    {},
    { recipients: 3 },
    { sweepMs: 10_000, outcome: ({ position, attempt }) => (position === 1 || (position === 2 && attempt < 3) ? refused : undefined) },
  );
  await place.clock.pass(HOUR_MS);
  expect(crew.sent.filter((one) => one.position === 1).map((one) => one.attempt)).toEqual([1, 2, 3]);
  expect(crew.sent.filter((one) => one.position === 2).map((one) => one.attempt)).toEqual([1, 2, 3]);
  expect(await states(place, id)).toEqual({ accepted: 2, failed: 1 });
  const [ended] = await place.sql<{ n: number }[]>`select count(*)::int as n from attempt where campaign_id = ${id}`;
  expect(ended?.n).toBe(4);
});

test("being throttled is waiting: nobody fails, no attempt is counted, and the sender slows down", async () => {
  const throttled = { kind: "throttled", code: "130429", cause: "too fast", scope: "sender", retryAfterMs: 2_000 } as const;
  const { place, id, crew } = await begin(
    { perSecond: 40 },
    { recipients: 60 },
    { outcome: ({ position }, calls) => (position === 10 && calls < 4 ? throttled : undefined) },
  );
  await place.clock.pass(200);
  await place.clock.pass(60_000);
  expect(await states(place, id)).toEqual({ accepted: 60 });
  expect(crew.sent.filter((one) => one.position === 10).map((one) => one.attempt)).toEqual([1, 1, 1, 1]);
  expect(
    (await place.sql<{ current: number }[]>`select current_per_second as current from pace where owner_id = ${place.senderId}`)[0]?.current,
  ).toBeLessThanOrEqual(20);
});

test("a refused sender fails nobody: its campaigns pause with the reason, and go on later", async () => {
  const blocked = { kind: "rejected", code: "190", cause: "The access token has expired.", remedy: "block_sender" } as const;
  let expired = true;
  const { place, id, crew } = await begin(
    { perSecond: 20 },
    { recipients: 20 },
    { outcome: ({ position }) => (expired && position > 5 ? blocked : undefined) },
  );
  const other = await place.campaign({ recipients: 5, addressOf: (position) => phoneOf(100 + position) });
  await place.clock.pass(10_000);
  expect(await campaign(place, id)).toMatchObject({ state: "paused", pauseReason: "The access token has expired." });
  expect(await campaign(place, other)).toMatchObject({ state: expect.stringMatching(/paused|completed/) });
  expect((await states(place, id))["failed"]).toBeUndefined();
  expired = false;
  await place.sql`update sender set blocked_reason = null`;
  await place.sql`update campaign set state = 'running', pause_reason = null where state = 'paused'`;
  await place.clock.pass(10_000);
  expect(await states(place, id)).toEqual({ accepted: 20 });
  expect(crew.sent.length).toBeLessThan(40);
});

test("what nobody can tell is uncertain, is not sent again, and a receipt settles it", async () => {
  const lost = { kind: "uncertain", code: "no_answer", cause: "no answer" } as const;
  const { place, id, crew } = await begin(
    {},
    { recipients: 20 },
    { sweepMs: 30_000, outcome: ({ position }) => (position % 10 === 0 ? lost : undefined) },
  );
  await place.clock.pass(HOUR_MS);
  everybodyOnce(crew, 20);
  expect((await campaign(place, id))?.statement).toMatchObject({ accepted: 18, uncertain: 2 });
  await receive(place, id, { position: 10, kind: "delivered", providerRef: "wamid.ten" });
  await place.clock.pass(60_000);
  expect(await states(place, id)).toEqual({ accepted: 19, uncertain: 1 });
  expect((await campaign(place, id))?.statement).toMatchObject({ accepted: 18, uncertain: 2, amendments: [{ accepted: 1, uncertain: -1 }] });
});

test("onUncertain resend: sent again after a quarter of an hour without a receipt, not with one", async () => {
  const lost = { kind: "uncertain", code: "no_answer", cause: "no answer" } as const;
  const { place, id, crew } = await begin(
    {},
    { recipients: 12, onUncertain: "resend" },
    { sweepMs: 10_000, outcome: ({ position, attempt }) => (position >= 11 && attempt === 1 ? lost : undefined) },
  );
  await place.clock.pass(60_000);
  await receive(place, id, { position: 12, kind: "sent", providerRef: "wamid.twelve" });
  await place.clock.pass(20 * 60_000);
  expect(crew.sent.filter((one) => one.position === 11).map((one) => one.attempt)).toEqual([1, 2]);
  expect(crew.sent.filter((one) => one.position === 12).map((one) => one.attempt)).toEqual([1]);
  expect(await campaign(place, id)).toMatchObject({ state: "completed", statement: { accepted: 12, uncertain: 0 } });
});

test("a provider that answers nobody clearly is held after one window, then tried one by one", async () => {
  const lost = { kind: "uncertain", code: "no_answer", cause: "no answer" } as const;
  let failing = true;
  const { place, id, crew } = await begin({ perSecond: 40 }, { recipients: 100 }, { outcome: () => (failing ? lost : undefined), latencyMs: 50 });
  await place.clock.pass(20_000);
  expect(crew.sent.length).toBeLessThanOrEqual(10);
  failing = false;
  await place.clock.pass(120_000);
  const { accepted = 0, uncertain = 0 } = await states(place, id);
  expect(accepted + uncertain).toBe(100);
  expect(uncertain).toBeLessThanOrEqual(10);
});

test("a pause is kept: what was marked begins within 250 ms or not at all, and a resume goes on where it stood", async () => {
  const { place, id, crew } = await begin({ perSecond: 40 }, { recipients: 200 }, { engines: 2, latencyMs: 30 });
  await place.clock.pass(1_000);
  await place.sql`update campaign set state = 'paused', epoch = epoch + 1 where id = ${id}`;
  const pausedAt = place.clock.elapsedMs;
  await place.clock.pass(5_000);
  expect(Math.max(...crew.sent.map((one) => one.atMs))).toBeLessThanOrEqual(pausedAt + 250);
  const lots = await place.sql<{ holder: string | null }[]>`select holder from lot where campaign_id = ${id}`;
  expect(lots.every((lot) => lot.holder === null)).toBe(true);
  await place.sql`update campaign set state = 'running' where id = ${id}`;
  await place.clock.pass(10_000);
  everybodyOnce(crew, 200);
});

test("a campaign whose first messages all fail by what may be its own fault pauses", async () => {
  const wrong = { kind: "rejected", code: "100", cause: "Invalid parameter", remedy: "fail", suspect: true } as const;
  const { place, id, crew } = await begin({ perSecond: 40 }, { recipients: 200 }, { outcome: () => wrong });
  await place.clock.pass(10_000);
  expect(await campaign(place, id)).toMatchObject({ state: "paused", pauseReason: expect.stringContaining("all failed") });
  expect(crew.sent.length).toBeLessThan(60);
});

test("stopping the engine gives every lot back; another goes on, and nothing is in doubt", async () => {
  const { place, id, crew: first } = await begin({ perSecond: 50 }, { recipients: 100 }, { latencyMs: 100 });
  await place.clock.pass(700);
  await first.stop();
  const [lot] = await place.sql<{ holder: string | null }[]>`select holder from lot where campaign_id = ${id}`;
  expect(lot?.holder).toBeNull();
  const second = crew(place);
  open.hands = second;
  await place.clock.pass(5_000);
  expect([...first.sent, ...second.sent].length).toBe(100);
  expect(await states(place, id)).toEqual({ accepted: 100 });
});

test("a storm of throttled answers halves the rate once, and the sender comes back", async () => {
  let throttling = true;
  const throttled = { kind: "throttled", code: "130429", cause: "too fast", scope: "sender", retryAfterMs: 1_000 } as const;
  const { place, id } = await begin({ perSecond: 80 }, { recipients: 200 }, { latencyMs: 300, outcome: () => (throttling ? throttled : undefined) });
  await place.clock.pass(800);
  throttling = false;
  await place.clock.pass(60_000);
  expect(await states(place, id)).toEqual({ accepted: 200 });
});

test("onUncertain resend: sent three times at most, and the campaign ends", async () => {
  const lost = { kind: "uncertain", code: "no_answer", cause: "no answer" } as const;
  const { place, id, crew } = await begin(
    {},
    { recipients: 12, onUncertain: "resend" },
    { sweepMs: 30_000, outcome: ({ position }) => (position === 7 ? lost : undefined) },
  );
  await place.clock.pass(2 * HOUR_MS);
  expect(crew.sent.filter((one) => one.position === 7).map((one) => one.attempt)).toEqual([1, 2, 3]);
  expect(await campaign(place, id)).toMatchObject({ state: "completed", statement: { accepted: 11, uncertain: 1 } });
});

test("a cap that is set while a campaign runs knows whom it has written to", async () => {
  const { place, crew } = await begin({ perSecond: 20 }, { recipients: 200 });
  await place.clock.pass(2_000);
  const before = crew.sent.length;
  await place.sql`update cap_scope set cap = ${before + 5}`;
  await place.clock.pass(10_000);
  expect(crew.sent.length).toBe(before + 5);
});

test("a cap of nobody writes to nobody, and costs nothing", async () => {
  const { place, id, crew } = await begin({ cap: 0 }, { recipients: 5 });
  await place.clock.pass(5_000);
  expect(crew.sent).toEqual([]);
  const [lot] = await place.sql<{ token: number }[]>`select token from lot where campaign_id = ${id}`;
  expect(lot?.token).toBeLessThan(5);
});

test("a sender that cannot be opened pauses its campaigns with the reason; others go on", async () => {
  const { place, id } = await begin({}, { recipients: 5 });
  await place.clock.pass(1_000);
  expect(await campaign(place, id)).toMatchObject({ state: "completed" });
  await open.hands?.stop();
  const hands = crew(place, {});
  for (const engine of hands.engines)
    Object.assign(engine, { openProvider: async () => Promise.reject(new Refusal("not_found", { what: "sender", id: "x" })) });
  open.hands = hands;
  const next = await place.campaign({ recipients: 5, addressOf: (position) => phoneOf(50 + position) });
  await place.clock.pass(10_000);
  expect(await campaign(place, next)).toMatchObject({ state: "paused", pauseReason: expect.stringContaining("no sender") });
});

test("a campaign that only execute-batch drives is recovered by an engine, and not sent by it", async () => {
  const place = await town();
  open.place = place;
  const id = await place.campaign({ recipients: 30, engine: false });
  await place.sql`update lot set holder = ${place.senderId}, handed = 2, lease_until = campanile.clock() - interval '1 hour'`;
  open.hands = crew(place);
  await place.clock.pass(10_000);
  expect(open.hands.sent).toEqual([]);
  expect(await states(place, id)).toEqual({ uncertain: 2 });
});

test("a turn that fails for an unknown reason loses no answer, and the lot goes on", async () => {
  let marks = 0;
  const watcher = {
    before(name: string) {
      if (name === "update pace" && ++marks === 3) throw new Error("a fault");
    },
    after() {},
  };
  const { place, id } = await begin({ perSecond: 40 }, { recipients: 100 }, { latencyMs: 40, watcher });
  await place.clock.pass(60_000);
  expect(await states(place, id)).toEqual({ accepted: 100 });
});
