import { expect, test } from "vitest";
import { OPENING_MARGIN_MS } from "../../src/rules/limits.ts";
import { maxInWindow } from "../../vendor/judge.ts";
import { fleet } from "../support/fleet.ts";
import { phoneOf } from "../support/town.ts";
import { DAY_MS, HOUR_MS, peopleIn, SECOND_MS, statesOf } from "./judge.ts";

const CAP = 200;
/** An opening outlasts its 24 hours by what its call may take; so long a place may stay empty, and a moment for the next to be sent. */
const IDLE_MS = OPENING_MARGIN_MS + 10 * SECOND_MS;

test("16 engines, four campaigns, three days: never more than the cap in any 24 hours, and hardly ever less", { timeout: 120_000 }, async () => {
  const fleet_ = await fleet({
    engines: 16,
    sweepMs: 6 * HOUR_MS,
    // Some calls take long to be heard: they count from then on, and their openings must outlast that.
    wayMs: ({ address }) => (address.endsWith("7") ? 9_000 : 0),
    settings: { seed: 3, mix: { faults: { reset: 0.01, resetAccepted: 0.01 } }, limits: { messaging: CAP } },
  });
  const { place, vendor, ships } = fleet_;
  const senderId = await fleet_.sender({ cap: CAP });
  fleet_.sail();
  const ids: string[] = [];
  // A tenth of each audience is in the others' too: whoever is open already costs nothing.
  const begin = async (recipients: number) => {
    const addressOf = (p: number) => phoneOf(p <= recipients / 10 ? p : ids.length * 1_000 + p);
    ids.push(await place.campaign({ senderId, recipients, lotSize: 25, addressOf }));
    fleet_.nudge();
  };
  await begin(50);
  await place.clock.pass(3 * HOUR_MS);
  await begin(75);
  await place.clock.pass(4 * HOUR_MS);
  await begin(300);
  await place.clock.pass(SECOND_MS);
  // Power cuts in the middle of the rush: what they were sending is in doubt, and counts.
  await Promise.all(ships.slice(0, 8).map((ship) => ship.sink()));
  await place.clock.pass(5 * HOUR_MS);
  await begin(500);
  await place.clock.pass(3 * DAY_MS + SECOND_MS - place.clock.elapsedMs);

  const lines = await vendor.ledgerLines();
  const states = await statesOf(place, ids);
  const { failed = 0, uncertain = 0 } = states;
  const [fullest] = await maxInWindow(lines, { windowMs: DAY_MS });
  const first = Date.parse(lines[0]?.at ?? "") - 1;
  const starts = Array.from({ length: (2 * DAY_MS) / (30 * SECOND_MS) }, (_, i) => first + i * 30 * SECOND_MS);
  const emptiest = Math.min(...peopleIn(lines, starts, DAY_MS + IDLE_MS));
  console.log({ fullest, emptiest, states, lines: lines.length, cpu: process.cpuUsage().user / 1e6 }, vendor.stats().refused, vendor.stats().faults);
  expect(fullest?.max).toBeLessThanOrEqual(CAP);
  expect(emptiest).toBeGreaterThanOrEqual(CAP - uncertain);
  expect(uncertain).toBeLessThan(CAP / 10);
  expect(failed).toBe(0);
  expect(vendor.stats().refused["131048"]).toBeUndefined();
  expect((await vendor.ledger()).duplicates).toBe(0);
});
