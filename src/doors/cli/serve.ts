import { type Command, Option } from "commander";
import type { House } from "../../house.ts";
import { createKey, ensureKey, listKeys } from "../../runtime/keys.ts";
import { allParts, type Part } from "../../serve.ts";
import { createScreen, type Screen } from "./screen.ts";
import { type Common, command } from "./session.ts";
import { portOf } from "./values.ts";
import { type World, WrongUsage } from "./world.ts";

interface ServeOptions extends Common {
  readonly only?: string;
  readonly port?: string;
}

export const serveCommand = (world: World): Command =>
  command("serve", "Run the API, the engine, the receipts, the scheduler and the webhooks in one process.")
    .option("--only <parts>", `run only these parts (${allParts.join(", ")}; a comma list)`)
    .addOption(new Option("--port <port>", "listen here instead of PORT"))
    .action((options: ServeOptions) => run(world, options, partsOf(options.only)));

export const engineCommand = (world: World): Command =>
  command("engine", "Run the engine without the API: another machine over the same Postgres.").action((options: Common) =>
    run(
      world,
      options,
      allParts.filter((part) => part !== "api"),
    ),
  );

function partsOf(only: string | undefined): Part[] {
  if (only === undefined) return [...allParts];
  const names = only.split(",").map((name) => name.trim());
  const unknown = names.filter((name) => !allParts.some((part) => part === name));
  if (unknown.length > 0) throw new WrongUsage(`--only: there is no part ${unknown.join(", ")}. There are: ${allParts.join(", ")}.`);
  return allParts.filter((part) => names.includes(part));
}

/** Runs until SIGTERM or SIGINT; then ends what is in flight, gives lots back, and stops the database last. */
async function run(world: World, options: ServeOptions, only: readonly Part[]): Promise<void> {
  const config = world.readConfig();
  const log = world.createLog(options.verbose ? "debug" : config.logLevel);
  const screen = createScreen(options.json ?? false);
  for (const warning of config.warnings) log.warn(warning);
  const house = await world.openHouse(config, log);
  try {
    const parts = config.serviceType === "worker" ? only.filter((part) => part !== "api") : only;
    await sayKey(house, screen, parts);
    const serving = await world.serve(house, { only: parts, ...(options.port === undefined ? {} : { port: portOf(options.port) }) });
    if (serving.url !== null) screen.say(`Campanile listens on ${serving.url}  (campaigns: ${serving.url}/whatsapp-admin, API: ${serving.url}/docs)`);
    screen.result({ url: serving.url, parts });
    await untilTold();
    screen.say("Stopping: what is in flight ends, lots are given back.");
    await serving.stop();
  } finally {
    await house.close();
  }
}

/** The key of the environment, or one that is made on the first start and shown this once. */
async function sayKey({ config, sql, luck, workspaceId }: House, screen: Screen, parts: readonly Part[]): Promise<void> {
  if (config.apiKey !== undefined) return ensureKey(sql, luck, { workspaceId, name: "CAMPANILE_API_KEY", key: config.apiKey });
  if (!parts.includes("api") || (await listKeys(sql, workspaceId)).length > 0) return;
  const { key } = await createKey(sql, luck, { workspaceId, name: "first start", rights: ["read", "write", "send", "admin"] });
  screen.say(`API key, shown this once: ${key}`);
}

const AGAIN_MS = 1_000;
const signals = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** Resolves when the process is told to end, or its terminal is gone. The second time it ends at once, as usual. */
export const untilTold = (): Promise<void> =>
  new Promise((resolve) => {
    let firstAt = Number.POSITIVE_INFINITY;
    const told = () => {
      // npm passes on what the terminal has sent already: one Ctrl-C comes twice.
      if (performance.now() - firstAt > AGAIN_MS) process.exit(1);
      firstAt = Math.min(firstAt, performance.now());
      resolve();
    };
    for (const signal of signals) process.on(signal, told);
  });
