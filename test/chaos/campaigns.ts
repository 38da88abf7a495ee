import type { Progress } from "./witness.ts";
import type { World } from "./world.ts";

/** How a campaign goes: as fast as engine and vendor can, at its own pace, at its sender's, or until its sender's cap is full. */
const kinds = ["full speed", "own pace", "sender's pace", "cap"] as const;
type Kind = (typeof kinds)[number];

interface Sender {
  readonly id: string;
  readonly phoneNumberId: string;
  readonly perSecond: number | null;
  readonly cap: number | null;
}

export interface Sent {
  readonly id: string;
  readonly kind: Kind;
  readonly sender: Sender;
  /** Of the campaign itself. */
  readonly perSecond: number | null;
  readonly recipients: number;
}

/** What is sent, how much of it, and how fast. */
export interface Plan {
  /** Recipients of one campaign of each kind. */
  readonly sizes: Readonly<Record<Kind, number>>;
  /** Recipients per lot. */
  readonly lots: Readonly<Record<Kind, number>>;
  readonly senderPerSecond: number;
  readonly campaignPerSecond: number;
  readonly cap: number;
  /** Campaigns that go at their own pace at a time. */
  readonly ownPaced: number;
  /** Recipients that begin per second, all campaigns together: those at full speed make it up. */
  readonly perSecond: number;
  /** Not more than so many of those may wait; none begins later than so long before the end. */
  readonly backlogMax: number;
  readonly fullSpeedNeedsMs: number;
}

export interface Feeder {
  readonly sent: readonly Sent[];
  readonly recipients: number;
  /** Begins the campaigns that are wanted now, and does not wait for it: the API may be away for a while. */
  feed(progress: readonly Progress[], now: { readonly elapsedMs: number; readonly leftMs: number }): void;
  /** Everything that was begun is there. */
  fed(): Promise<void>;
}

/** A paced campaign that begins later would not end in time. */
const paceNeedsMs = (plan: Plan) => (plan.sizes["own pace"] / plan.campaignPerSecond) * 1_000;
/** Campaigns under the cap begin at these parts of the time. */
const CAPPED_AT = [0.1, 0.3, 0.5];
const LISTS = 3;
const phoneOf = (person: number) => `+9198${10_000_000 + person}`;

