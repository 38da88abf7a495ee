import { chmodSync, closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "./clock.ts";
import { findBinaries, spawnProgram } from "./embedded-binaries.ts";
import {
  type Cluster,
  ensureCluster,
  identityOf,
  lastLines,
  librariesOf,
  makeRunDirectory,
  openCluster,
  own,
  removeRunDirectory,
} from "./embedded-cluster.ts";
import { connect, type Database, isConnectionLost, isUnreachable } from "./postgres.ts";
import { isServing, type Postmaster, readPostmaster, removeStale } from "./postmaster.ts";

const STEP_MS = 50;
const START_MAX_MS = 60_000;
const STOP_MAX_MS = 60_000;
const LOG = "postgres.log";
/** Only a private socket. Statements that fail are told to whoever sent them; a log of them would keep people's addresses. */
const ownSettings = {
  listen_addresses: "",
  port: "5432",
  unix_socket_permissions: "0700",
  log_min_messages: "log",
  log_checkpoints: "off",
  log_line_prefix: "%m [%p] ",
};
/** What a Postgres says that met another one which is starting, or whose processes are not all gone yet after a crash. */
const passing = /lock file ".*" (already exists|is empty)|pre-existing shared memory block/;
/** The advisory lock that every process using the database holds; two numbers nobody else locks here. */
const PRESENCE_CLASS = 0x63616d70;
const PRESENCE = 1;

export interface EmbeddedOptions {
  /** Holds the database in postgres/ and what Postgres says in postgres.log. Made when missing. */
  readonly dir: string;
  /** False may lose what was committed, when the machine stops: for tests only. */
  readonly fsync?: boolean;
  /** Settings as in postgresql.conf. They count only when this process is the one that starts Postgres. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly log?: (line: string) => void;
  readonly clock?: Clock;
}

export interface Embedded {
  /** For connect(), and for psql. */
  readonly url: string;
  readonly pid: number;
  /** It was running already: another process uses it too, or one that was killed left it behind. */
  readonly adopted: boolean;
  /** To be called last. Ends Postgres, and waits for its end, unless another process still uses it: the last to leave ends it. */
  stop(): Promise<void>;
}

/**
 * Makes the database in `dir` when there is none, starts its Postgres or adopts the one that runs, and waits until it answers. Any
 * number of processes of one machine may do so with one folder at the same time, and stop in any order. A process that is killed
 * leaves Postgres running for whoever comes next. Throws one sentence, followed by the last words of Postgres, when it cannot be.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const { dir, fsync = true, settings = {}, log = () => {}, clock = systemClock } = options;
  const cluster = openCluster(dir, findBinaries());
  await ensureCluster(cluster, { fsync, now: clock.now() });
  const giveUpAtMs = clock.monotonicMs() + START_MAX_MS;
  let launched: Launched | undefined;
  for (;;) {
    const found = readPostmaster(cluster.data);
    const serving = found !== undefined && isServing(found, cluster.data);
    if (serving && found.status === "ready") {
      const presence = await enter(urlOf(found), clock);
      if (presence !== undefined) {
        const adopted = found.pid !== launched?.pid;
        log(`Postgres ${adopted ? "was running already" : "is running"}: process ${found.pid}, ${cluster.data}`);
        return { url: urlOf(found), pid: found.pid, adopted, stop: () => leave({ presence, found, cluster, clock, log }) };
      }
    }
    if (!serving && (launched === undefined || launched.hasEnded())) {
      launched?.assertPassing();
      if (found !== undefined) clearAway(found, cluster);
      launched = launch(cluster, { ...settings, fsync: fsync ? "on" : "off" });
    }
    // Repairing what a crash left takes as long as it takes.
    if (found?.status !== "starting" && clock.monotonicMs() > giveUpAtMs) {
      throw new Error(`The Postgres of ${cluster.data} does not answer. Its last words are in ${join(cluster.dir, LOG)}.`);
    }
    await clock.sleep(STEP_MS);
  }
}

function clearAway(stale: Postmaster, cluster: Cluster): void {
  removeStale(stale, cluster.data);
  removeRunDirectory(stale.socketDirectory);
}

interface Launched {
  readonly pid: number | undefined;
  hasEnded(): boolean;
  /** Throws when it ended for a reason that will not pass. */
  assertPassing(): void;
}

