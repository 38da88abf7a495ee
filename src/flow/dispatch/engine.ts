import { RECOVERY_MARGIN_MS } from "../../rules/limits.ts";
import { type Running, startLoop } from "../../runtime/loop.ts";
import { completeOver } from "./complete.ts";
import type { DispatchDeps } from "./deps.ts";
import { settleDoubts } from "./doubt.ts";
import { drive, take } from "./drive.ts";
import { sendDue } from "./due.ts";
import type { HeldLot } from "./held-lot.ts";
import { nextDueAt } from "./lot-store.ts";

export interface EngineOptions {
  /** Campaigns that this engine works on at a time. */
  readonly campaignsMax: number;
  /** Lots of one campaign in parallel, when no pace binds it. */
  readonly lotsPerCampaign: number;
  /** How long the lots' loop rests at most when nothing is due and nothing wakes it. */
  readonly pollMs: number;
  /** How long the loops rest that send due messages, settle what is in doubt, and complete. */
  readonly sweepMs: number;
}

/** Campaigns looked at in one step of the completion loop. */
const COMPLETED_PER_STEP = 20;

/** The always-on engine: takes lots and due messages as they become due, and settles and completes what is over. */
export function startEngine(deps: DispatchDeps, options: EngineOptions): Running {
  const stopping = new AbortController();
  const held = new Set<HeldLot>();
  const driving = new Set<Promise<void>>();

  async function takeOne(): Promise<number> {
    const room = roomOf(held, options);
    const lot = room.among?.length === 0 ? null : await take(deps, { ...room, anyDriver: false });
    if (lot === null) return 0;
    held.add(lot);
    const drove = drive(lot, deps, { stop: stopping.signal, onPaceKnown: lots.nudge })
      .catch((error) =>
        deps.log.error({ err: error, campaignId: lot.campaignId }, "a lot was left in the middle; it is recovered when its lease runs out"),
      )
      .finally(() => {
        held.delete(lot);
        driving.delete(drove);
        lots.nudge();
        sweep.nudge();
      });
    driving.add(drove);
    return 1;
  }

  const lots = startLoop({ name: "lots", step: takeOne, restMs: () => untilDue(deps, options.pollMs) }, deps);
  const due = startLoop(
    {
      name: "due messages",
      step: async () => (await sendDue(deps, { among: null, anyDriver: false })).written.length,
      restMs: () => options.sweepMs,
    },
    deps,
  );
  const sweep = startLoop(
    {
      name: "settling",
      step: async () => (await settleDoubts(deps)) + (await completeOver(COMPLETED_PER_STEP, deps)),
      restMs: () => options.sweepMs,
    },
    deps,
  );
  return {
    nudge: () => {
      lots.nudge();
      due.nudge();
      sweep.nudge();
    },
    stop: async () => {
      stopping.abort();
      for (const lot of held) lot.flight.nudge();
      await Promise.all([lots.stop(), due.stop(), sweep.stop()]);
      await Promise.all(driving);
    },
  };
}

/** What may be taken besides what is held: one lot of a paced campaign is enough, and only so many campaigns are worked on at a time. */
function roomOf(held: ReadonlySet<HeldLot>, { campaignsMax, lotsPerCampaign }: EngineOptions): { except: string[]; among: string[] | null } {
  const campaigns = new Map<string, HeldLot[]>();
  for (const lot of held) campaigns.set(lot.campaignId, [...(campaigns.get(lot.campaignId) ?? []), lot]);
  const full = (lots: readonly HeldLot[]) => lots.length >= (lots.every((lot) => lot.paced === false) ? lotsPerCampaign : 1);
  const except = [...campaigns].filter(([, lots]) => full(lots)).map(([id]) => id);
  const among = campaigns.size >= campaignsMax ? [...campaigns.keys()].filter((id) => !except.includes(id)) : null;
  return { except, among };
}

/** Milliseconds until the next lot can be taken, as far as is known now. */
async function untilDue({ sql }: DispatchDeps, pollMs: number): Promise<number> {
  const [next] = await nextDueAt(sql, RECOVERY_MARGIN_MS);
  return next?.at == null ? pollMs : Math.min(pollMs, Math.max(1, next.at.getTime() - next.now.getTime() + 1));
}
