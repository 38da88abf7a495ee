import { Command, Option } from "commander";
import type { House } from "../../house.ts";
import { type Api, localApi, remoteApi } from "./api.ts";
import { createScreen, type Screen } from "./screen.ts";
import { type World, WrongUsage } from "./world.ts";

/** Options that every command has. */
export interface Common {
  readonly json?: boolean;
  readonly url?: string;
  readonly key?: string;
  readonly verbose?: boolean;
}

/** A command with the options that every command has. */
export const command = (name: string, summary: string): Command =>
  new Command(name)
    .description(summary)
    .option("--json", "print the result as one JSON object, the last line on standard output")
    .option("--verbose", "say what happens inside, on standard error");

/** … and those of a command that speaks to the API, here or elsewhere. */
export const apiCommand = (name: string, summary: string): Command =>
  command(name, summary)
    .addOption(new Option("--url <address>", "speak to the server at this address instead of opening the database here").env("CAMPANILE_URL"))
    .addOption(new Option("--key <key>", "the API key for --url").env("CAMPANILE_API_KEY"));

/** Connections of a command that only asks or steers. */
const CONNECTIONS = 4;

/** Opens the house for one command, and closes it whatever happens. */
export async function withHouse<T>(world: World, options: Common, work: (house: House, screen: Screen) => Promise<T>): Promise<T> {
  const config = world.readConfig();
  const log = world.createLog(options.verbose ? "debug" : config.logLevel === "info" ? "warn" : config.logLevel);
  const house = await world.openHouse(config, log, { connections: CONNECTIONS });
  try {
    return await work(house, createScreen(options.json ?? false));
  } finally {
    await house.close();
  }
}

/** The API for one command: that of the server named by --url, or of the database here. */
export async function withApi<T>(world: World, options: Common, work: (api: Api, screen: Screen) => Promise<T>): Promise<T> {
  if (options.url === undefined) return withHouse(world, options, async (house, screen) => work(await ownApi(world, house), screen));
  if (options.key === undefined) throw new WrongUsage("--url needs --key, or CAMPANILE_API_KEY in the environment.");
  return work(remoteApi(options.url, options.key), createScreen(options.json ?? false));
}

/** The API of a house of our own. */
export async function ownApi(world: World, house: House): Promise<Api> {
  const key = Buffer.from(house.luck.bytes(32)).toString("base64url");
  return localApi(await world.openApi(house, { own: key }), key);
}
