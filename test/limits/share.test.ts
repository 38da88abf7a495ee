import { expect, test } from "vitest";
import { fleet } from "../support/fleet.ts";
import { campaignOf, SECOND_MS, sharesOf } from "./judge.ts";

test.each([
  { pace: "a fast", perSecond: 20, seconds: 8 },
  { pace: "a slow", perSecond: 2, seconds: 20 },
])("four campaigns of one sender have the same share of $pace pace", async ({ perSecond, seconds }) => {
  const { place, vendor, sender, sail } = await fleet({ engines: 4 });
  const senderId = await sender({ perSecond });
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) ids.push(await place.campaign({ senderId, recipients: 100 }));
  sail();
  await place.clock.pass(seconds * SECOND_MS);
  const lines = await vendor.ledgerLines();
  expect(lines.length).toBeGreaterThanOrEqual(0.95 * perSecond * seconds);
  for (const share of sharesOf(lines, ids)) {
    expect(share).toBeGreaterThanOrEqual(0.15);
    expect(share).toBeLessThanOrEqual(0.35);
  }
});

test("a campaign of few has its share beside one of many lots, however many engines there are", async () => {
  const { place, vendor, sender, sail, nudge } = await fleet({ engines: 8 });
  const senderId = await sender({ perSecond: 20 });
  const big = await place.campaign({ senderId, recipients: 400, lotSize: 50 });
  sail();
  await place.clock.pass(2 * SECOND_MS);
  const small = await place.campaign({ senderId, recipients: 20 });
  nudge();
  // A share of ten per second.
  await place.clock.pass(4 * SECOND_MS);
  expect((await vendor.ledgerLines()).filter(({ campaign }) => campaign === small).length).toBe(20);
  expect(await campaignOf(place, big)).toMatchObject({ state: "running" });
});

test("more campaigns than an engine works on at a time: none waits for the end of another's lot", async () => {
  const { place, vendor, sender, sail } = await fleet({ engines: 1, limits: { campaignsMax: 3 } });
  const senderId = await sender({ perSecond: 10 });
  const ids: string[] = [];
  for (let i = 0; i < 6; i++) ids.push(await place.campaign({ senderId, recipients: 100 }));
  sail();
  await place.clock.pass(12 * SECOND_MS);
  for (const share of sharesOf(await vendor.ledgerLines(), ids)) expect(share).toBeGreaterThan(0.1);
});
