import { expect, test } from "vitest";
import { SLOT_LATE_MAX_MS } from "../../src/rules/limits.ts";
import { seededLuck } from "../../src/runtime/luck.ts";
import { fleet } from "../support/fleet.ts";
import { excess, SECOND_MS } from "./judge.ts";

const PER_SECOND = 20;
const begun = (lines: readonly { begunAt: string }[]) => lines.map(({ begunAt }) => Date.parse(begunAt));

test("16 engines and four campaigns on one sender: its pace is exact, in every window, and reached", async () => {
  const { place, vendor, sender, sail } = await fleet({ engines: 16 });
  const senderId = await sender({ perSecond: PER_SECOND });
  // The last has a pace of its own, too: 2 per second.
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) ids.push(await place.campaign({ senderId, recipients: 100, lotSize: 25, perMinute: i === 3 ? 120 : null }));
  sail();
  await place.clock.pass(5 * SECOND_MS);
  const lines = await vendor.ledgerLines();
  expect(excess(begun(lines), PER_SECOND, 0)).toBeLessThanOrEqual(0);
  expect(excess(begun(lines.filter(({ campaign }) => campaign === ids[3])), 2, 0)).toBeLessThanOrEqual(0);
  expect(lines.length).toBeGreaterThanOrEqual(0.95 * PER_SECOND * 5);
});

test("engines that oversleep use no slot that is more than 50 ms old: the pace is kept in every window", async () => {
  const luck = seededLuck(5);
  // Half of the engines wake up to 150 ms too late, as in a process that has too much to do.
  const { place, vendor, sender, sail } = await fleet({
    engines: 6,
    clockOf: (clock, engine) =>
      engine % 2 === 0 ? clock : { ...clock, sleep: (ms, signal) => clock.sleep(ms + Math.floor(luck.next() * 150), signal) },
  });
  const senderId = await sender({ perSecond: 2 * PER_SECOND });
  for (let i = 0; i < 4; i++) await place.campaign({ senderId, recipients: 100, lotSize: 25 });
  sail();
  await place.clock.pass(4 * SECOND_MS);
  const lines = await vendor.ledgerLines();
  expect(excess(begun(lines), 2 * PER_SECOND, SLOT_LATE_MAX_MS)).toBeLessThanOrEqual(0);
  expect(excess(begun(lines), 2 * PER_SECOND, 0)).toBeGreaterThan(0); // some were late
  expect((await vendor.ledger()).duplicates).toBe(0);
  expect(lines.length).toBeGreaterThan(PER_SECOND * 4);
});
