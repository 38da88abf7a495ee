import type { Command } from "commander";
import { check, describe } from "../../flow/check/check.ts";
import { type DoctorOptions, examine } from "./doctor.ts";
import { createScreen } from "./screen.ts";
import { type Common, command, withHouse } from "./session.ts";
import type { World } from "./world.ts";

export const migrateCommand = (world: World): Command =>
  command("migrate", "Bring the database's schema up to date; every other command does so too.").action((options: Common) =>
    withHouse(world, options, async (_house, screen) => {
      screen.say("The schema is up to date.");
      screen.result({ upToDate: true });
    }),
  );

/** Every invariant of the data; exit code 1 when one is violated. */
export const checkCommand = (world: World, exit: (code: number) => void): Command =>
  command("check", "Check every promise that can be seen in the data; exit code 1 on a violation.")
    .option("--campaign <id>", "only this campaign")
    .action((options: Common & { campaign?: string }) =>
      withHouse(world, options, async ({ sql }, screen) => {
        const found = [];
        for await (const violation of check(sql, options.campaign === undefined ? {} : { campaignId: options.campaign.replace(/^cmp_/, "") }))
          found.push(violation);
        const violations = found.filter(({ severity }) => severity === "violation");
        for (const one of found) screen.say(describe(one));
        screen.say(violations.length === 0 ? "Every invariant holds." : `${violations.length} violations.`);
        screen.result({ violations: violations.length, found });
        exit(violations.length === 0 ? 0 : 1);
      }),
    );

export const doctorCommand = (world: World, exit: (code: number) => void): Command =>
  command("doctor", "Look at the environment, the database, the clock and the senders' credentials.")
    .option("--accept-database", "take the database as it is, after it has gone back: its campaigns may be resumed then")
    .action(async (options: DoctorOptions) => {
      const screen = createScreen(options.json ?? false);
      const findings = await examine(world, options);
      screen.table(findings.map(({ well, what, found }) => [well ? "ok" : "NOT OK", what, found]));
      screen.result(findings);
      exit(findings.every(({ well }) => well) ? 0 : 1);
    });
