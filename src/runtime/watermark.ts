import type { Log } from "./log.ts";
import type { Luck } from "./luck.ts";
import { type Condition, conditional, type Database, type Sql, transaction } from "./postgres.ts";
import { type Mark, markPath, readMark, writeMark } from "./watermark-file.ts";
import * as store from "./watermark-store.ts";

/** What this machine remembers, outside of the database, of up to when it knew it. */
export interface Watermark {
  /** The pool for whoever marks messages: nothing is committed through it in a database that is older than what was known of it. */
  readonly sql: Database;
  /** Raises the mark, and looks whether the database is still the one that is known. To be called every second. */
  beat(): Promise<void>;
  /** The database went back, as something else has shown: everything stops until somebody accepts that. */
  note(what: string): Promise<void>;
}

export interface WatermarkOptions {
  readonly sql: Database;
  /** Where the mark is kept. */
  readonly folder: string;
  readonly luck: Luck;
  readonly log: Log;
  /** Pauses every campaign that is planned or sent; called again and again while it is not accepted that the database went back. */
  readonly stopAll: (tx: Sql, what: string) => PromiseLike<unknown>;
}

/** Without a campaign that runs, the mark is raised this often. Opt-outs that came meanwhile may be lost like messages. */
const IDLE_MS = 60_000;

/**
 * Compares the database with the mark in `folder` and raises it; a folder without one knows the database from now on. When the database
 * has gone back, that is written into it, every campaign is paused, and nothing runs until it is accepted (`acceptRegressions`).
 */
export async function openWatermark(options: WatermarkOptions): Promise<Watermark> {
  const { sql, folder, luck, log } = options;
  const told = { systemIdentifier: await tells(store.askSystemIdentifier(sql)), timeline: await tells(store.askTimeline(sql)) };
  const [installation] = await store.readInstallation(sql);
  if (installation === undefined) throw new Error("The database does not say which one it is: the table installation is empty. Restore it whole.");
  const kept = await readMark(markPath(folder, installation.id));
  const fresh: Mark = { owner: luck.uuid(), at: "-infinity", systemIdentifier: null, timeline: null };
  let mark = kept ?? fresh;
  let looking: Promise<void> | undefined;

  async function lookNow(look: Look): Promise<void> {
    const looked = await transaction(sql, (tx) => compare(tx, { mark, told, look, stopAll: options.stopAll }));
    if (looked.regressed !== null) log.error(`${looked.regressed} ${WHAT_TO_DO}`);
    if (looked.mark === mark) return;
    mark = looked.mark;
    await writeMark(markPath(folder, looked.databaseId), mark);
  }
  /** Whoever looks while another does waits for what that one finds. */
  const look = (why: Look): Promise<void> => {
    looking ??= lookNow(why).finally(() => {
      looking = undefined;
    });
    return looking;
  };

  await look(kept === null ? "first" : "opening");
  const condition: Condition = {
    holds: (tx) => store.isKnown(tx, mark, told),
    restore: () => look("beat"),
  };
  return {
    sql: conditional(sql, condition),
    beat: () => look("beat"),
    note: async (what) => {
      if (await transaction(sql, (tx) => record(tx, { what, markAt: mark.at, stopAll: options.stopAll }))) log.error(`${what} ${WHAT_TO_DO}`);
    },
  };
}

/** Ends the sentence that says what has happened. */
export const WHAT_TO_DO =
  "Every campaign is paused (database_regressed), for people who were written to may look as if they were not. Look at what is missing; " +
  "then accept the database as it is with campanile doctor --accept-database, and resume the campaigns that may go on.";

async function tells(asking: PromiseLike<unknown>): Promise<boolean> {
  try {
    await asking;
    return true;
  } catch (error) {
    // Not allowed (42501), or not there (42883, 0A000, 55000): the server of a provider that hides its inside.
    if (error instanceof Error && "code" in error && /^(42501|42883|0A000|55000)$/.test(String(error.code))) return false;
    throw error;
  }
}

/** `first`: there is no mark to compare with. `opening`: the mark is raised in any case. */
type Look = "first" | "opening" | "beat";

interface Comparing {
  readonly mark: Mark;
  readonly told: store.Told;
  readonly look: Look;
  readonly stopAll: WatermarkOptions["stopAll"];
}

interface Compared {
  /** The same object when it was not raised. */
  readonly mark: Mark;
  readonly databaseId: string;
  /** That it went back, when this look is the first to see it. */
  readonly regressed: string | null;
}

async function compare(tx: Sql, { mark, told, look, stopAll }: Comparing): Promise<Compared> {
  let seen = await seeNow(tx, mark, told);
  const what = look === "first" ? null : faultOf(mark, seen);
  if (seen.open || what !== null) {
    await store.lockRegression(tx);
    seen = await seeNow(tx, mark, told);
  }
  const regressed = what !== null && !seen.noticed && (await record(tx, { what, markAt: mark.at, stopAll })) ? what : null;
  if (seen.open) await stopAll(tx, "It is not accepted yet that the database has gone back.");
  const [raised] =
    look === "beat" && what === null ? await store.raise(tx, mark, IDLE_MS) : await store.adopt(tx, mark.owner, what === null ? null : mark.at);
  const { databaseId, systemIdentifier, timeline } = seen;
  return { mark: raised === undefined ? mark : { owner: mark.owner, at: raised.at, systemIdentifier, timeline }, databaseId, regressed };
}

async function seeNow(tx: Sql, mark: Mark, told: store.Told): Promise<store.Seen> {
  const [seen] = await store.see(tx, mark, told);
  if (seen === undefined) throw new Error("The database does not say which one it is: the table installation is empty. Restore it whole.");
  return seen;
}

/** What is wrong with the database, in a sentence; null: it is the one that was known. */
function faultOf(mark: Mark, seen: store.Seen): string | null {
  const { at, kept, systemIdentifier, timeline } = seen;
  if (!kept) {
    const upTo = at === null ? "has nothing from this machine" : `has nothing from this machine after ${at}`;
    const why = "an older backup was restored, or a server took over that had not received everything";
    return `This database ${upTo}; this machine knew it up to ${mark.at}: ${why}.`;
  }
  if (differ(mark.systemIdentifier, systemIdentifier)) {
    return `This database is on another server now (${systemIdentifier}; it was ${mark.systemIdentifier}): it was restored there, and may be older.`;
  }
  if (differ(mark.timeline, timeline)) {
    const why = "a replica was promoted or a backup recovered, and the last that the old server took may be missing";
    return `This database went on from a copy (timeline ${timeline}; it was ${mark.timeline}): ${why}.`;
  }
  return null;
}

const differ = (known: string | null, seen: string | null): boolean => known !== null && seen !== null && known !== seen;

/** False when it is known already, and not accepted yet. */
async function record(
  tx: Sql,
  { what, markAt, stopAll }: { what: string; markAt: string | null; stopAll: WatermarkOptions["stopAll"] },
): Promise<boolean> {
  await store.lockRegression(tx);
  const open = await store.openRegressions(tx);
  if (open.length > 0) return false;
  await store.insertRegression(tx, what, markAt);
  await stopAll(tx, what);
  return true;
}
