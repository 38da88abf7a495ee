import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { pauseAll } from "./flow/campaign/regression-store.ts";
import { createBreaker } from "./flow/dispatch/breaker.ts";
import type { DispatchDeps } from "./flow/dispatch/deps.ts";
import { credentialKey } from "./flow/provider/credentials.ts";
import { openProviders, type Providers } from "./flow/provider/open.ts";
import type { SenderDeps } from "./flow/provider/sender.ts";
import { type Clock, systemClock } from "./runtime/clock.ts";
import type { Config } from "./runtime/config.ts";
import { type Disk, foldersOf, watchDisk } from "./runtime/disk.ts";
import { startEmbedded } from "./runtime/embedded.ts";
import { ensureDefaultWorkspace } from "./runtime/keys.ts";
import type { Log } from "./runtime/log.ts";
import { type Luck, systemLuck } from "./runtime/luck.ts";
import { migrate } from "./runtime/migrate.ts";
import { assertServer, connect, type Database } from "./runtime/postgres.ts";
import { loadSecret } from "./runtime/secret.ts";
import { openWatermark, type Watermark } from "./runtime/watermark.ts";

/** The whole product, opened: every door works with one of these. */
export interface House {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly luck: Luck;
  readonly sql: Database;
  /** A few connections of their own for the doors, for what must not wait behind slow queries. */
  readonly prompt: Database;
  readonly watermark: Watermark;
  /** The disks of the database that are on this machine, and of what is kept beside it. */
  readonly disk: Disk;
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
const CONNECTIONS = 8;
const PROMPT_CONNECTIONS = 4;

/** Opens the database (an embedded one unless the configuration names another), brings its schema up to date, and opens the flow on it. */
export async function openHouse(config: Config, log: Log, { connections = CONNECTIONS }: HouseOptions = {}): Promise<House> {
  const clock = systemClock;
  const luck = systemLuck;
  const dir = await folder(config.dataDir);
  const database = await openDatabase(config, log, connections);
  const { sql, prompt, databaseUrl } = database;
  const killed = new AbortController();
  try {
    for (const { name } of await migrate(sql)) log.info({ migration: name }, "migrated");
    const workspaceId = await ensureDefaultWorkspace(sql);
    const key = credentialKey(await loadSecret(config.secret, dir, luck));
    const providers = openProviders({ sql, clock, keys: [key] });
    const senders: SenderDeps = { sql, luck, keys: [key], providers };
    const watermarkDir = await folder(config.watermarkDir);
    const watermark = await openWatermark({ sql, folder: watermarkDir, luck, log, stopAll: pauseAll });
    const disk = watchDisk({ folders: [...(await foldersOf(sql, databaseUrl)), watermarkDir], freeMin: config.diskFreeBytesMin });
    const dispatch: DispatchDeps = {
      sql: watermark.sql,
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
      await database.close(5);
    };
    return { config, log, clock, luck, sql, prompt, watermark, disk, databaseUrl, workspaceId, providers, senders, dispatch, kill, close };
  } catch (error) {
    await database.close(1);
    throw error;
  }
}

/** Made when it is missing, for its owner only. */
async function folder(path: string): Promise<string> {
  const dir = resolve(path);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  return dir;
}

interface OpenDatabase {
  readonly sql: Database;
  readonly prompt: Database;
  readonly databaseUrl: string;
  /** Seconds that statements under way are waited for. */
  close(timeout: number): Promise<void>;
}

/** Every session answers COMMIT when the server was judged to do so, even if the role or the database is set to something else later. */
async function openDatabase(config: Config, log: Log, connections: number): Promise<OpenDatabase> {
  const embedded = config.databaseUrl === undefined ? await startEmbedded({ dir: resolve(config.dataDir), log: (line) => log.debug(line) }) : null;
  const databaseUrl = config.databaseUrl ?? embedded?.url ?? "";
  const first = connect(databaseUrl, { max: 1 });
  try {
    const synchronousCommit = await assertServer(first);
    const sql = connect(databaseUrl, { max: connections, synchronousCommit });
    const prompt = connect(databaseUrl, { max: PROMPT_CONNECTIONS, synchronousCommit });
    const close = async (timeout: number) => {
      await Promise.all([sql.end({ timeout }), prompt.end({ timeout })]);
      await embedded?.stop();
    };
    return { sql, prompt, databaseUrl, close };
  } catch (error) {
    await embedded?.stop();
    throw error;
  } finally {
    await first.end({ timeout: 1 });
  }
}
