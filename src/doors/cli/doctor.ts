import { statfs } from "node:fs/promises";
import { resolve } from "node:path";
import { senderHealth } from "../../flow/provider/sender.ts";
import { listSenders } from "../../flow/provider/store.ts";
import type { House } from "../../house.ts";
import { WHAT_TO_DO } from "../../runtime/watermark.ts";
import { acceptRegressions, openRegressions } from "../../runtime/watermark-store.ts";
import { greet, readPaused, readServer } from "./doctor-store.ts";
import type { Common } from "./session.ts";
import type { World } from "./world.ts";

export interface DoctorOptions extends Common {
  readonly acceptDatabase?: boolean;
}

export interface Finding {
  readonly well: boolean;
  readonly what: string;
  readonly found: string;
}

const DISK_MIN_BYTES = 1024 ** 3;
/** Leases are kept by Postgres' clock; receipts carry the vendor's. More than this would make timelines unreadable. */
const CLOCK_OFF_MAX_MS = 5_000;
/** A slot is missed after 50 ms: a database that answers more slowly cannot keep a pace. */
const ROUND_TRIP_MAX_MS = 50;
const NODE_MIN = [20, 19] as const;

/** Looks at everything that must be right before a campaign is sent. */
export async function examine(world: World, options: DoctorOptions): Promise<Finding[]> {
  const findings: Finding[] = [nodeVersion()];
  const config = world.readConfig();
  findings.push({ well: config.warnings.length === 0, what: "environment", found: config.warnings.join("; ") || "every variable is understood" });
  findings.push(await diskSpace(config.dataDir));
  try {
    const house = await world.openHouse(config, world.createLog(options.verbose ? "debug" : "error"), { connections: 2 });
    try {
      if (options.acceptDatabase) findings.push(...(await accept(house)));
      findings.push(...(await inside(house)));
    } finally {
      await house.close();
    }
  } catch (error) {
    findings.push({ well: false, what: "database", found: error instanceof Error ? error.message : String(error) });
  }
  return findings;
}

function nodeVersion(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const well = major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1]);
  return { well, what: "Node", found: `${process.versions.node}${well ? "" : `; ${NODE_MIN.join(".")} or later is needed`}` };
}

async function diskSpace(dataDir: string): Promise<Finding> {
  const path = resolve(dataDir);
  const disk = await statfs(path).catch(() => statfs("."));
  const free = disk.bavail * disk.bsize;
  return { well: free >= DISK_MIN_BYTES, what: "disk", found: `${(free / 1024 ** 3).toFixed(1)} GB free for ${path}` };
}

async function inside(house: House): Promise<Finding[]> {
  const { sql, clock } = house;
  await greet(sql);
  const askedAt = clock.now().getTime();
  const [row] = await readServer(sql);
  const tripMs = clock.now().getTime() - askedAt;
  const offMs = (row?.now.getTime() ?? 0) - askedAt - tripMs / 2;
  return [
    {
      well: tripMs <= ROUND_TRIP_MAX_MS,
      what: "database",
      found: `Postgres ${row?.version}, ${house.config.databaseUrl === undefined ? "embedded" : "external"}, answers in ${tripMs} ms`,
    },
    { well: Math.abs(offMs) <= CLOCK_OFF_MAX_MS, what: "clock", found: `${Math.abs(Math.round(offMs))} ms between this machine and the database` },
    await history(house),
    await room(house),
    ...(await senders(house)),
  ];
}

/** Whether the database is the one that this machine, or another one, has known. */
async function history({ sql }: House): Promise<Finding> {
  const open = await openRegressions(sql);
  const found = open.map(({ what, noticedAt }) => `${noticedAt.toISOString()}: ${what}`).join(" ");
  return { well: open.length === 0, what: "history", found: open.length === 0 ? "the database has not gone back" : `${found} ${WHAT_TO_DO}` };
}

async function accept({ sql }: House): Promise<Finding[]> {
  const accepted = await acceptRegressions(sql);
  const paused = accepted.length === 0 ? [] : await readPaused(sql, "database_regressed");
  const resume = paused.length === 0 ? "no campaign waits" : "these campaigns may be resumed";
  const found = accepted.length === 0 ? "there was nothing to accept" : `the database counts as it is; ${resume}`;
  return [
    { well: true, what: "accept", found },
    ...paused.map(({ id, name }) => ({ well: true, what: "paused", found: `${name}: campanile campaign resume ${id}` })),
  ];
}

async function room({ disk }: House): Promise<Finding> {
  const fault = await disk.fault();
  return { well: fault === null, what: "disk of the database", found: fault ?? "enough room, or not on this machine" };
}

async function senders({ sql, workspaceId, senders: deps }: House): Promise<Finding[]> {
  const all = await listSenders(sql, { workspaceId, afterId: null, limit: 100 });
  if (all.length === 0)
    return [{ well: true, what: "senders", found: "none yet: set META_ACCESS_TOKEN and META_PHONE_NUMBER_ID, or make one through the API" }];
  return Promise.all(
    all.map(async (sender) => {
      const what = `sender ${sender.name}`;
      if (sender.blockedReason !== null) return { well: false, what, found: sender.blockedReason };
      if (sender.provider === "rehearsal") return { well: true, what, found: "a rehearsal: nothing leaves this machine" };
      try {
        const health = await senderHealth(sender, deps);
        const why = health.entities.flatMap(({ type, notes }) => notes.map((note) => `${type}: ${note}`));
        return { well: health.canSendMessage !== "BLOCKED", what, found: [`can send: ${health.canSendMessage.toLowerCase()}`, ...why].join("; ") };
      } catch (error) {
        return { well: false, what, found: error instanceof Error ? error.message : String(error) };
      }
    }),
  );
}
