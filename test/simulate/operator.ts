import { pause, resume, stop } from "../../src/flow/campaign/control.ts";
import type { CampaignDeps } from "../../src/flow/campaign/deps.ts";
import { Refusal } from "../../src/rules/refusal.ts";
import { ask, tables } from "./memory/twin.ts";
import type { Deed, Plan } from "./plan.ts";
import type { Process, Time } from "./time.ts";

/** What the operator was told. Milliseconds since the world began. */
export interface Answer {
  readonly campaignId: string;
  readonly deed: "pause" | "stop";
  readonly answeredAt: number;
  readonly inFlight: number;
}

export interface OperatorOptions {
  readonly plan: Plan;
  readonly time: Time;
  readonly process: Process;
  readonly deps: CampaignDeps;
  readonly workspaceId: string;
  readonly campaignIds: readonly string[];
  /** So many milliseconds while something happens, and longer the longer nothing has. */
  readonly patient: (ms: number) => number;
  readonly mend: (senderId: string) => void;
  readonly trace: (process: Process, text: () => string) => void;
}

/** Somebody who pauses, resumes, stops and suppresses as planned, and looks after what came to rest. Uses the product's own deeds. */
export function startOperator(options: OperatorOptions): readonly Answer[] {
  const answers: Answer[] = [];
  void workThrough(options, answers);
  void takeCare(options);
  return answers;
}

async function workThrough(options: OperatorOptions, answers: Answer[]): Promise<void> {
  const { plan, time, process } = options;
  for (const deed of plan.deeds) {
    await process.clock.sleep(Math.max(0, deed.atMs - time.now));
    await attempt(options, () => perform(deed, options, answers));
  }
}

async function perform({ deed, campaign, address }: Deed, options: OperatorOptions, answers: Answer[]): Promise<void> {
  const { deps, time, process, workspaceId, campaignIds, trace } = options;
  const id = campaignIds[campaign] ?? "";
  const ref = { workspaceId, id };
  if (deed === "suppress") {
    const row = { workspaceId, channel: "whatsapp", address, scope: "all" as const, reason: "asked", source: "manual" };
    await ask(deps.sql, "suppress", async (q) => void (await q.insert(tables.suppression, row)));
  } else if (deed === "resume") await resume(ref, { atOnce: false }, deps);
  else {
    const { inFlight } = deed === "pause" ? await pause(ref, { reason: "the operator" }, deps) : await stop(ref, deps);
    answers.push({ campaignId: id, deed, answeredAt: time.now, inFlight });
  }
  trace(process, () => `${deed} ${deed === "suppress" ? address : id.slice(0, 4)} is acknowledged`);
}

/** Now and then mends every sender that is blocked and resumes everything that rests. */
async function takeCare(options: OperatorOptions): Promise<void> {
  const { plan, process, deps, workspaceId, mend, patient } = options;
  for (;;) {
    await process.clock.sleep(patient(plan.careMs));
    const resting = await attempt(options, () =>
      ask(deps.sql, "look", async (q) => q.all(tables.campaign).filter(({ state }) => state === "paused")),
    );
    for (const { id, senderId } of resting ?? []) {
      mend(senderId);
      await attempt(options, () => unblock(options, senderId));
      await attempt(options, () => resume({ workspaceId, id }, { atOnce: false }, deps));
    }
  }
}

const unblock = ({ deps }: OperatorOptions, senderId: string) =>
  ask(deps.sql, "unblock", async (q) => {
    const sender = await q.lock(tables.sender, senderId);
    if (sender !== undefined && sender.blockedReason !== null) q.put(tables.sender, { ...sender, blockedReason: null });
    return [];
  });

/** A refusal is an answer; the database being away is none, and tried once more later by whoever looks next. */
async function attempt<T>({ trace, process }: OperatorOptions, deed: () => Promise<T>): Promise<T | null> {
  try {
    return await deed();
  } catch (error) {
    if (!(error instanceof Refusal) && !(error instanceof Error && "code" in error)) throw error;
    trace(process, () => `the operator is told: ${error.message}`);
    return null;
  }
}
