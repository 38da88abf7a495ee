import { HOLDERS_MAX, RECOVERY_MARGIN_MS } from "../../rules/limits.ts";
import { type Loop, type Running, startLoop } from "../../runtime/loop.ts";
import { isPassing } from "../../runtime/postgres.ts";
import { completeOver } from "./complete.ts";
import type { DispatchDeps } from "./deps.ts";
import { settleDoubts } from "./doubt.ts";
import { drive, take } from "./drive.ts";
import { nextDue, sendDue } from "./due.ts";
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

/** Senders whose due messages are sent at a time. */
const DUE_SENDERS_MAX = 8;
const asEngine = { anyDriver: false, holdersMax: HOLDERS_MAX };
/** Campaigns looked at in one step of the completion loop. */
const COMPLETED_PER_STEP = 20;

/** The always-on engine: takes lots and due messages as they become due, and settles and completes what is over. */
export function startEngine(deps: DispatchDeps, options: EngineOptions): Running {
  const stopping = new AbortController();
  const held = new Set<HeldLot>();
  const driving = new Set<Promise<void>>();

  async function takeSome(): Promise<number> {
    const room = roomOf(held, options);
    const lot = room.among?.length === 0 ? null : await take(deps, { ...room, ...asEngine });
    if (lot === null) return 0;
    driveOn(lot);
    // One after the other they would come slower and slower, for the first is already sending.
    const others = lot.paced === false && lot.last < lot.facts.recipients ? options.lotsPerCampaign - lotsOf(lot.campaignId).length : 0;
    const alike = { ...asEngine, except: [], among: [lot.campaignId] };
    await Promise.all(Array.from({ length: others }, async () => driveOn(await take(deps, alike))));
    return 1;
  }

  const lotsOf = (campaignId: string) => [...held].filter((lot) => lot.campaignId === campaignId);

  function driveOn(lot: HeldLot | null): void {
    if (lot === null) return;
    held.add(lot);
    const drove = drive(lot, deps, { stop: stopping.signal, onward: true, onPaceKnown: lots.nudge })
      .catch((error) =>
        deps.log.error({ err: error, campaignId: lot.campaignId }, "a lot was left in the middle; it is recovered when its lease runs out"),
      )
      .finally(() => {
        held.delete(lot);
        driving.delete(drove);
        lots.nudge();
        if (lotsOf(lot.campaignId).length === 0) sweep.nudge(); // it may be over
      });
    driving.add(drove);
  }

  const lots = startLoop({ name: "lots", step: takeSome, restMs: () => untilDue(deps, options.pollMs) }, deps);
  const due = startLoop(
    dueMessages(deps, options, driving, () => due.nudge()),
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

/** Sends due messages, of several senders at a time, and rests until the next are due. */
function dueMessages(deps: DispatchDeps, options: EngineOptions, driving: Set<Promise<void>>, again: () => void): Loop {
  const busy = new Set<string>();
  let restMs = 0;
  return {
    name: "due messages",
    async step() {
      restMs = options.sweepMs;
      const next = busy.size < DUE_SENDERS_MAX ? await nextDue(deps, { among: null, anyDriver: false, except: [...busy] }) : null;
      if (next === null || next.inMs > 0) {
        restMs = Math.min(restMs, next?.inMs ?? restMs);
        return 0;
      }
      busy.add(next.senderId);
      const sent: Promise<void> = sendDue(next.campaignId, deps)
        .catch((error) => {
          deps.log[isPassing(error) ? "warn" : "error"](
            { err: error, campaignId: next.campaignId },
            "due messages could not be sent; they are tried again",
          );
          return { found: 0 };
        })
        .then(({ found }) => {
          busy.delete(next.senderId);
          driving.delete(sent);
          // One of which a receipt speaks is found due and is not sent: it is settled by the other loop, and must not be asked for without end.
          if (found > 0) again();
        });
      driving.add(sent);
      return 1;
    },
    restMs: () => restMs,
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
