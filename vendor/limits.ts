import type { Settings } from "./settings.ts";

const DAY_MS = 24 * 3_600_000;

/** The vendor's own limits, judged on its own clock. Each asks "may this one pass now?" and answers Meta's code when not. */
export interface Limits {
  /** Takes one of the number's messages per second: 130429 when none is left. Refused calls take nothing. */
  throughput(phoneNumberId: string, now: number): number | null;
  /** One message each few seconds to the same user, with a burst borrowed from the future: 131056. */
  pair(phoneNumberId: string, to: string, now: number): number | null;
  /** Unique users opened in a moving 24 h: 131048 (Meta documents no code of its own; this one is what was seen). */
  messaging(to: string, now: number): number | null;
  /** Records that `to` was accepted at `now`, outside an open window. */
  opened(to: string, now: number): void;
  clear(): void;
}

export function vendorLimits(settings: () => Settings["limits"]): Limits {
  const buckets = new Map<string, { tokens: number; at: number }>();
  const arrivals = new Map<string, number>();
  /** Users by their latest opening, and all openings in order; one that is no longer its user's latest counts for nothing. */
  const openings = new Map<string, number>();
  let inOrder: { to: string; at: number }[] = [];
  let oldest = 0;
  const forget = (now: number) => {
    for (let opening = inOrder[oldest]; opening && opening.at <= now - DAY_MS; opening = inOrder[++oldest]) {
      if (openings.get(opening.to) === opening.at) openings.delete(opening.to);
    }
    if (oldest > 10_000 && oldest > inOrder.length / 2) [inOrder, oldest] = [inOrder.slice(oldest), 0];
  };
  return {
    throughput(phoneNumberId, now) {
      const rate = settings().throughput;
      if (rate === null) return null;
      const burst = Math.max(1, rate);
      const bucket = buckets.get(phoneNumberId) ?? { tokens: burst, at: now };
      const tokens = Math.min(burst, bucket.tokens + (Math.max(0, now - bucket.at) * rate) / 1_000);
      const passes = tokens >= 1;
      buckets.set(phoneNumberId, { tokens: passes ? tokens - 1 : tokens, at: now });
      return passes ? null : 130429;
    },
    pair(phoneNumberId, to, now) {
      const limit = settings().pair;
      if (limit === null) return null;
      const key = `${phoneNumberId} ${to}`;
      const arrival = Math.max(now, arrivals.get(key) ?? now);
      if (arrival - now > limit.intervalMs * (limit.burst - 1)) return 131056;
      arrivals.set(key, arrival + limit.intervalMs);
      return null;
    },
    messaging(to, now) {
      const max = settings().messaging;
      if (max === null) return null;
      forget(now);
      return openings.has(to) || openings.size < max ? null : 131048;
    },
    opened(to, now) {
      if (settings().messaging === null) return;
      openings.set(to, now);
      inOrder.push({ to, at: now });
    },
    clear() {
      buckets.clear();
      arrivals.clear();
      openings.clear();
      [inOrder, oldest] = [[], 0];
    },
  };
}
