/**
 * Chaos as a program: engines on one Postgres are killed, frozen and told to end, the database is restarted, and every line between
 * engines, database, vendor and webhooks breaks in every way lines break, while campaigns follow each other. Then all heals, and the
 * vendor's ledger and `check` judge. `npm run chaos -- --minutes 10 --seed 1`; the same seed gives the same storm. Ends with 1 when a
 * promise was broken, or when the storm was too weak to show anything.
 */
import { parseArgs } from "node:util";
import type { Plan } from "./campaigns.ts";
import { report, tooTame } from "./report.ts";
import { runChaos } from "./run.ts";
import type { Weather } from "./storm.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 1_000_000)) },
    engines: { type: "string", default: "4" },
    database: { type: "string", default: "embedded" },
    json: { type: "boolean", default: false },
  },
});

const plan: Plan = {
  sizes: { "full speed": 10_000, "own pace": 3_000, "sender's pace": 3_000, cap: 3_000 },
  lots: { "full speed": 200, "own pace": 50, "sender's pace": 50, cap: 50 },
  senderPerSecond: 40,
  campaignPerSecond: 40,
  cap: 5_000,
  ownPaced: 2,
  perSecond: 260,
  backlogMax: 20_000,
  fullSpeedNeedsMs: 10_000,
};

/** Half a thousand engines in ten minutes, and something else every few seconds. */
const weather: Weather = {
  hitMs: 850,
  termShare: 0.15,
  freezeMs: 75_000,
  restartMs: 40_000,
  lostCommitMs: 6_000,
  databaseMs: 12_000,
  longSilenceMs: 180_000,
  vendorMs: 10_000,
  vendorStormMs: 200_000,
  webhooksMs: 15_000,
  serverMs: 120_000,
};

function numberOf(name: "minutes" | "seed" | "engines"): number {
  const value = Number(values[name]);
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} is ${values[name]}; it must be a number.`);
  return value;
}

const [minutes, seed, engines] = [numberOf("minutes"), numberOf("seed"), numberOf("engines")];
if (values.database !== "embedded" && values.database !== "external") throw new Error("--database is embedded or external.");
const say = (line: string) => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);

say(`seed ${seed}`);
const told = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => told.abort(new Error(`ended by ${signal}`)));
const outcome = await runChaos({ signal: told.signal, seed, stormMs: minutes * 60_000, engines, database: values.database, plan, weather, say });
const tame = tooTame(outcome, minutes);
for (const line of report(outcome, tame)) say(line);
const verdict = outcome.broken.length === 0 && tame.length === 0 ? "kept" : "broken";
if (values.json) process.stdout.write(`${JSON.stringify({ seed, minutes, engines, database: values.database, verdict, tame, ...outcome })}\n`);
say(`seed ${seed}`);
process.exitCode = verdict === "kept" ? 0 : 1;
