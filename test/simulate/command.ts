import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { type Asked, runApart } from "./apart.ts";
import { addTally, emptyTally, type Failure, runWorld, runWorlds, type Tally } from "./run.ts";

const USAGE = `Simulates small campaigns: the engine as it is, in front of a database and a vendor in memory, in virtual time, with everything that can go
wrong. After each world every promise is judged by the vendor's own ledger. A world is a function of its seed.

  npm run simulate --                       1,000 campaigns from a seed of its own
  npm run simulate -- --seed 7              from seed 7 on
  npm run simulate -- --seed 7 --trace      the world of seed 7 alone, with all that happens in it
      --campaigns 10000 | --minutes 5       how many, or for how long
      --jobs 2                              processes; one per core by default
      --json                                the result for a program
`;

/** Ends with 0 when every promise was kept, with 1 when one was broken, with 2 when it was asked wrongly. */
export async function command(args: readonly string[]): Promise<number> {
  const asked = read(args);
  if (asked === null) {
    process.stderr.write(USAGE);
    return 2;
  }
  if (asked.trace) return show(asked.seed);
  const begunAt = performance.now();
  const tally = emptyTally();
  const failure = asked.jobs > 1 ? await runApart(asked, tally) : await runHere(asked, tally);
  const seconds = (performance.now() - begunAt) / 1_000;
  const perMinute = Math.round((60 * tally.campaigns) / seconds);
  process.stdout.write(
    asked.json ? `${JSON.stringify({ ok: failure === null, seed: asked.seed, ...tally, perMinute, failure })}\n` : told(asked.seed, tally, perMinute),
  );
  if (failure !== null && !asked.json) process.stdout.write(await accountOf(failure));
  return failure === null ? 0 : 1;
}

function read(args: readonly string[]): Asked | null {
  try {
    const whole = { type: "string" } as const;
    const flag = { type: "boolean", default: false } as const;
    const { values } = parseArgs({
      args: [...args],
      options: { seed: whole, campaigns: whole, minutes: whole, jobs: whole, stride: whole, wrong: whole, json: flag, trace: flag },
    });
    const number = (text: string | undefined, otherwise: number) => (text === undefined ? otherwise : Number(text));
    const asked = {
      seed: number(values.seed, Math.floor(Date.now() / 1_000)),
      campaigns: number(values.campaigns, values.minutes === undefined ? 1_000 : Number.POSITIVE_INFINITY),
      minutes: number(values.minutes, Number.POSITIVE_INFINITY),
      jobs: number(values.jobs, availableParallelism()),
      stride: number(values.stride, 1),
      wrong: values.wrong ?? null,
      json: values.json,
      trace: values.trace,
    };
    return Object.values(asked).some((value) => Number.isNaN(value)) ? null : asked;
  } catch {
    return null;
  }
}

function runHere({ seed, stride, campaigns, minutes }: Asked, tally: Tally): Promise<Failure | null> {
  const until = performance.now() + minutes * 60_000;
  return runWorlds(
    { seed, stride },
    () => tally.campaigns < campaigns && performance.now() < until,
    (one) => addTally(tally, one),
  );
}

function told(seed: number, { worlds, campaigns, calls, happened }: Tally, perMinute: number): string {
  const { crash, freeze, stop, lost, error, restart } = happened;
  return `seed ${seed}: ${worlds} worlds, ${campaigns} campaigns (${perMinute} a minute), ${calls} calls
${crash} crashes, ${freeze} freezes, ${stop} stops, ${lost} connections lost, ${error} statements refused, ${restart} restarts of Postgres\n`;
}

const LINES_SHOWN = 60;

/** What was broken, the end of what led to it, and how to see it again. */
async function accountOf({ seed, faults }: Failure): Promise<string> {
  const { ended } = await runWorld(seed, true);
  // Statements are indented; without them a world is short.
  const deeds = ended.trace.filter((line) => !/^ *\d+\.\d+ \w* + {2}/.test(line)).slice(-LINES_SHOWN);
  return `\nThe world of seed ${seed} broke a promise:\n  ${faults.join("\n  ")}\n\n${deeds.join("\n")}\n\nAll of it again: npm run simulate -- --seed ${seed} --trace\n`;
}

async function show(seed: number): Promise<number> {
  const { ended, faults } = await runWorld(seed, true);
  process.stdout.write(`${JSON.stringify(ended.plan, null, 1)}\n${ended.trace.join("\n")}\n`);
  process.stdout.write(
    faults.length === 0 ? `seed ${seed}: every promise was kept, in ${ended.steps} steps\n` : `seed ${seed}:\n  ${faults.join("\n  ")}\n`,
  );
  return faults.length === 0 ? 0 : 1;
}
