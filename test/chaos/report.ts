import type { Outcome } from "./run.ts";

/** What a run must have shown to mean anything, each for a minute of storm. */
const RECIPIENTS_PER_MINUTE = 10_000;
const KILLS_PER_MINUTE = 50;
const WITH_MARKED_MIN = 0.8;

/** Why a storm shows too little; empty when it shows enough. */
export function tooTame({ figures }: Outcome, minutes: number): string[] {
  const wanted: [string, number, number][] = [
    ["recipients", figures.recipients, RECIPIENTS_PER_MINUTE * minutes],
    ["kills", figures.kills, KILLS_PER_MINUTE * minutes],
    ["% of kills that hit marked positions", 100 * figures.withMarked, 100 * WITH_MARKED_MIN],
    ["doubts", figures.doubts, 1],
    ["people under the cap", figures.people, figures.cap / 2],
  ];
  return wanted.flatMap(([what, got, min]) => (got < min ? [`${Math.round(got)} ${what}, at least ${Math.round(min)} are wanted`] : []));
}

/** The table, what was logged, and the verdict, for people. */
export function report({ figures: f, counts, broken, log }: Outcome, tame: readonly string[]): string[] {
  const rows: [string, string | number][] = [
    ["recipients", `${f.recipients} in ${f.campaigns} campaigns`],
    ["accepted by the vendor", f.accepted],
    ["kills", `${f.kills}, ${Math.round(100 * f.withMarked)} % of them with marked, unsettled positions`],
    ["doubts", `${f.doubts} ever, ${f.uncertain} of them in the end`],
    ["  by engines that ended", `${f.leaseDoubts}, at most ${f.windows} (the windows of their lots, ${f.windowsLostAlive} of them lost alive)`],
    ["  by calls that broke", `${f.callDoubts}, at most ${f.brokenCalls}`],
    ["people under the cap", `${f.people}, at most ${f.cap}`],
    [
      "pace",
      `kept when the network added ${Math.round(f.addedToPaceMs)} ms (the slowest of our own calls to the vendor took ${Math.round(f.vendorSlowestMs)})`,
    ],
    ["Postgres restarted", `${f.restarts} times, away for ${(f.postgresAwayMs / 1_000).toFixed(1)} s`],
    ["COMMITs without an answer", f.lostCommits],
    ["engines that found no database at birth", f.stillborn],
    ["all in all", `${f.seconds} s`],
  ];
  return [
    "",
    ...rows.map(([what, figure]) => `  ${what.padEnd(42)} ${figure}`),
    "",
    ...Object.entries(counts)
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([what, count]) => `  ${what.padEnd(42)} ${count}`),
    "",
    ...log
      .slice(0, 15)
      .map(({ level, msg, count, cause }) => `  ${level}: ${msg} (${count}×)${cause === "" ? "" : `; first: ${cause.slice(0, 120)}`}`),
    "",
    ...f.warnings.map((warning) => `warning: ${warning}`),
    ...broken.map((fault) => `BROKEN: ${fault}`),
    ...tame.map((lack) => `TOO TAME: ${lack}`),
    broken.length === 0 ? "No promise was broken." : `${broken.length} promises were broken.`,
  ];
}
