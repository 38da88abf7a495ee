import type { Filter } from "../../rules/segment.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Luck } from "../../runtime/luck.ts";
import type { Database, Fragment, Sql } from "../../runtime/postgres.ts";

/** What making, steering and planning campaigns has to do with the world. */
export interface CampaignDeps {
  readonly sql: Database;
  readonly clock: Clock;
  readonly luck: Luck;
  /** Absent where no audience is chosen by a filter: planning one that is then throws. */
  readonly chosenBy?: ChosenBy;
}

/**
 * Whether contact `c` fits a filter, as a part of a statement, never null; the audience's part, wired in serve.ts. The extent: whether all
 * contacts are asked, or a chunk of them.
 */
export type ChosenBy = (sql: Sql, filter: Filter, extent: "whole" | "chunk") => Fragment;

/** Names a campaign as a caller does: within its workspace, by a bare uuid or `cmp_<uuid>`. */
export interface CampaignRef {
  readonly workspaceId: string;
  readonly id: string;
}
