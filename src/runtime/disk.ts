import { statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Sql } from "./postgres.ts";

/** Watches whether there is room to write to: a Postgres whose disk is full stops altogether, and stays down until there is room. */
export interface Disk {
  /** Looks, and says why nothing may be written now; null: there is room. */
  fault(): Promise<string | null>;
}

export interface DiskOptions {
  /** What is in these is looked at; one that is not there, or not to be reached, is not. */
  readonly folders: readonly string[];
  /** Bytes; 0: never mind. */
  readonly freeMin: number;
  /** Bytes free for this user on the disk of a folder; undefined: it cannot be reached. */
  readonly freeOf?: (folder: string) => Promise<number | undefined>;
}

/** Sending goes on only when there is this much more than the least: else a checkpoint would let it begin and end every second. */
const ENOUGH = 1.25;

export function watchDisk({ folders, freeMin, freeOf = freeBytes }: DiskOptions): Disk {
  let full = false;
  return {
    async fault() {
      if (freeMin === 0) return null;
      const found = await Promise.all(folders.map(async (folder) => ({ folder, free: (await freeOf(folder)) ?? Number.POSITIVE_INFINITY })));
      const scarce = found.filter(({ free }) => free < freeMin * (full ? ENOUGH : 1)).sort((a, b) => a.free - b.free)[0];
      full = scarce !== undefined;
      if (scarce === undefined) return null;
      const [has, wants] = [scarce.free, freeMin * ENOUGH].map((bytes) => `${Math.floor(bytes / 1024 ** 2)} MB`);
      return `The disk of ${scarce.folder} has ${has} left. Nothing is sent until ${wants} are free; it goes on by itself then.`;
    },
  };
}

async function freeBytes(folder: string): Promise<number | undefined> {
  const disk = await statfs(folder).catch(() => undefined);
  return disk === undefined ? undefined : disk.bavail * disk.bsize;
}

/** Its tables, and its log, which may be on another disk. */
const partsOf = (data: string): string[] => [data, join(data, "pg_wal")];

/**
 * The folders of the server behind `url` that are on this machine: of a server that is reached over the network, or does not tell its
 * folder to this role (it takes pg_read_all_settings), there are none.
 */
export async function foldersOf(sql: Sql, url: string): Promise<string[]> {
  if (!isHere(url)) return [];
  try {
    const [row] = await sql<{ data: string }[]>`select current_setting('data_directory') as data`;
    return row === undefined ? [] : partsOf(row.data);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "42501") return [];
    throw error;
  }
}

/** A unix socket, or an address that leads back to this machine. */
function isHere(url: string): boolean {
  const address = new URL(url.replace(/@(?=[/?])/, "@localhost"));
  const host = address.searchParams.get("host") ?? address.hostname;
  return host === "" || host.startsWith("/") || /^(localhost|127\.[\d.]+|\[?::1\]?)$/.test(host);
}
