import { expect, test } from "vitest";
import { resume } from "../../src/flow/campaign/control.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { fleet } from "../support/fleet.ts";
import { campaignOf, DAY_MS, HOUR_MS, statesOf } from "./judge.ts";

test("a full cap: `wait` goes on by itself when it frees, `pause` waits for somebody", async () => {
  const { place, sender, sail, nudge } = await fleet({ engines: 4, sweepMs: 6 * HOUR_MS });
  const [patient, strict] = [await sender({ cap: 10 }), await sender({ cap: 10 })];
  const waiting = [
    await place.campaign({ senderId: patient, recipients: 12, lotSize: 4, onDailyLimit: "wait" }),
    await place.campaign({ senderId: patient, recipients: 8, lotSize: 4, onDailyLimit: "wait", addressOf: (p) => `+4915112345${100 + p}` }),
  ];
  const paused = await place.campaign({ senderId: strict, recipients: 15, lotSize: 4, onDailyLimit: "pause" });
  sail();
  await place.clock.pass(23 * HOUR_MS);
  expect(await statesOf(place, waiting)).toEqual({ accepted: 10 });
  for (const id of waiting) expect((await campaignOf(place, id))?.state).toMatch(/running|completed/);
  expect(await campaignOf(place, paused)).toMatchObject({ state: "paused", pauseReason: "Daily limit reached: 10/10 conversations" });

  await place.clock.pass(8 * HOUR_MS);
  expect(await statesOf(place, waiting)).toEqual({ accepted: 20 });
  for (const id of waiting) expect(await campaignOf(place, id)).toMatchObject({ state: "completed", statement: { failed: 0 } });
  expect(await campaignOf(place, paused)).toMatchObject({ state: "paused" });
  expect(await statesOf(place, [paused])).toEqual({ accepted: 10 });

  await resume({ workspaceId: place.workspaceId, id: paused }, { atOnce: false }, { sql: place.sql, clock: place.clock, luck: systemLuck });
  nudge();
  await place.clock.pass(6 * HOUR_MS);
  expect(await campaignOf(place, paused)).toMatchObject({ state: "completed", statement: { accepted: 15, failed: 0 } });
  expect(place.clock.elapsedMs).toBeLessThan(2 * DAY_MS);
});
