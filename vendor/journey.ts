import type { PlannedUpdate } from "./fate.ts";
import { type Accepted, profileName, type Update } from "./payload.ts";
import { wamid } from "./wamid.ts";

export interface Telling {
  readonly update: Update;
  readonly toldAt: number;
}

const stopWords = ["STOP", "Stop", "unsubscribe", "PARAR", "BAJA", "ARRÊT", "Stopp", "रोकें"];
const smallTalk = ["Thanks!", "Yes, please", "Who is this?", "Tell me more", "Olá, obrigado", "👍", "Not now"];

const at = <T>(list: readonly T[], luck: number): T | undefined => list[Math.floor(luck * list.length)];

const text = (body: string) => ({ type: "text", text: { body } });
const button = (label: string) => ({ type: "button", button: { payload: label, text: label } });

/** How a reply is worded: half of the users tap a button when there is one (it quotes the message), the others type. */
function replyOf(message: Accepted, planned: PlannedUpdate): { content: Readonly<Record<string, unknown>>; contextId: string | null } {
  const words = (planned.luck * 2) % 1;
  const label = planned.luck < 0.5 ? at(message.replies, words) : undefined;
  const stops = planned.kind === "optOut";
  if (label !== undefined && stops === /stop|unsubscribe|opt.?out/i.test(label)) return { content: button(label), contextId: message.wamid };
  return { content: text(at(stops ? stopWords : smallTalk, words) ?? "STOP"), contextId: null };
}

function updateOf(message: Accepted, planned: PlannedUpdate, context: { acceptedAt: number; priced: boolean }): Update {
  const happenedAt = context.acceptedAt + planned.happensMs;
  const user = { waId: message.waId, name: profileName(message.to) };
  const { sender } = message;
  switch (planned.kind) {
    case "preference":
      return { kind: "preference", sender, user, value: "stop", happenedAt };
    case "reply":
    case "optOut":
      return { kind: "message", sender, user, id: wamid(message.to, "in"), ...replyOf(message, planned), happenedAt };
    default:
      return { kind: "status", message, status: planned.kind, code: planned.code, priced: context.priced, happenedAt };
  }
}

/** Everything the webhook will tell about one accepted message, and when. */
export function tellings(message: Accepted, plan: readonly PlannedUpdate[], acceptedAt: number): Telling[] {
  const told: Telling[] = [];
  const delivered = plan.find((planned) => planned.kind === "delivered" || planned.kind === "read");
  for (const planned of plan) {
    const update = updateOf(message, planned, { acceptedAt, priced: planned.kind === "sent" || planned === delivered });
    for (const toldMs of planned.toldMs) told.push({ update, toldAt: acceptedAt + toldMs });
  }
  return told;
}
