import type { Database } from "../../../runtime/postgres.ts";
import * as store from "./store.ts";

/** Without a sign of life for so long (they come every second), an import's process is gone. */
const SILENT_MAX_MS = 60_000;

/**
 * Shows imports as failed whose process died, and drops what they had staged. To be called at the start of a process and once a minute;
 * any number of processes may. Returns how many it ended.
 */
export async function failStaleImports({ sql }: { sql: Database }): Promise<number> {
  const cause = "The process that ran this import ended before it was done. Nothing was stored; import the file again.";
  const ended = await store.endStale(sql, { silentMs: SILENT_MAX_MS, cause });
  for (const { stage } of await store.listLeftStages(sql)) await store.dropStage(sql, stage);
  return ended.length;
}