/** Makes the senders and everybody they write to, through the API. */
export async function openFeeder({ api, vendor, lines }: World, plan: Plan): Promise<Feeder> {
  const direct = vendor.url;
  const through = `http://127.0.0.1:${lines.vendor.port}`;
  const senderOf = async (name: string, given: { apiBase: string; perSecond: number | null; cap: number | null }): Promise<Sender> => {
    const phoneNumberId = String(200_000_000_000_000 + senders++);
    await vendor.control("PUT", "/phone-numbers", {
      id: phoneNumberId,
      displayPhoneNumber: `+1 650 555 ${senders}000`,
      messagingLimit: "TIER_UNLIMITED",
    });
    const { data } = await api.post<{ data: { id: string } }>("/api/v1/senders", { name, phoneNumberId, accessToken: vendor.token, ...given });
    await api.post(`/api/v1/senders/${data.id}/connect`);
    return { id: data.id, phoneNumberId, perSecond: given.perSecond, cap: given.cap };
  };
  let senders = 1;
  // Whose pace is judged goes past the bad line: what a network adds to the distance of two calls is no fault of theirs.
  const by: Record<Kind, Sender> = {
    "full speed": await senderOf("fast", { apiBase: through, perSecond: null, cap: null }),
    "own pace": await senderOf("calm", { apiBase: direct, perSecond: null, cap: null }),
    "sender's pace": await senderOf("paced", { apiBase: direct, perSecond: plan.senderPerSecond, cap: null }),
    cap: await senderOf("capped", { apiBase: through, perSecond: null, cap: plan.cap }),
  };
  const audiences = await openAudiences(api, plan);
  const sent: Sent[] = [];
  const beginnings = new Set<Promise<void>>();
  const begun: Record<Kind, number> = { "full speed": 0, "own pace": 0, "sender's pace": 0, cap: 0 };
  let failure: unknown;

  function begin(kind: Kind): void {
    const nth = begun[kind]++;
    const beginning = create(kind, nth)
      .catch((error: unknown) => {
        failure = error;
      })
      .finally(() => beginnings.delete(beginning));
    beginnings.add(beginning);
  }

  async function create(kind: Kind, nth: number): Promise<void> {
    const sender = by[kind];
    const perSecond = kind === "own pace" ? plan.campaignPerSecond : null;
    const { data } = await api.post<{ data: { id: string } }>("/api/v1/campaigns", {
      accountId: sender.id,
      name: `${kind} ${nth + 1}`,
      messageType: "text",
      messageContent: "Hello {{firstName}}",
      audienceType: "list",
      audienceConfig: { listId: audiences[kind][nth % LISTS] },
      scheduleType: "now",
      throttleConfig: { messagesPerMinute: perSecond === null ? null : perSecond * 60, batchSize: plan.lots[kind] },
      onUncertain: "hold",
      onDailyLimit: nth % 2 === 0 ? "wait" : "pause",
    });
    sent.push({ id: data.id, kind, sender, perSecond, recipients: plan.sizes[kind] });
  }

  const total = () => kinds.reduce((sum, kind) => sum + begun[kind] * plan.sizes[kind], 0);
  return {
    sent,
    get recipients() {
      return total();
    },
    feed(progress, { elapsedMs, leftMs }) {
      if (failure !== undefined) throw failure;
      const open = (one: Sent) => {
        const found = progress.find(({ campaignId }) => campaignId === one.id);
        return found === undefined || found.recipients === 0 ? one.recipients : found.recipients - found.settled;
      };
      const of = (kind: Kind) => sent.filter((one) => one.kind === kind);
      const coming = (kind: Kind) => begun[kind] - of(kind).length;
      const busy = (kind: Kind) => coming(kind) + of(kind).filter((one) => open(one) > one.recipients / 5).length;
      if (leftMs > paceNeedsMs(plan)) {
        if (busy("own pace") < plan.ownPaced) begin("own pace");
        if (busy("sender's pace") < 1) begin("sender's pace");
      }
      const part = elapsedMs / (elapsedMs + leftMs);
      if (part >= (CAPPED_AT[begun.cap] ?? 2)) begin("cap");
      const waiting = coming("full speed") * plan.sizes["full speed"] + of("full speed").reduce((sum, one) => sum + open(one), 0);
      const wanted = (plan.perSecond * elapsedMs) / 1_000 + plan.sizes["full speed"];
      if (leftMs > plan.fullSpeedNeedsMs && total() < wanted && waiting < plan.backlogMax) begin("full speed");
    },
    async fed() {
      await Promise.all(beginnings);
      if (failure !== undefined) throw failure;
    },
  };
}

/** Lists of people, uploaded before anything happens: a few for each kind, nobody on two. */
async function openAudiences(api: World["api"], plan: Plan): Promise<Record<Kind, string[]>> {
  const lists: Record<Kind, string[]> = { "full speed": [], "own pace": [], "sender's pace": [], cap: [] };
  let people = 0;
  for (const kind of kinds) {
    for (let nth = 1; nth <= LISTS; nth++) {
      const name = `${kind} ${nth}`;
      const rows = Array.from({ length: plan.sizes[kind] }, () => `${phoneOf(people)},P${people++}`);
      await api.upload(`/api/v1/contacts/import?list=${encodeURIComponent(name)}`, `phone,first_name\n${rows.join("\n")}\n`);
      const { data } = await api.post<{ data: { id: string } }>("/api/v1/lists", { name });
      lists[kind].push(data.id);
    }
  }
  return lists;
}
