import type { Campaign, Lot, Message, Suppression } from "./memory/schema.ts";
import type { Change, Told } from "./memory/table.ts";
import type { Time } from "./time.ts";

/** A mark that became durable: the positions of a lot, or one message due again. Milliseconds since the world began. */
interface MarkMade {
  readonly campaignId: string;
  readonly from: number;
  readonly to: number;
  /** Null: a lot's mark. */
  readonly attempt: number | null;
  readonly beganAt: number;
  readonly at: number;
  readonly campaignState: Campaign["state"] | undefined;
}

/** What the database's history shows and its last state does not. */
export interface Witness {
  readonly marks: readonly MarkMade[];
  readonly states: readonly { readonly campaignId: string; readonly state: Campaign["state"]; readonly at: number }[];
  readonly suppressed: ReadonlyMap<string, number>;
  /** Campaigns without a closing statement. */
  readonly open: ReadonlySet<string>;
  /** When anything last became of anybody. */
  readonly changedAt: number;
  readonly told: Told;
}

export function createWitness(time: () => Time): Witness {
  const marks: MarkMade[] = [];
  const states: { campaignId: string; state: Campaign["state"]; at: number }[] = [];
  const now = new Map<string, Campaign["state"]>();
  const suppressed = new Map<string, number>();
  const open = new Set<string>();
  let changedAt = 0;

  function lot(before: Lot | null, after: Lot | null, { tx }: Change): void {
    if (after === null || before === null || after.handed <= before.handed || after.holder === null) return;
    const { campaignId } = after;
    marks.push({
      campaignId,
      from: before.handed + 1,
      to: after.handed,
      attempt: null,
      beganAt: tx.beganAt,
      at: time().now,
      campaignState: now.get(campaignId),
    });
  }

  function message(before: Message | null, after: Message | null, { tx }: Change): void {
    if (after?.state !== "handing" || before?.state === "handing") return;
    const { campaignId, position, attempt } = after;
    marks.push({ campaignId, from: position, to: position, attempt, beganAt: tx.beganAt, at: time().now, campaignState: now.get(campaignId) });
  }

  return {
    marks,
    states,
    suppressed,
    open,
    get changedAt() {
      return changedAt;
    },
    told(change) {
      const { table, before, after } = change;
      if (table === "receipt" || (table === "message" && (before as Message | null)?.state !== (after as Message).state)) changedAt = time().now;
      if (table === "lot") lot(before as Lot | null, after as Lot | null, change);
      else if (table === "message") message(before as Message | null, after as Message | null, change);
      else if (table === "campaign") {
        const { id: campaignId, state, statement } = after as Campaign;
        if (statement === null) open.add(campaignId);
        else open.delete(campaignId);
        if (now.get(campaignId) !== state) states.push({ campaignId, state, at: time().now });
        now.set(campaignId, state);
      } else if (table === "suppression") {
        const { address } = (after ?? before) as Suppression;
        if (after !== null && !suppressed.has(address)) suppressed.set(address, time().now);
      }
    },
  };
}
