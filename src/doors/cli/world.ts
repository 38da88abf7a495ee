import type { House, HouseOptions } from "../../house.ts";
import type { Config } from "../../runtime/config.ts";
import type { Log } from "../../runtime/log.ts";
import type { ServeOptions, Serving } from "../../serve.ts";
import type { App } from "../http/deps.ts";

/** What commands can do; main.ts hands it in, so that a command opens only what it needs. */
export interface World {
  readConfig(): Config;
  createLog(level: Config["logLevel"]): Log;
  openHouse(config: Config, log: Log, options?: HouseOptions): Promise<House>;
  serve(house: House, options?: ServeOptions): Promise<Serving>;
  /** The API of this process, not listening; `own` is a key for its own calls. */
  openApi(house: House, options: { own: string }): Promise<App>;
}

/** The command was used wrongly, or the environment cannot be used: exit code 2. */
export class WrongUsage extends Error {
  override readonly name = "WrongUsage";
}

/** The command could not do what it was asked; its message says why: exit code 1. */
export class Failed extends Error {
  override readonly name = "Failed";
}
