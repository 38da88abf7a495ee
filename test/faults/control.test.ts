import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { suppress } from "../../src/flow/audience/suppressions.ts";
import { closeDue } from "../../src/flow/campaign/close.ts";
import { pause, resume, start, stop } from "../../src/flow/campaign/control.ts";
import { createCampaign } from "../../src/flow/campaign/create.ts";
import type { CampaignDeps, CampaignRef } from "../../src/flow/campaign/deps.ts";
import { editCampaign, removeCampaign } from "../../src/flow/campaign/edit.ts";
import { planStep } from "../../src/flow/campaign/plan.ts";
import { HORIZON_MS } from "../../src/rules/limits.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { FAST_TURN } from "../support/effects.ts";
import { seedList } from "../support/seed.ts";
import { phoneOf, type Town } from "../support/town.ts";
import { openTown, statesOf, work } from "./scene.ts";
import { vendorOf, whatsappAt, wire } from "./wire.ts";

const depsOf = (place: Town): CampaignDeps => ({ sql: place.sql, clock: place.clock, luck: systemLuck });

/** A campaign as whoever steers it sees it. */
interface Seen {
  readonly state: "draft" | "scheduled" | "running" | "paused" | "stopped" | "gone";
  readonly planned: boolean;
}
type Action = "start" | "plan" | "pause" | "resume" | "stop" | "edit" | "remove";
interface Step {
  readonly answer: string;
  readonly after: Seen;
}

/** What one action answers to whoever finds the campaign so, and how it is then. The whole of the contract, written down once more. */
function stepOf(action: Action, seen: Seen): Step {
  const { state, planned } = seen;
  const refused = (answer = "transition_refused"): Step => ({ answer, after: seen });
  const to = (next: Seen["state"], isPlanned = planned): Step => ({ answer: next, after: { state: next, planned: isPlanned } });
  if (state === "gone") return refused(action === "plan" ? "null" : "campaign_not_found");
  switch (action) {
    case "start":
      if (state === "draft") return to("scheduled");
      return refused(state === "scheduled" || state === "running" ? "already_running" : undefined);
    case "plan":
      return state === "scheduled" ? to("running", true) : refused(state);
    case "pause":
      return state === "scheduled" || state === "running" ? to("paused") : refused();
    case "resume":
      return state === "paused" ? to(planned ? "running" : "scheduled") : refused();
    case "stop":
      return state === "stopped" ? refused() : to("stopped");
    case "edit":
      return state === "draft" || state === "scheduled" ? { answer: "edited", after: seen } : refused();
    case "remove":
      return state === "draft" || state === "stopped" ? { answer: "removed", after: { state: "gone", planned } } : refused();
  }
}

async function perform(action: Action, ref: CampaignRef, deps: CampaignDeps): Promise<string> {
  const acts: Record<Action, () => Promise<unknown>> = {
    start: async () => (await start(ref, { atOnce: false }, deps)).state,
    plan: () => planStep(ref, deps),
    pause: async () => (await pause(ref, { reason: null }, deps)).state,
    resume: async () => (await resume(ref, { atOnce: false }, deps)).state,
    stop: async () => (await stop(ref, deps)).state,
    edit: async () => (await editCampaign(ref, { name: "another name" }, deps)) && "edited",
    remove: async () => (await removeCampaign(ref, deps)) && "removed",
  };
  return acts[action]().then(String, (error: unknown) => (error instanceof Error && "code" in error ? String(error.code) : String(error)));
}

/** Is there an order of the actions, one after the other, in which each would have answered as it did, and which ends as it ended? */
function isExplained(begin: Seen, done: readonly { action: Action; answer: string }[], end: Seen["state"]): boolean {
  if (done.length === 0) return begin.state === end;
  return done.some((one, i) => {
    const step = stepOf(one.action, begin);
    return step.answer === one.answer && isExplained(step.after, done.toSpliced(i, 1), end);
  });
}

test("whatever is asked of a campaign at the same moment, the answers are those of some order", { timeout: 60_000 }, async () => {
  const place = await openTown();
  const deps = depsOf(place);
  const listId = await seedList(place.sql, place, 3);
  const { workspaceId, senderId } = place;
  const action = fc.constantFrom<Action>("start", "plan", "pause", "resume", "stop", "edit", "remove");
  const frequent = fc.oneof({ weight: 4, arbitrary: fc.constantFrom<Action>("start", "plan", "pause", "resume") }, { weight: 1, arbitrary: action });
  const history = fc.record({ before: fc.array(frequent, { maxLength: 3 }), atOnce: fc.array(frequent, { minLength: 4, maxLength: 7 }) });
  let together = 0;
  await fc.assert(
    fc.asyncProperty(history, async ({ before, atOnce }) => {
      const input = {
        workspaceId,
        senderId,
        surface: "engine",
        name: "Spring",
        message: { type: "text", text: "Hi" },
        audience: { type: "list", listId },
      } as const;
      const { id } = await createCampaign(input, { ...deps, enlist: async () => [] });
      const ref = { workspaceId, id };
      let seen: Seen = { state: "draft", planned: false };
      for (const one of before) {
        const step = stepOf(one, seen);
        expect(await perform(one, ref, deps)).toBe(step.answer);
        seen = step.after;
      }
      const done = await Promise.all(atOnce.map(async (one) => ({ action: one, answer: await perform(one, ref, deps) })));
      together += done.length;
      const [row] = await place.sql<
        { state: Seen["state"]; gone: boolean }[]
      >`select state, deleted_at is not null as gone from campaign where id = ${id}`;
      const end = row?.gone ? "gone" : (row?.state ?? "gone");
      if (!isExplained(seen, done, end))
        throw new Error(`from ${seen.state} to ${end}: ${done.map((one) => `${one.action}=${one.answer}`).join(" ")}`);
    }),
    { numRuns: 20, seed: 61 },
  );
  expect(together).toBeGreaterThan(80);
});

