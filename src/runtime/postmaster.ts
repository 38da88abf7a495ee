import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** What a running Postgres writes about itself into postmaster.pid of its folder. */
export interface Postmaster {
  readonly pid: number;
  readonly socketDirectory: string;
  readonly port: number;
  /** starting, ready or stopping; empty in the first moment. */
  readonly status: string;
  readonly text: string;
}

/** The Postgres that says it serves the folder `data`, dead or alive; undefined when none does. Lines: pid, folder, start, port, socket, address, memory, status. */
export function readPostmaster(data: string): Postmaster | undefined {
  const text = textOf(join(data, "postmaster.pid"));
  if (text === undefined) return undefined;
  const [pid = "", , , port = "", socketDirectory = "", , , status = ""] = text.split("\n");
  return { pid: Number(pid), port: Number(port), socketDirectory, status: status.trim(), text };
}

/** Whether that process still runs and is the Postgres of `data`. After a crash another process, even of another boot, may have its number. */
export function isServing({ pid }: Postmaster, data: string): boolean {
  if (!isAlive(pid)) return false;
  const command = commandOf(pid);
  return command === undefined || command.includes(` ${data} `);
}

/**
 * Postgres itself removes a stale postmaster.pid, but not when any process of ours now has the number in it ("lock file already
 * exists"), as is usual after a container was restarted. It still refuses while processes of the dead one hold its shared memory.
 */
export function removeStale({ pid, text }: Postmaster, data: string): void {
  const path = join(data, "postmaster.pid");
  if (isAlive(pid) && textOf(path) === text) rmSync(path, { force: true });
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** The command line of a process; empty for a zombie, undefined when the system does not tell. */
function commandOf(pid: number): string | undefined {
  const linux = textOf(`/proc/${pid}/cmdline`);
  if (linux !== undefined) return linux.replaceAll("\0", " ");
  try {
    return execFileSync("ps", ["-ww", "-o", "command=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return undefined;
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
