import { Command, CommanderError } from "commander";
import { Refusal } from "../../rules/refusal.ts";
import { WrongConfiguration } from "../../runtime/config.ts";
import { isUnreachable } from "../../runtime/postgres.ts";
import { campaignCommand, executeBatchCommand } from "./campaign.ts";
import { checkCommand, doctorCommand, migrateCommand } from "./care.ts";
import { demoCommand } from "./demo.ts";
import { importCommand } from "./import.ts";
import { keyCommand } from "./key.ts";
import { sendCommand } from "./send.ts";
import { engineCommand, serveCommand } from "./serve.ts";
import { vendorCommand } from "./vendor.ts";
import { Failed, type World, WrongUsage } from "./world.ts";

const commands = [
  serveCommand,
  engineCommand,
  migrateCommand,
  importCommand,
  sendCommand,
  campaignCommand,
  executeBatchCommand,
  keyCommand,
  vendorCommand,
  demoCommand,
  checkCommand,
  doctorCommand,
];

/** Runs one command. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. */
export async function runCli(argv: readonly string[], world: World): Promise<number> {
  const program = new Command("campanile").description(
    "Give it an audience and a message; it delivers, never twice, and says what became of each person.",
  );
  program.exitOverride();
  let code = 0;
  for (const make of commands) {
    const made = make(world, (exit) => {
      code = exit;
    });
    program.addCommand(made);
  }
  for (const one of program.commands) for (const each of [one, ...one.commands]) each.exitOverride();
  try {
    await program.parseAsync([...argv]);
    return code;
  } catch (error) {
    return exitCodeOf(error);
  }
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof WrongUsage || error instanceof WrongConfiguration) return tell(error, 2);
  if (error instanceof Failed || error instanceof Refusal) return tell(error, 1);
  if (isUnreachable(error))
    return tell(new Failed(`The database does not answer: ${(error as Error).message}. Is DATABASE_URL right, and is it running?`), 1);
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  return 1;
}

/** For people on standard error; a script that asked for JSON gets one object all the same. */
function tell(error: Error, code: number): number {
  process.stderr.write(`${error.message}\n`);
  if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: { message: error.message } })}\n`);
  return code;
}
