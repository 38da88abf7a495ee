import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Luck } from "../../runtime/luck.ts";
import type { Database } from "../../runtime/postgres.ts";
import type { OpenProvider } from "../provider/port.ts";
import type { Breaker } from "./breaker.ts";

/** All that an engine has to do with the world. */
export interface DispatchDeps {
  readonly sql: Database;
  readonly clock: Clock;
  readonly luck: Luck;
  readonly log: Log;
  readonly openProvider: OpenProvider;
  readonly breaker: Breaker;
  /** How long it takes this engine from asking what time it is until a mark is committed: a moving average, in milliseconds. */
  readonly lead: { ms: number };
  /** This engine's name as a holder of lots: a uuid, new at each start. */
  readonly engineId: string;
  /** Aborted when the process must end at once. */
  readonly signal: AbortSignal;
}
