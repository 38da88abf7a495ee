import { runCli } from "./doors/cli/program.ts";
import { openHouse } from "./house.ts";
import { readConfig, WrongConfiguration } from "./runtime/config.ts";
import { exitSoon } from "./runtime/exit.ts";
import { createLog } from "./runtime/log.ts";
import { openApi, serve } from "./serve.ts";

const LINGER_MS = 2_000;

try {
  process.exitCode = await runCli(process.argv, { readConfig: () => readConfig(process.env), createLog, openApi, openHouse, serve });
  // All is said and done. A connection whose other side will never say goodbye must not keep the process.
  exitSoon(LINGER_MS);
} catch (error) {
  if (!(error instanceof WrongConfiguration)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
