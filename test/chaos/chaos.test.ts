import { expect, test } from "vitest";
import type { Plan } from "./campaigns.ts";
import { addedToPace } from "./ledger.ts";
import { runChaos } from "./run.ts";
import type { Weather } from "./storm.ts";

const KILLS = 20;

const plan: Plan = {
  sizes: { "full speed": 600, "own pace": 200, "sender's pace": 200, cap: 150 },
  lots: { "full speed": 25, "own pace": 20, "sender's pace": 20, cap: 20 },
  senderPerSecond: 40,
  campaignPerSecond: 40,
  cap: 200,
  ownPaced: 1,
  perSecond: 200,
  backlogMax: 1_500,
  fullSpeedNeedsMs: 2_000,
};

/** What an hour of `npm run chaos` does, in seconds. Nobody is frozen: that takes longer than a lease. */
const weather: Weather = {
  hitMs: 350,
  termShare: 0.2,
  freezeMs: null,
  restartMs: 6_000,
  lostCommitMs: 800,
  databaseMs: 3_000,
  longSilenceMs: null,
  vendorMs: 2_000,
  vendorStormMs: null,
  webhooksMs: 3_000,
  serverMs: null,
};

test("engines die, the database is restarted, lines break: nobody is written to twice, nobody is lost, caps and paces hold", {
  timeout: 600_000,
}, async () => {
  const storm = (seed: number) =>
    runChaos({
      seed,
      stormMs: 8_000,
      isEnough: ({ kills, restarts, lostCommits }) => kills >= KILLS && restarts > 0 && lostCommits > 0,
      stormMaxMs: 180_000,
      engines: 3,
      database: "embedded",
      plan,
      weather,
      jumps: true,
    });
  const seed = Number(process.env["CHAOS_SEED"] ?? 7);
  // Now and then the weather reaches the harness, whose own line to the database breaks: that is tried once more. A broken promise is not.
  const { figures, broken } = await storm(seed).catch((error: unknown) => {
    process.stderr.write(`the harness broke under seed ${seed}: ${error instanceof Error ? error.message : String(error)}\n`);
    return storm(seed + 1);
  });
  expect(broken, `seed ${seed}`).toEqual([]);
  expect(figures.kills).toBeGreaterThanOrEqual(KILLS);
  expect(figures.doubts).toBeGreaterThan(0);
  expect(figures.lostCommits).toBeGreaterThan(0);
  expect(figures.restarts).toBeGreaterThan(0);
});

test("a pace is judged over every window at once", () => {
  const every25 = Array.from({ length: 100 }, (_, i) => i * 25);
  expect(addedToPace(every25, 40)).toBe(0);
  // One call too many in 10 ms of somewhere is a slot that was late by 50 ms; two are more than that.
  expect(
    addedToPace(
      [...every25, 2_480, 2_481].sort((a, b) => a - b),
      40,
    ),
  ).toBeLessThanOrEqual(0);
  expect(
    addedToPace(
      [...every25, 2_480, 2_481, 2_482, 2_483].sort((a, b) => a - b),
      40,
    ),
  ).toBeGreaterThan(40);
});
