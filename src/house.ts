import { mkdirSync } from "node:fs";
import { resolve } from "node:path";
import { createBreaker } from "./flow/dispatch/breaker.ts";
import type { DispatchDeps } from "./flow/dispatch/deps.ts";
import { credentialKey } from "./flow/provider/credentials.ts";
import { openProviders, type Providers } from "./flow/provider/open.ts";
import type { SenderDeps } from "./flow/provider/sender.ts";
import { type Clock, systemClock } from "./runtime/clock.ts";
import type { Config } from "./runtime/config.ts";
import { startEmbedded } from "./runtime/embedded.ts";
import { ensureDefaultWorkspace } from "./runtime/keys.ts";
import type { Log } from "./runtime/log.ts";
import { type Luck, systemLuck } from "./runtime/luck.ts";
import { migrate } from "./runtime/migrate.ts";
import { assertServer, connect, type Database } from "./runtime/postgres.ts";
import { loadSecret } from "./runtime/secret.ts";

/** The whole product, opened: every door works with one of these. */
export interface House {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly luck: Luck;
  readonly sql: Database;
  /** Where the database is: for whoever wants to be told of it, or to connect once more. */
  readonly databaseUrl: string;
  readonly workspaceId: string;
  readonly providers: Providers;
  readonly senders: SenderDeps;
  readonly dispatch: DispatchDeps;
  /** Ends what is under way: calls become uncertain, nothing waits for the database any more. */
  readonly kill: () => void;
  /** Ends every call and connection, and the embedded database unless another process uses it. */
  close(): Promise<void>;
}

export interface HouseOptions {
  /** Connections to the database. */
  readonly connections?: number;
}

/** Connections of a process that serves: an engine's lots and loops, the API, the receipts. */
const CONNECTIONS = 16;

/** Opens the database (an embedded one unless the configuration names another), brings its schema up to date, and opens the flow on it. */
export async function openHouse(config: Config, log: Log, { connections = CONNECTIONS }: HouseOptions = {}): Promise<House> {
  const clock = systemClock;
  const luck = systemLuck;
  const dir = resolve(config.dataDir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const embedded = config.databaseUrl === undefined ? await startEmbedded({ dir, log: (line) => log.debug(line) }) : null;
  const databaseUrl = config.databaseUrl ?? embedded?.url ?? "";
  const sql = connect(databaseUrl, { max: connections });
  const killed = new AbortController();
  try {
    await assertServer(sql);
    for (const { name } of await migrate(sql)) log.info({ migration: name }, "migrated");
    const workspaceId = await ensureDefaultWorkspace(sql);
    const key = credentialKey(await loadSecret(config.secret, dir, luck));
    const providers = openProviders({ sql, clock, keys: [key] });
    const senders: SenderDeps = { sql, luck, keys: [key], providers };
    const dispatch: DispatchDeps = {
      sql,
      clock,
      luck,
      log,
      openProvider: providers.open,
      breaker: createBreaker(),
      lead: { ms: 0 },
      engineId: luck.uuid(),
      signal: killed.signal,
    };
    const kill = () => killed.abort();
    const close = async () => {
      kill();
      await providers.close();
      await sql.end({ timeout: 5 });
      await embedded?.stop();
    };
    return { config, log, clock, luck, sql, databaseUrl, workspaceId, providers, senders, dispatch, kill, close };
  } catch (error) {
    await sql.end({ timeout: 1 });
    await embedded?.stop();
    throw error;
  }
}
