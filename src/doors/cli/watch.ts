import { explainCode } from "../../rules/code-words.ts";
import type { Api } from "./api.ts";
import type { Screen } from "./screen.ts";
import { Failed } from "./world.ts";

/** A campaign as the API shows it; the part that commands print. */
export interface CampaignSeen {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly totalRecipients: number | null;
  readonly counts: { readonly accepted: number; readonly failed: number; readonly skipped: number; readonly uncertain: number };
  readonly pauseReason: string | null;
  readonly failure: string | null;
  readonly statement: Statement | null;
}

export interface Statement {
  readonly recipients: number;
  readonly accepted: number;
  readonly failed: number;
  readonly skipped: Readonly<Record<string, number>>;
  readonly uncertain: number;
}

export interface Stats extends Statement {
  readonly pending: number;
  readonly sent: number;
  readonly delivered: number;
  readonly read: number;
  readonly replied: number;
  readonly undelivered: number;
  readonly deliveryRate: number;
  readonly readRate: number;
  readonly replyRate: number;
  readonly byCode: readonly { readonly code: string; readonly count: number; readonly cause: string | null }[];
}

const ENDED = new Set(["completed", "stopped", "failed", "paused"]);
const LOOK_MS = 250;
/** Nothing happened for so long: somebody will wonder why. */
const STILL_MS = 4_000;

/** Follows a campaign with a progress bar until it has ended, or waits for somebody. */
export async function watchCampaign(api: Api, id: string, screen: Screen, told?: AbortSignal): Promise<CampaignSeen> {
  const path = `/api/v1/campaigns/${id}`;
  const bar = screen.bar({
    total: 1,
    format: "  {bar} {percentage} %  {value} of {total}  accepted {accepted}  failed {failed}  {rate} on average",
    shown: { accepted: 0, failed: 0, rate: "0/s" },
  });
  const startedAt = performance.now();
  let moved = { done: 0, at: startedAt, said: false };
  for (;;) {
    const { data } = await api.call<{ data: CampaignSeen }>({ method: "GET", path });
    const { accepted, failed, skipped, uncertain } = data.counts;
    const done = accepted + failed + skipped + uncertain;
    const seconds = (performance.now() - startedAt) / 1_000;
    bar.total(data.totalRecipients ?? 1);
    bar.at(done, { accepted, failed, rate: `${Math.round(done / Math.max(1, seconds))}/s` });
    if (ENDED.has(data.status) && (data.status === "paused" || data.statement !== null || data.totalRecipients === null)) {
      bar.stop();
      return data;
    }
    if (done > moved.done) moved = { done, at: performance.now(), said: false };
    else if (!moved.said && performance.now() - moved.at > STILL_MS) moved.said = await sayWaiting(api, id, screen);
    if (told?.aborted) {
      bar.stop();
      throw new Failed("Stopped before the campaign had ended.");
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** True when it was said why nothing happens. */
async function sayWaiting(api: Api, id: string, screen: Screen): Promise<boolean> {
  const { campaign } = await api.call<{ campaign: { dailyLimit: { used: number; cap: number | null; nextFreeAt: string | null } } }>({
    method: "GET",
    path: `/api/campaigns/${id}`,
  });
  const { used, cap, nextFreeAt } = campaign.dailyLimit;
  if (cap === null || used < cap) return false;
  screen.say(`  waiting: the sender's daily limit is reached, ${used} of ${cap}${nextFreeAt === null ? "" : `; it goes on at ${nextFreeAt}`}`);
  return true;
}

/** The figures of a campaign as people read them. */
export function sayCampaign(screen: Screen, campaign: CampaignSeen, stats: Stats): void {
  screen.say(`${campaign.name}  ${campaign.status}${reasonOf(campaign)}`);
  screen.say(`  ${campaign.id}`);
  sayStatement(screen, stats);
  const share = (rate: number) => `${rate.toFixed(1)} %`;
  screen.table([
    ["delivered", stats.delivered, `${share(stats.deliveryRate)} of accepted`],
    ["read", stats.read, `${share(stats.readRate)} of delivered`],
    ["replied", stats.replied, `${share(stats.replyRate)} of delivered`],
    ["undelivered", stats.undelivered, "accepted, failed later"],
  ]);
  if (stats.byCode.length === 0) return;
  screen.say("");
  screen.say("  Why messages failed, or were not delivered later:");
  screen.table(stats.byCode.map(({ code, count, cause }) => [code, count, explainCode(code)?.sentence ?? cause ?? ""]));
}

const reasonOf = ({ pauseReason, failure }: CampaignSeen): string => {
  const reason = failure ?? pauseReason;
  return reason === null ? "" : `: ${reason}`;
};

/** What became of everybody. */
export function sayStatement(
  screen: Screen,
  { recipients, accepted, failed, skipped, uncertain, pending }: Statement & { readonly pending?: number },
): void {
  const reasons = Object.entries(skipped);
  const sum = reasons.reduce((total, [, count]) => total + count, 0);
  screen.table([
    ["recipients", recipients, ""],
    ["accepted", accepted, "by the provider"],
    ["failed", failed, ""],
    ["skipped", sum, reasons.map(([reason, count]) => `${reason} ${count}`).join(", ")],
    ["uncertain", uncertain, uncertain > 0 ? "nobody can say whether they were sent" : ""],
    ...(pending === undefined || pending === 0 ? [] : [["still to be sent", pending, ""]]),
  ]);
}

/** True when everybody is accounted for. */
export function addsUp({ recipients, accepted, failed, skipped, uncertain }: Statement): boolean {
  return accepted + failed + uncertain + Object.values(skipped).reduce((sum, count) => sum + count, 0) === recipients;
}
