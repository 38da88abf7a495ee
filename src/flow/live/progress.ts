import type { Database } from "../../runtime/postgres.ts";
import { changedCampaigns, tellProgress } from "./progress-store.ts";

/** Tells the progress of up to `limit` campaigns of which something has changed, as events. Any number of processes may. */
export async function tellProgressOf(limit: number, sql: Database): Promise<number> {
  let told = 0;
  for (const { id } of await changedCampaigns(sql, limit)) {
    const [row] = await tellProgress(sql, id);
    if (row?.told === true) told++;
  }
  return told;
}