test("a pause waits for the turns that stand in the queue before it, and for no others, however many engines there are", {
  timeout: 60_000,
}, async () => {
  const place = await openTown();
  const id = await place.campaign({ recipients: 3_000, lotSize: 25 });
  let commits = 0;
  // At full speed a turn is one statement, which commits by itself.
  const after = (name: string) => {
    if (name === "commit" || name === FAST_TURN) commits++;
  };
  work(place, { engines: 16, watcher: { before() {}, after } });
  const passing = place.clock.pass(2_000);
  while (commits < 50) await new Promise((resolve) => setImmediate(resolve));
  const before = commits;
  const { inFlight } = await pause({ workspaceId: place.workspaceId, id }, { reason: null }, depsOf(place));
  const waitedFor = commits - before;
  await passing;
  expect(waitedFor, "16 engines have 6 connections each").toBeLessThanOrEqual(16 * 6);
  const { accepted = 0 } = await statesOf(place, id);
  expect(accepted + inFlight, "it was in the middle").toBeLessThan(3_000);
});

test("a campaign that is stopped and removed while calls are on their way: nothing new is sent, and what was sent is still accounted for", async () => {
  const place = await openTown({ perSecond: 40 });
  const { vendor, hear } = await vendorOf(place);
  const slow = [phoneOf(5), phoneOf(10)];
  for (const phone of slow) vendor.script({ phone: phone.slice(1), mix: { faults: { timeoutAccepted: 1 } } });
  const id = await place.campaign({ recipients: 60 });
  const wired = wire(place, { provider: whatsappAt(place, vendor), hangs: (address) => slow.includes(address) });
  await wired.pass(500);
  const ref = { workspaceId: place.workspaceId, id };
  const { inFlight } = await stop(ref, depsOf(place));
  const { accepted: before } = await vendor.ledger(id);
  expect(inFlight).toBeGreaterThanOrEqual(2);
  await removeCampaign(ref, depsOf(place));
  await wired.pass(30_000);
  await hear();
  await wired.pass(10_000);
  await closeDue(10, depsOf(place));
  const { accepted, duplicates } = await vendor.ledger(id);
  expect(accepted).toBeLessThanOrEqual(before + inFlight);
  expect(duplicates).toBe(0);
  expect(await statesOf(place, id)).toEqual({ accepted, skipped: 60 - accepted });
  const [row] = await place.sql`select statement is not null as stated, deleted_at is not null as gone from campaign where id = ${id}`;
  expect(row).toEqual({ stated: true, gone: true });
});

describe("whoever asks not to be written to", () => {
  /** One number in the ways in which people write it. */
  const spellings = (phone: string) => [phone, phone.slice(1), `00${phone.slice(1)}`, `${phone.slice(0, 3)} ${phone.slice(3, 8)}-${phone.slice(8)}`];

  test("a moment before his turn is not written to once that is acknowledged, but for what was marked already", async () => {
    const place = await openTown({ perSecond: 20 });
    const id = await place.campaign({ recipients: 120 });
    const hands = work(place, { engines: 2, latencyMs: 40 });
    const asked = new Map<string, number>();
    for (let step = 0; step < 100; step++) {
      await place.clock.pass(50 + (step % 7));
      const address = phoneOf((hands.sent.at(-1)?.position ?? 0) + 1 + (step % 4));
      if (step % 3 !== 0 || asked.has(address)) continue;
      const spelled = spellings(address)[step % 4] ?? address;
      await suppress(place.sql, place.workspaceId, { channel: "whatsapp", address: spelled, country: "IN", reason: "asked", source: "test" });
      asked.set(address, place.clock.elapsedMs);
    }
    await place.clock.pass(5_000);
    const later = hands.sent.filter(({ address, atMs }) => atMs > (asked.get(address) ?? Number.POSITIVE_INFINITY) + HORIZON_MS);
    expect(later).toEqual([]);
    const spared = [...asked.keys()].filter((address) => !hands.sent.some((one) => one.address === address));
    expect(spared.length).toBeGreaterThan(5);
    expect(await statesOf(place, id)).toEqual({ accepted: hands.sent.length, skipped: spared.length });
  });

  test("with hundreds of others, in the middle of a campaign, is spared like them, and the campaign goes on meanwhile", async () => {
    const place = await openTown({ perSecond: 200 });
    const id = await place.campaign({ recipients: 800 });
    const hands = work(place, { latencyMs: 20 });
    await place.clock.pass(1_000);
    const asking = Promise.all(
      Array.from({ length: 400 }, (_, i) =>
        suppress(place.sql, place.workspaceId, {
          channel: "whatsapp",
          address: spellings(phoneOf(2 * i + 1))[i % 4] ?? "",
          country: "IN",
          reason: "asked",
          source: "test",
        }),
      ),
    );
    await place.clock.pass(500);
    const during = hands.sent.length;
    await asking;
    const askedAt = place.clock.elapsedMs;
    await place.clock.pass(6_000);
    expect(hands.sent.filter(({ position, atMs }) => position % 2 === 1 && atMs > askedAt + HORIZON_MS)).toEqual([]);
    expect(during).toBeGreaterThan(200);
    const { accepted = 0, skipped = 0 } = await statesOf(place, id);
    expect([accepted, accepted + skipped]).toEqual([hands.sent.length, 800]);
  });
});
