import { expect, test } from "vitest";
import { fleet } from "../support/fleet.ts";
import { phoneOf } from "../support/town.ts";
import { SECOND_MS, statesOf } from "./judge.ts";

test("131056: whoever was written to a moment ago waits, and nobody else", async () => {
  const PAIR_MS = 6_000;
  const { place, vendor, sender, sail } = await fleet({
    engines: 2,
    sweepMs: 2 * SECOND_MS,
    settings: { limits: { pair: { intervalMs: PAIR_MS, burst: 1 } } },
  });
  const senderId = await sender({ perSecond: 40 });
  // Three campaigns, five people who are in all of them.
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) ids.push(await place.campaign({ senderId, recipients: 25, addressOf: (p) => phoneOf(p <= 5 ? p : n * 1_000 + p) }));
  sail();
  await place.clock.pass(60 * SECOND_MS);

  const lines = await vendor.ledgerLines();
  expect(await statesOf(place, ids)).toEqual({ accepted: 75 });
  expect(vendor.stats().refused["131056"]).toBeGreaterThanOrEqual(10);
  expect(lines.every(({ attempt }) => attempt === 1)).toBe(true);
  const at = ({ at }: { at: string }) => Date.parse(at);
  const first = Math.min(...lines.map(at));
  const often = new Set([1, 2, 3, 4, 5].map(phoneOf));
  const alone = lines.filter(({ to }) => !often.has(to));
  // 75 first calls at 40 per second: nobody of those who had not been written to waited for the others.
  expect(Math.max(...alone.map(at)) - first).toBeLessThan(3 * SECOND_MS);
  for (const to of often) {
    const times = lines
      .filter((line) => line.to === to)
      .map(at)
      .sort((a, b) => a - b);
    expect(times.length).toBe(3);
    for (const [i, time] of times.entries()) if (i > 0) expect(time - (times[i - 1] ?? 0)).toBeGreaterThanOrEqual(PAIR_MS);
  }
  const [door] = await place.sql<{ current: number | null; holdUntil: Date | null }[]>`
    select current_per_second as current, hold_until from pace where owner_id = ${senderId}`;
  expect(door).toEqual({ current: null, holdUntil: null });
});
