import { expect, test } from "vitest";
import { updateSender } from "../../src/flow/provider/sender.ts";
import { maxInWindow } from "../../vendor/judge.ts";
import { fleet } from "../support/fleet.ts";
import { phoneOf } from "../support/town.ts";
import { campaignOf, DAY_MS, HOUR_MS, SECOND_MS, statesOf } from "./judge.ts";

const others = (p: number) => phoneOf(1_000 + p);

test("two numbers of one portfolio share its cap: together they write to no more people than one may", async () => {
  const CAP = 40;
  const { place, vendor, sender, sail } = await fleet({ engines: 6, sweepMs: 6 * HOUR_MS, settings: { limits: { messaging: CAP } } });
  const first = await sender({ cap: CAP, portfolio: "Acme" });
  const second = await sender({ cap: 1_000, portfolio: "Acme" });
  // Ten people are in both audiences: whoever one number has written to is no new one for the other.
  const ids = [
    await place.campaign({ senderId: first, recipients: 30, lotSize: 10 }),
    await place.campaign({ senderId: second, recipients: 30, lotSize: 10, addressOf: (p) => (p <= 10 ? phoneOf(p) : others(p)) }),
  ];
  sail();
  await place.clock.pass(HOUR_MS);
  const soFar = await vendor.ledgerLines();
  expect(new Set(soFar.map(({ phoneNumberId }) => phoneNumberId)).size).toBe(2);
  expect(new Set(soFar.map(({ to }) => to)).size).toBe(CAP);
  await place.clock.pass(DAY_MS);
  expect(await statesOf(place, ids)).toEqual({ accepted: 60 });
  const [fullest] = await maxInWindow(await vendor.ledgerLines(), { windowMs: DAY_MS, together: true });
  expect(fullest?.max).toBe(CAP);
  expect(vendor.stats().refused["131048"]).toBeUndefined();
});

test("a portfolio's cap that is raised at one number wakes the campaigns of the other, and their retries", async () => {
  const { place, vendor, sender, senders, sail, nudge } = await fleet({ engines: 1, sweepMs: 10 * SECOND_MS });
  const first = await sender({ cap: 10, portfolio: "Acme" });
  const second = await sender({ portfolio: "Acme" });
  // The first of them is to be tried again after half a minute, when the cap is full.
  vendor.script({ phone: phoneOf(1).slice(1), attempt: 1, mix: { successRate: 0, answerShare: 1, answerFailures: { "135000": 1 } } });
  const id = await place.campaign({ senderId: second, recipients: 20 });
  sail();
  await place.clock.pass(HOUR_MS);
  expect(await statesOf(place, [id])).toEqual({ accepted: 10, queued: 1 });
  await updateSender({ workspaceId: place.workspaceId, id: first }, { cap: 100 }, senders);
  nudge();
  await place.clock.pass(60 * SECOND_MS);
  expect(await statesOf(place, [id])).toEqual({ accepted: 20 });
  expect(await campaignOf(place, id)).toMatchObject({ state: "completed" });
});
