import { expect, test } from "vitest";
import { parseReference } from "../../src/rules/reference.ts";
import { fleet } from "../support/fleet.ts";
import { phoneOf } from "../support/town.ts";
import { SECOND_MS, statesOf } from "./judge.ts";

const SLOW = 4;
const number = (sender: number, p: number) => phoneOf(sender * 100 + p);
/** Refused for the time being at first, then accepted. */
const again = { successRate: 0, answerShare: 1, answerFailures: { "135000": 1 } };

test("the retries of slow senders do not keep another's waiting", async () => {
  const { place, vendor, sender, sail, nudge } = await fleet({
    engines: 1,
    sweepMs: SECOND_MS,
    // The second attempts of all senders but the last take nine seconds each.
    wayMs: ({ address, reference }) => (address < number(SLOW, 0) && parseReference(reference)?.attempt === 2 ? 9_000 : 0),
  });
  const begin = async (n: number) => {
    for (let p = 1; p <= 5; p++) vendor.script({ phone: number(n, p).slice(1), attempt: 1, mix: again });
    return place.campaign({ senderId: await sender(), recipients: 5, addressOf: (p) => number(n, p) });
  };
  const slow: string[] = [];
  for (let n = 0; n < SLOW; n++) slow.push(await begin(n));
  sail();
  // Retries come after 27 to 33 seconds: those of the quick sender after all the others.
  await place.clock.pass(7 * SECOND_MS);
  const quick = await begin(SLOW);
  nudge();
  await place.clock.pass(36 * SECOND_MS);
  expect(await statesOf(place, [quick])).toEqual({ accepted: 5 });
  await place.clock.pass(45 * SECOND_MS);
  expect(await statesOf(place, slow)).toEqual({ accepted: 5 * SLOW });
});

test("a retry is not kept waiting by the lots of its own sender", async () => {
  const { place, vendor, sender, sail } = await fleet({ engines: 2, sweepMs: SECOND_MS });
  const senderId = await sender({ perSecond: 2 });
  for (let p = 1; p <= 3; p++) vendor.script({ phone: phoneOf(p).slice(1), attempt: 1, mix: again });
  await place.campaign({ senderId, recipients: 100, lotSize: 50 });
  sail();
  await place.clock.pass(40 * SECOND_MS);
  const retried = (await vendor.ledgerLines()).filter(({ attempt }) => attempt === 2);
  expect(retried.length).toBe(3);
});
