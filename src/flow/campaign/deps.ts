import type { Clock } from "../../runtime/clock.ts";
import type { Luck } from "../../runtime/luck.ts";
import type { Database } from "../../runtime/postgres.ts";

/** What making, steering and planning campaigns has to do with the world. */
export interface CampaignDeps {
  readonly sql: Database;
  readonly clock: Clock;
  readonly luck: Luck;
}

/** Names a campaign as a caller does: within its workspace, by a bare uuid or `cmp_<uuid>`. */
export interface CampaignRef {
  readonly workspaceId: string;
  readonly id: string;
}