function launch(cluster: Cluster, settings: Readonly<Record<string, string>>): Launched {
  const identity = identityOf(cluster);
  const run = makeRunDirectory(cluster.binaries, identity);
  const logPath = join(cluster.dir, LOG);
  const log = openSync(logPath, "a", 0o600);
  chmodSync(cluster.data, 0o700); // Postgres refuses a folder that others may read, as one that was put back from a copy often is
  own(logPath, identity);
  const from = fstatSync(log).size;
  const all = { ...ownSettings, unix_socket_directories: `"${run}"`, ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const child = spawnProgram("postgres", ["-D", cluster.data, ...args], {
    binaries: cluster.binaries,
    identity,
    libraries: librariesOf(run),
    cwd: "/",
    detached: true, // else Ctrl-C, which reaches every process of the terminal, would end the database before the program is done
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  child.unref();
  let hasEnded = false;
  let failure: unknown;
  const end = (error?: unknown) => {
    hasEnded = true;
    failure = error;
    removeRunDirectory(run);
  };
  child.once("error", end);
  child.once("exit", () => end());
  return {
    pid: child.pid,
    hasEnded: () => hasEnded,
    assertPassing() {
      // All of it: what is left of the server before writes its last words into the same log, between and after those of this one.
      const said = failure === undefined ? readFileSync(logPath).subarray(from).toString() : String(failure);
      if (!passing.test(said)) throw new Error(`Postgres did not start in ${cluster.data}:\n${lastLines(said)}`);
    },
  };
}

/** The session whose shared lock tells all others that this process uses the database. */
interface Presence {
  readonly sql: Database;
  wanted: boolean;
}

/** Undefined when the server is still starting, or about to stop. */
async function enter(url: string, clock: Clock): Promise<Presence | undefined> {
  const onclose = () => void stay(presence, clock);
  const presence: Presence = { wanted: false, sql: connect(url, { max: 1, applicationName: "campanile presence", lasting: true, onclose }) };
  try {
    await lockShared(presence.sql);
    presence.wanted = true;
    return presence;
  } catch (error) {
    await presence.sql.end({ timeout: 0 });
    if (isUnreachable(error) || isConnectionLost(error)) return undefined;
    throw error;
  }
}

const lockShared = (sql: Database) => sql`select pg_advisory_lock_shared(${PRESENCE_CLASS}::int, ${PRESENCE}::int)`;

/** When one of its processes crashes, Postgres ends every session, and goes on: without our lock the next to leave would end it under us. */
async function stay(presence: Presence, clock: Clock): Promise<void> {
  while (presence.wanted) {
    try {
      await lockShared(presence.sql);
      return;
    } catch {
      await clock.sleep(STEP_MS);
    }
  }
}

interface Leaving {
  readonly presence: Presence;
  readonly found: Postmaster;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly log: (line: string) => void;
}

/** Whoever gets the lock alone is the last, and nobody can enter any more: who waits for the lock then is disconnected and starts anew. */
async function leave({ presence, found, cluster, clock, log }: Leaving): Promise<void> {
  presence.wanted = false;
  const last = isServing(found, cluster.data) && (await isLast(presence.sql));
  if (last) process.kill(found.pid, "SIGINT");
  await presence.sql.end({ timeout: 0 });
  if (!last) return log(`Postgres goes on: process ${found.pid} is used by another process`);
  const giveUpAtMs = clock.monotonicMs() + STOP_MAX_MS;
  while (isServing(found, cluster.data)) {
    if (clock.monotonicMs() > giveUpAtMs) return log(`Postgres is still stopping: process ${found.pid}, see ${join(cluster.dir, LOG)}`);
    await clock.sleep(STEP_MS);
  }
  removeRunDirectory(found.socketDirectory);
  log("Postgres has stopped");
}

async function isLast(sql: Database): Promise<boolean> {
  try {
    await sql`select pg_advisory_unlock_shared(${PRESENCE_CLASS}::int, ${PRESENCE}::int)`;
    const [answer] = await sql<{ alone: boolean }[]>`select pg_try_advisory_lock(${PRESENCE_CLASS}::int, ${PRESENCE}::int) as alone`;
    return answer?.alone === true;
  } catch (error) {
    if (isUnreachable(error) || isConnectionLost(error)) return false;
    throw error;
  }
}

const urlOf = ({ socketDirectory, port }: Postmaster): string =>
  `postgres:///postgres?host=${encodeURIComponent(socketDirectory).replaceAll("%2F", "/")}&port=${port}&user=campanile`;
