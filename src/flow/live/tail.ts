import type { Sql } from "../../runtime/postgres.ts";
import { eventsAfter, type PlacedEvent, placeEvents, tailPosition } from "./tail-store.ts";

export type { PlacedEvent } from "./tail-store.ts";

/** Events read at once. */
const STEP = 500;

/** The end of all events as this process has told them. Each process that has listeners follows by itself. */
export interface Tail {
  /** Everything up to here was told. */
  readonly position: number;
  /** Reads what is new and tells it, in order; returns how many. A step that failed is simply repeated. */
  step(): Promise<number>;
}

/**
 * Begins at the end: what was before is asked for, not told. `prepare` gives back what tells the events; it is called at once and in the
 * same moment as `position` moves, so that whoever begins to listen stands before all of them or after.
 */
export async function openTail(sql: Sql, prepare: (events: readonly PlacedEvent[]) => Promise<() => void>): Promise<Tail> {
  await placeEvents(sql, STEP);
  const [tail] = await tailPosition(sql);
  let position = tail?.position ?? 0;
  let last: Promise<unknown> = Promise.resolve();

  async function follow(): Promise<number> {
    await placeEvents(sql, STEP);
    const events = await eventsAfter(sql, { after: position, upTo: null, workspaceId: null, limit: STEP });
    const tell = await prepare(events);
    tell();
    position = events.at(-1)?.position ?? position;
    return events.length;
  }

  return {
    get position() {
      return position;
    },
    step() {
      const next = last.then(follow, follow);
      last = next.catch(() => {});
      return next;
    },
  };
}

/** What somebody of the workspace has missed, in order; `limit` at most. */
export const missedBetween = (sql: Sql, workspaceId: string, by: { after: number; upTo: number; limit: number }): Promise<readonly PlacedEvent[]> =>
  eventsAfter(sql, { ...by, workspaceId });
