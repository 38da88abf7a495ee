import { runCli } from "./doors/cli/program.ts";
import { openHouse } from "./house.ts";
import { readConfig, WrongConfiguration } from "./runtime/config.ts";
import { createLog } from "./runtime/log.ts";
import { openApi, serve } from "./serve.ts";

try {
  process.exitCode = await runCli(process.argv, { readConfig: () => readConfig(process.env), createLog, openApi, openHouse, serve });
} catch (error) {
  if (!(error instanceof WrongConfiguration)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
