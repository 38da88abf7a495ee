import type { Clock } from "../../runtime/clock.ts";
import type { Luck } from "../../runtime/luck.ts";
import type { Database } from "../../runtime/postgres.ts";

/** What keeping contacts has to do with the world. */
export interface AudienceDeps {
  readonly sql: Database;
  readonly clock: Clock;
  readonly luck: Luck;
}
