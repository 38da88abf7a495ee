import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { addTally, type Failure, type Tally } from "./run.ts";

/** What the command line asked for. */
export interface Asked {
  readonly seed: number;
  /** Seeds are so far apart: the others are another process's. */
  readonly stride: number;
  readonly campaigns: number;
  readonly minutes: number;
  readonly jobs: number;
  /** The name of a rule that is to be broken (wrong.ts). */
  readonly wrong: string | null;
  readonly json: boolean;
  readonly trace: boolean;
}

/** The same in several processes, each with every so-manieth seed. The first that finds something ends the others. */
export async function runApart({ seed, campaigns, minutes, jobs, wrong }: Asked, tally: Tally): Promise<Failure | null> {
  const children = Array.from({ length: jobs }, (_, i) => {
    const limit = Number.isFinite(campaigns) ? ["--campaigns", String(Math.ceil(campaigns / jobs))] : ["--minutes", String(minutes)];
    const args = [
      "--seed",
      String(seed + i),
      "--stride",
      String(jobs),
      "--jobs",
      "1",
      "--json",
      ...limit,
      ...(wrong === null ? [] : ["--wrong", wrong]),
    ];
    return spawn(process.execPath, [...process.execArgv, fileURLToPath(new URL("./main.ts", import.meta.url)), ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
  });
  const failures: Failure[] = [];
  await Promise.all(
    children.map(async (child) => {
      let text = "";
      for await (const chunk of child.stdout) text += String(chunk);
      if (text === "") return; // ended by another one's failure
      const { failure, ...one } = JSON.parse(text) as Tally & { failure: Failure | null };
      addTally(tally, one);
      if (failure === null) return;
      failures.push(failure);
      for (const other of children) other.kill();
    }),
  );
  if (failures.length === 0 && children.some((child) => child.exitCode !== 0 && child.exitCode !== null))
    throw new Error("a process of the simulation ended with an error");
  return failures.sort((a, b) => a.seed - b.seed)[0] ?? null;
}
