import type { Town } from "../support/town.ts";

export const SECOND_MS = 1_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;

/** How many different people are in a window of `ms` that begins at each of `starts`: whom the vendor's ledger shows in (start, start + ms]. */
export function peopleIn(lines: readonly { at: string; to: string }[], starts: readonly number[], ms: number): number[] {
  const sent = lines.map(({ at, to }) => ({ at: Date.parse(at), to }));
  return starts.map((start) => new Set(sent.filter(({ at }) => at > start && at <= start + ms).map(({ to }) => to)).size);
}

/**
 * By how many calls the fullest window exceeds what a pace allows in it: `perSecond × (T + lateMs) + 1` calls in any window of length T.
 * Not above 0, or the pace was broken. Looks at every window that begins and ends with a call; times are whole milliseconds.
 */
export function excess(times: readonly number[], perSecond: number, lateMs: number): number {
  const sorted = [...times].sort((a, b) => a - b);
  let worst = Number.NEGATIVE_INFINITY;
  // A call i and a later one j are j - i + 1 calls within t[j] - t[i]; the worst window that ends at j begins where t[i] * pace - i is largest.
  let best = Number.NEGATIVE_INFINITY;
  for (const [j, at] of sorted.entries()) {
    best = Math.max(best, (at * perSecond) / 1_000 - j);
    worst = Math.max(worst, best + j + 1 - ((at + lateMs + 1) * perSecond) / 1_000 - 1);
  }
  return worst;
}

/** The states of a campaign's messages, and how many are in each. */
export async function statesOf(place: Town, ids: readonly string[]): Promise<Record<string, number>> {
  const rows = await place.sql<{ state: string; n: number }[]>`
    select state, count(*)::int as n from message where campaign_id = any(${[...ids]}::uuid[]) group by 1`;
  return Object.fromEntries(rows.map(({ state, n }) => [state, n]));
}

export const campaignOf = async (place: Town, id: string) => {
  const [row] = await place.sql<{ state: string; pauseReason: string | null; statement: Record<string, number> | null }[]>`
    select state, pause_reason, statement from campaign where id = ${id}`;
  return row;
};

/** How many of the messages each campaign has got, in the order of `ids`. */
export const sharesOf = (lines: readonly { campaign: string | null }[], ids: readonly string[]): number[] =>
  ids.map((id) => lines.filter(({ campaign }) => campaign === id).length / lines.length);
