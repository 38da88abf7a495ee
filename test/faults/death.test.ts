import { describe, expect, test } from "vitest";
import { rehearsalProvider } from "../../src/flow/provider/rehearsal.ts";
import { ATTEMPTS_MAX } from "../../src/rules/limits.ts";
import { phoneOf, type Town } from "../support/town.ts";
import { campaignOf, everybody, generations, openTown, positionsOf, statesOf, work, writtenTwice } from "./scene.ts";

const RECIPIENTS = 8;
/** Slow enough that one message at a time is marked. */
const ONE_BY_ONE = { perSecond: 4 };
const POISON = 5;

/** A provider that keeps a list of whom it was given. */
function witnessed(place: Town) {
  const seen: string[] = [];
  return { seen, provider: rehearsalProvider({ clock: place.clock, witness: ({ address }) => seen.push(address) }) };
}

describe("a message whose sending ends the process, each time", () => {
  test.each(["before", "after"] as const)("costs one process, and is not tried again (it dies %s the call)", async (side) => {
    const place = await openTown(ONE_BY_ONE);
    const id = await place.campaign({ recipients: RECIPIENTS });
    const { provider, seen } = witnessed(place);
    const fatal = { side, effect: (name: string) => name === `send ${phoneOf(POISON)}` };
    expect(await generations(place, id, { provider, fatal, livesMax: 100 })).toBe(1);
    expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS - 1, uncertain: 1 });
    expect(seen.filter((address) => address === phoneOf(POISON))).toHaveLength(side === "after" ? 1 : 0);
    expect(await campaignOf(place, id)).toMatchObject({ state: "completed", statement: { accepted: RECIPIENTS - 1, uncertain: 1 } });
  });

  test("costs three where doubts are sent again, and then stays in doubt", async () => {
    const place = await openTown(ONE_BY_ONE);
    const id = await place.campaign({ recipients: RECIPIENTS, onUncertain: "resend" });
    const { provider, seen } = witnessed(place);
    const fatal = { side: "before", effect: (name: string) => name === `send ${phoneOf(POISON)}` } as const;
    expect(await generations(place, id, { provider, fatal, livesMax: 100 })).toBe(ATTEMPTS_MAX);
    expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS - 1, uncertain: 1 });
    expect(new Set(seen).size).toBe(seen.length);
  });
});

describe("processes that die again and again", () => {
  const capOf = async (place: Town) => {
    const [row] = await place.sql<{ used: number; open: number }[]>`select used, (select count(*)::int from opening) as open from cap_scope`;
    return row;
  };

  test("before a mark is committed take nothing of the daily cap with them", async () => {
    const place = await openTown({ ...ONE_BY_ONE, cap: RECIPIENTS });
    const id = await place.campaign({ recipients: RECIPIENTS });
    const { provider, seen } = witnessed(place);
    let reserving = false;
    const effect = (name: string) => {
      if (name !== "commit") reserving ||= name === "insert opening";
      else if (reserving) {
        reserving = false;
        return true;
      }
      return false;
    };
    expect(await generations(place, id, { provider, fatal: { side: "before", effect }, livesMax: 12 })).toBe(12);
    expect(seen).toHaveLength(RECIPIENTS);
    expect(await statesOf(place, id)).toEqual({ accepted: RECIPIENTS });
    expect(await capOf(place)).toEqual({ used: RECIPIENTS, open: RECIPIENTS });
  });

  test("between the mark and the call keep of the cap what may have been sent, for a day, and no more", async () => {
    const place = await openTown({ ...ONE_BY_ONE, cap: 2 * RECIPIENTS });
    const id = await place.campaign({ recipients: RECIPIENTS });
    const { provider, seen } = witnessed(place);
    const fatal = { side: "before", effect: (name: string) => name.startsWith("send ") } as const;
    expect(await generations(place, id, { provider, fatal, livesMax: RECIPIENTS - 2 })).toBe(RECIPIENTS - 2);
    expect(seen).toHaveLength(2);
    expect(await statesOf(place, id)).toEqual({ accepted: 2, uncertain: RECIPIENTS - 2 });
    expect(await capOf(place)).toEqual({ used: RECIPIENTS, open: RECIPIENTS });

    const next = await place.campaign({ recipients: 2 * RECIPIENTS, addressOf: (position) => phoneOf(100 + position) });
    const hands = work(place, { sweepMs: 600_000 });
    await place.clock.pass(600_000);
    expect(hands.sent, "the rest of today's cap").toHaveLength(RECIPIENTS);
    await place.clock.pass(86_400_000);
    expect(positionsOf(hands)).toEqual(everybody(2 * RECIPIENTS));
    expect((await campaignOf(place, next)).state).toBe("completed");
  });
});

test("processes that are replaced one after the other, in order, leave nothing in doubt", async () => {
  const place = await openTown({ perSecond: 40 });
  const id = await place.campaign({ recipients: 100, lotSize: 50 });
  const refused = { kind: "rejected", code: "1", cause: "try again", remedy: "retry", retryAfterMs: 200 } as const;
  const options = {
    latencyMs: 300,
    outcome: ({ position, attempt }: { position: number; attempt: number }) => (position % 10 === 0 && attempt === 1 ? refused : undefined),
  };
  const crews = [work(place, options)];
  for (let round = 0; round < 5; round++) {
    crews.push(work(place, options));
    await place.clock.pass(450);
    await crews.at(-2)?.stop();
  }
  await place.clock.pass(10_000);
  expect(await statesOf(place, id)).toEqual({ accepted: 100 });
  const sent = crews.flatMap((one) => one.sent.map(({ position, attempt }) => 10 * position + attempt)).sort((a, b) => a - b);
  expect(writtenTwice(sent)).toEqual([]);
  expect(sent).toHaveLength(110);
});
