import type { CampaignState } from "./campaign-state.ts";
import { explainCode } from "./code-words.ts";
import type { ReceiptKind } from "./receipt.ts";

/** What is known of one recipient, as far as it is told. */
export interface Known {
  readonly campaign: {
    readonly state: CampaignState;
    readonly name: string;
    readonly pauseReason: string | null;
    readonly onUncertain: "hold" | "resend";
  };
  readonly audience: { readonly type: string; readonly listName: string | null };
  readonly state: "pending" | "handing" | "accepted" | "failed" | "skipped" | "uncertain";
  /** Why it was skipped, and the words for it. */
  readonly reason: string | null;
  readonly cause: string | null;
  readonly at: Date | null;
  readonly dueAt: Date | null;
  readonly attempts: readonly {
    readonly attempt: number;
    readonly outcome: "accepted" | "rejected" | "uncertain" | "handing";
    readonly code: string | null;
    readonly cause: string | null;
    readonly at: Date;
  }[];
  readonly receipts: readonly { readonly kind: ReceiptKind; readonly at: Date; readonly code: string | null; readonly cause: string | null }[];
}

/** One thing that happened. `advice`: what to do about it, where something can be done. */
interface Told {
  readonly at: Date | null;
  readonly text: string;
  readonly code: string | null;
  readonly advice: string | null;
}

export interface Story {
  /** In the order in which it happened. */
  readonly story: readonly Told[];
  /** What comes next for this person. */
  readonly next: string;
}

/** What happened to one recipient and why, in sentences that need no knowledge of codes. */
export function explain(known: Known): Story {
  const happened = [...known.attempts.map(attemptTold), ...known.receipts.map(receiptTold)].sort(
    (a, b) => (a.at?.getTime() ?? 0) - (b.at?.getTime() ?? 0),
  );
  const skip = known.state === "skipped" ? [skipTold(known)] : [];
  return { story: [whyThere(known.audience), ...happened, ...skip], next: nextOf(known) };
}

const told = (at: Date | null, text: string, code: string | null = null, advice: string | null = null): Told => ({ at, text, code, advice });

function whyThere({ type, listName }: Known["audience"]): Told {
  const from: Readonly<Record<string, string>> = {
    all: "This person is a recipient because the campaign was addressed to all contacts.",
    segment: "This person is a recipient because the segment held them when the campaign was planned.",
    csv: "This person is a recipient because the file that was uploaded for this campaign named them.",
    inline: "This person is a recipient because the campaign itself named them.",
    resend: "This person is a recipient because of what became of their message in the campaign before.",
  };
  const list = `This person is a recipient because they were in the list${listName === null ? "" : ` "${listName}"`} when the campaign was planned.`;
  return told(null, from[type] ?? list);
}

function attemptTold({ attempt, outcome, code, cause, at }: Known["attempts"][number]): Told {
  const which = attempt === 1 ? "The message" : `Attempt ${attempt}`;
  if (outcome === "accepted") return told(at, `${which} was accepted by the provider.`);
  if (outcome === "handing") return told(at, `${which} is being sent.`);
  const words = code === null ? null : explainCode(code);
  const why = words?.sentence ?? cause ?? "The provider said no more.";
  const what = outcome === "rejected" ? "was refused" : "may or may not have been sent";
  return told(at, `${which} ${what}. ${why}`, code, words?.next ?? null);
}

const receiptWords: Readonly<Record<ReceiptKind, string>> = {
  sent: "The provider reports that it sent the message on.",
  delivered: "The message reached the device.",
  read: "The message was read.",
  replied: "The person replied.",
  failed: "The provider reports that the message could not be delivered after all.",
};

function receiptTold({ kind, at, code, cause }: Known["receipts"][number]): Told {
  const words = code === null ? null : explainCode(code);
  const why = words?.sentence ?? cause;
  return told(at, why == null ? receiptWords[kind] : `${receiptWords[kind]} ${why}`, code, words?.next ?? null);
}

const skipWords: Readonly<Record<string, readonly [text: string, advice: string]>> = {
  missing_variable: [
    "a value that the message needs is missing",
    'Give the contact the value, or the variable a default: {{ name | default: "there" }}.',
  ],
  invalid: ["there is no address that can be written to on this channel", "Correct the contact's phone number or e-mail address."],
  suppressed: ["this address must not be written to", "Nothing: the person, or somebody here, asked for it. The suppressions say who and when."],
  expired: ["the message's time was over before it could be sent", "Send it again with a later expiry, or with a faster pace."],
  stopped: ["the campaign was stopped before their turn", "Duplicate the campaign to write to those who are left."],
  campaign_failed: ["the campaign failed before their turn", "Mend what made it fail, then duplicate it."],
};

function skipTold({ reason, cause, at }: Known): Told {
  const [text, advice] = skipWords[reason ?? ""] ?? [reason ?? "no reason was kept", null];
  return told(at, `Nothing was sent: ${text}.${cause === null ? "" : ` ${cause}`}`, reason, advice);
}

function nextOf({ campaign, state, dueAt, receipts }: Known): string {
  const { state: now } = campaign;
  const rests = now === "paused" ? ` The campaign is paused${campaign.pauseReason === null ? "" : `: ${campaign.pauseReason}`}.` : "";
  switch (state) {
    case "pending":
      if (dueAt !== null) return `It is tried again at ${dueAt.toISOString()}.${rests}`;
      if (now === "draft") return "Nothing until the campaign is started.";
      return rests === "" ? "Their turn comes." : `Their turn comes when the campaign is resumed.${rests}`;
    case "handing":
      return "The provider's answer is awaited.";
    case "accepted":
      return receipts.some(({ kind }) => kind === "failed")
        ? "Nothing more is sent by this campaign. Resend it to those it did not reach."
        : "Nothing more is sent by this campaign. Receipts may still come.";
    case "failed":
      return "Nothing more is sent by this campaign. Resend it to those who failed, once the cause is mended.";
    case "skipped":
      return "Nothing is sent by this campaign.";
    case "uncertain":
      return campaign.onUncertain === "resend"
        ? "A receipt settles it. When none comes it is sent again, for the campaign says so."
        : "A receipt settles it. It is not sent again by itself, for that might write to this person twice.";
  }
}
