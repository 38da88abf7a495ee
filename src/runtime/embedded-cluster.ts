import { once } from "node:events";
import {
  chownSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Binaries, type Identity, linkLibraries, spawnProgram } from "./embedded-binaries.ts";

/** A folder of ours, the database in it, and the programs that serve it. */
export interface Cluster {
  readonly dir: string;
  /** What Postgres calls its data directory: dir/postgres, without symbolic links. */
  readonly data: string;
  readonly binaries: Binaries;
}

const NEW_PREFIX = "postgres.new-";
const RUN_PREFIX = "campanile-";
const LEFTOVER_MS = 3_600_000;
const NOBODY = 65_534;
/** A unix socket's path may have 103 bytes on macOS and 107 on Linux; the name of the socket takes 14 of them. */
const SOCKET_DIRECTORY_BYTES_MAX = 103 - "/.s.PGSQL.5432".length;

export function openCluster(dir: string, binaries: Binaries): Cluster {
  makeDirectory(dir);
  const real = realpathSync(dir);
  return { dir: real, data: join(real, "postgres"), binaries };
}

/** As root, what is made inside somebody's folder is made theirs: Postgres, which is never root, could not reach it otherwise. */
function makeDirectory(dir: string): void {
  const first = mkdirSync(dir, { recursive: true });
  if (first === undefined || !isRoot()) return;
  const { uid, gid } = statSync(dirname(first));
  for (let path = dir; path.length >= first.length; path = dirname(path)) chownSync(path, uid, gid);
}

/**
 * Makes an empty database unless there is one. It is made beside its place and renamed into it, so that of two processes doing the
 * same one wins, and a killed one leaves nothing that looks like a database. Throws when it holds one of another major version.
 */
export async function ensureCluster(cluster: Cluster, options: { fsync: boolean; now: Date }): Promise<void> {
  if (existsSync(cluster.data)) identityOf(cluster);
  if (!existsSync(join(cluster.data, "PG_VERSION"))) await initialise(cluster, options);
  const major = Number.parseInt(readFileSync(join(cluster.data, "PG_VERSION"), "utf8"), 10);
  if (major !== cluster.binaries.major) {
    throw new Error(
      `${cluster.data} was made by Postgres ${major}; this Campanile brings ${cluster.binaries.major}, which cannot read it. ` +
        `Serve it with Postgres ${major} and set DATABASE_URL, or move the folder away to begin anew.`,
    );
  }
}

async function initialise(cluster: Cluster, { fsync, now }: { fsync: boolean; now: Date }): Promise<void> {
  const causes: string[] = [];
  for (const name of readdirSync(cluster.dir).filter((name) => name.startsWith(NEW_PREFIX))) {
    const path = join(cluster.dir, name);
    const madeAtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? now.getTime();
    if (now.getTime() - madeAtMs > LEFTOVER_MS) rmSync(path, { recursive: true, force: true });
  }
  for (const identity of identities(cluster.dir)) {
    const made = mkdtempSync(join(cluster.dir, NEW_PREFIX));
    const run = makeRunDirectory(cluster.binaries, identity);
    try {
      own(made, identity);
      const cause = await initdb({ cluster, identity, libraries: librariesOf(run), made, fsync });
      if (cause === undefined) return putInPlace(made, cluster);
      causes.push(`${nameOf(identity)}: ${cause}`);
    } finally {
      rmSync(run, { recursive: true, force: true });
      rmSync(made, { recursive: true, force: true });
    }
  }
  throw new Error(`Postgres could not make a database in ${cluster.data}. Run Campanile as another user, or set DATABASE_URL.\n${causes.join("\n")}`);
}

interface InitdbOptions {
  readonly cluster: Cluster;
  readonly identity: Identity;
  readonly libraries: string;
  readonly made: string;
  readonly fsync: boolean;
}

/** Gives back why it failed. The sort order is Postgres's own: one from the system may change with the system and spoil indexes. */
async function initdb({ cluster, identity, libraries, made, fsync }: InitdbOptions): Promise<string | undefined> {
  const sortOrder = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"];
  const args = ["--pgdata", made, "--username=campanile", "--auth=trust", "--data-checksums", "--no-instructions", ...sortOrder];
  const child = spawnProgram("initdb", fsync ? args : [...args, "--no-sync"], {
    binaries: cluster.binaries,
    identity,
    libraries,
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  try {
    const [code] = await once(child, "close");
    return code === 0 ? undefined : lastLines(said);
  } catch (error) {
    return String(error);
  }
}

function putInPlace(made: string, cluster: Cluster): void {
  try {
    renameSync(made, cluster.data);
  } catch (error) {
    if (!existsSync(join(cluster.data, "PG_VERSION"))) throw new Error(`${cluster.data} holds files, but no database.`, { cause: error });
    return;
  }
  const parent = openSync(cluster.dir, "r");
  fsyncSync(parent);
  closeSync(parent);
}

/** Whom to try, in order. A root without user namespaces, as in most containers, becomes the owner of the folder, else nobody. */
function identities(dir: string): Identity[] {
  if (!isRoot()) return [{ kind: "self" }];
  const { uid, gid } = statSync(dir);
  const owner: Identity[] = uid === 0 ? [] : [{ kind: "user", uid, gid }];
  return [...owner, { kind: "namespace" }, { kind: "user", uid: NOBODY, gid: NOBODY }];
}

/** Who serves an existing database: whoever owns it. */
export function identityOf({ data }: Cluster): Identity {
  const { uid, gid } = statSync(data);
  if (isRoot()) return uid === 0 ? { kind: "namespace" } : { kind: "user", uid, gid };
  if (uid !== process.getuid?.()) throw new Error(`${data} belongs to the user with the number ${uid}: run Campanile as that user.`);
  return { kind: "self" };
}

/**
 * A new private folder for the socket and the links to libraries of one run. In the system's folder for temporary files, because the
 * path of a socket must be short; the socket trusts whoever can reach it, which is the owner of this folder.
 */
export function makeRunDirectory(binaries: Binaries, identity: Identity): string {
  const roomy = (base: string) => Buffer.byteLength(join(base, `${RUN_PREFIX}XXXXXX`)) <= SOCKET_DIRECTORY_BYTES_MAX;
  const run = mkdtempSync(join(roomy(tmpdir()) ? realpathSync(tmpdir()) : "/tmp", RUN_PREFIX));
  linkLibraries(binaries, librariesOf(run));
  own(run, identity);
  return run;
}

export const librariesOf = (run: string): string => join(run, "lib");

/** Removes the folder of a run that is over; no other folder, whatever a stale postmaster.pid says. */
export function removeRunDirectory(run: string): void {
  if (run.includes(`/${RUN_PREFIX}`)) rmSync(run, { recursive: true, force: true });
}

export function own(path: string, identity: Identity): void {
  if (identity.kind === "user") chownSync(path, identity.uid, identity.gid);
}

const isRoot = () => process.getuid?.() === 0;
const nameOf = (identity: Identity) =>
  identity.kind === "user" ? `as user ${identity.uid}` : identity.kind === "self" ? "as this user" : "in a user namespace";
export const lastLines = (text: string): string => text.trim().split("\n").slice(-5).join("\n");
