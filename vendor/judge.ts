import type { LedgerLine } from "./ledger.ts";

type Lines = Iterable<LedgerLine> | AsyncIterable<LedgerLine>;

export interface LedgerSummary {
  readonly accepted: number;
  /** Accepted beyond the first, per campaign, stage and recipient. 0 or somebody was written to twice. */
  readonly duplicates: number;
  /** The first 20 of those messages. */
  readonly duplicated: readonly { campaign: string; stage: number; to: string; wamids: readonly string[] }[];
  /** Accepted without a reference of ours: nothing can be said about them. */
  readonly unreferenced: number;
  readonly recipients: number;
  readonly firstAt: string | null;
  readonly lastAt: string | null;
}

/** What the ledger says, of one campaign or of all. */
export async function summarize(lines: Lines, campaign?: string): Promise<LedgerSummary> {
  const wamids = new Map<string, string[]>();
  const recipients = new Set<string>();
  let [accepted, unreferenced] = [0, 0];
  let firstAt: string | null = null;
  let lastAt: string | null = null;
  for await (const line of lines) {
    if (campaign !== undefined && line.campaign !== campaign) continue;
    accepted++;
    recipients.add(line.to);
    if (firstAt === null || line.at < firstAt) firstAt = line.at;
    if (lastAt === null || line.at > lastAt) lastAt = line.at;
    if (line.campaign === null) {
      unreferenced++;
      continue;
    }
    const key = `${line.campaign} ${line.stage} ${line.to}`;
    const earlier = wamids.get(key);
    if (earlier) earlier.push(line.wamid);
    else wamids.set(key, [line.wamid]);
  }
  const duplicated: { campaign: string; stage: number; to: string; wamids: string[] }[] = [];
  for (const [key, ids] of wamids) {
    const [of = "", stage, to = ""] = key.split(" ");
    if (ids.length > 1 && duplicated.length < 20) duplicated.push({ campaign: of, stage: Number(stage), to, wamids: ids });
  }
  const duplicates = accepted - unreferenced - wamids.size;
  return { accepted, duplicates, duplicated, unreferenced, recipients: recipients.size, firstAt, lastAt };
}

export interface WindowMax {
  readonly phoneNumberId: string;
  /** The most in any window (t − windowMs, t]. */
  readonly max: number;
  /** The last instant of the first such window. */
  readonly until: string;
}

export interface WindowOptions {
  readonly windowMs: number;
  /** `begunAt` judges a pace (calls that begin), `at` a cap. Default `at`. */
  readonly by?: "at" | "begunAt";
  /** Counts recipients instead of messages: what a cap limits. Default true. */
  readonly unique?: boolean;
  /** Judges all phone numbers together, as one portfolio; `phoneNumberId` is then "*". */
  readonly together?: boolean;
}

/** The fullest window of each phone number: never more than its cap (24 h, unique) or its pace (begunAt, not unique) allows. */
export async function maxInWindow(lines: Lines, options: WindowOptions): Promise<WindowMax[]> {
  const { by = "at", together = false } = options;
  const bySender = new Map<string, { at: number; to: string }[]>();
  for await (const line of lines) {
    const sender = together ? "*" : line.phoneNumberId;
    const events = bySender.get(sender) ?? [];
    events.push({ at: Date.parse(line[by]), to: line.to });
    bySender.set(sender, events);
  }
  return Array.from(bySender, ([phoneNumberId, events]) => ({ phoneNumberId, ...fullest(events, options) }));
}

function fullest(events: { at: number; to: string }[], { windowMs, unique = true }: WindowOptions): { max: number; until: string } {
  events.sort((a, b) => a.at - b.at);
  const inside = new Map<string, number>();
  let [oldest, max, until] = [0, 0, 0];
  for (const [newest, event] of events.entries()) {
    inside.set(event.to, (inside.get(event.to) ?? 0) + 1);
    for (let out = events[oldest]; out && out.at <= event.at - windowMs; out = events[++oldest]) {
      const left = (inside.get(out.to) ?? 1) - 1;
      if (left === 0) inside.delete(out.to);
      else inside.set(out.to, left);
    }
    const count = unique ? inside.size : newest - oldest + 1;
    if (count > max) [max, until] = [count, event.at];
  }
  return { max, until: new Date(until).toISOString() };
}
