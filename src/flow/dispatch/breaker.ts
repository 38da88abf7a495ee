import { BREAKER_LAST, BREAKER_ROW, BREAKER_SHARE } from "../../rules/limits.ts";

/** Counts what one engine hears from each sender, and trips when too much of it is uncertain. */
export interface Breaker {
  /** Notes one outcome; true when the sender must be held now. */
  note(senderId: string, uncertain: boolean): boolean;
}

export function createBreaker(): Breaker {
  const heard = new Map<string, boolean[]>();
  return {
    note(senderId, uncertain) {
      const last = heard.get(senderId) ?? [];
      heard.set(senderId, last);
      last.push(uncertain);
      if (last.length > BREAKER_LAST) last.shift();
      if (!uncertain) return false;
      const row = last.length >= BREAKER_ROW && last.slice(-BREAKER_ROW).every(Boolean);
      const share = last.length === BREAKER_LAST && last.filter(Boolean).length >= BREAKER_LAST * BREAKER_SHARE;
      if (row || share) heard.delete(senderId); // it is held now; what it does after that is judged anew
      return row || share;
    },
  };
}
