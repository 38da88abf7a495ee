import { parseReference, type Reference } from "../src/rules/reference.ts";
import { type Answer, faultAnswer } from "./answer.ts";
import { type GraphFault, graphFault, unknownObject } from "./errors.ts";
import { type Fate, fate } from "./fate.ts";
import { tellings } from "./journey.ts";
import type { LedgerLine } from "./ledger.ts";
import type { Accepted } from "./payload.ts";
import { readSend, type Send } from "./send-shape.ts";
import { count, mixFor, openWindow, remember, type VendorState, windowIsOpen } from "./state.ts";
import { wamid } from "./wamid.ts";
import type { PhoneNumber } from "./world.ts";

export interface SendRequest {
  readonly phoneNumberId: string;
  /** `messages`, or the marketing twin that takes nothing but marketing templates. */
  readonly endpoint: "messages" | "marketing_messages";
  /** Parsed JSON; undefined when it was none. */
  readonly body: unknown;
  readonly begunAt: number;
}

const codeOfStatus: Readonly<Record<string, number>> = { DELETED: 33, BANNED: 131031, DISCONNECTED: 133010, UNREGISTERED: 133010, MIGRATED: 133010 };

/** A whole account or number that may not send, whatever the message. */
function blockOf({ world, settings, stats }: VendorState, sender: PhoneNumber): GraphFault | null {
  const { blockAfter } = settings;
  const code = world.block ?? (blockAfter && stats.accepted >= blockAfter.accepted ? blockAfter.code : null) ?? codeOfStatus[sender.status] ?? null;
  return code === null ? null : graphFault(code);
}

function endpointFault({ endpoint }: SendRequest, send: Send): GraphFault | null {
  if (endpoint === "messages") return null;
  if (send.template === null) return graphFault(100, "Message must be a template message.");
  return send.template.category === "MARKETING" ? null : graphFault(131055);
}

function limitOf(state: VendorState, sender: PhoneNumber, send: Send): GraphFault | null {
  const { limits, settings } = state;
  const at = state.clock.now();
  const open = settings.windows === "strict" && windowIsOpen(state, { phoneNumberId: sender.id, digits: send.to, at });
  if (settings.windows === "strict" && send.kind === "text" && !open) return graphFault(131047);
  const code = limits.throughput(sender.id, at) ?? limits.pair(sender.id, send.to, at) ?? (open ? null : limits.messaging(send.to, at));
  return code === null ? null : graphFault(code);
}

/** Counts how often this attempt was throttled; true while its fate wants more. */
function isThrottled(state: VendorState, key: string, throttle: Fate["throttle"]): boolean {
  if (throttle === null) return false;
  const times = (state.throttled.get(key) ?? 0) + 1;
  if (times > throttle.times) {
    state.throttled.delete(key);
    return false;
  }
  state.throttled.set(key, times);
  return true;
}

const quickReplies = (send: Send) =>
  (send.template?.components ?? [])
    .flatMap((component) => component.buttons ?? [])
    .flatMap((button) => (button.type.toUpperCase() === "QUICK_REPLY" && button.text !== undefined ? [button.text] : []));

function acceptedMessage(sender: PhoneNumber, send: Send): Accepted {
  const category = send.template === null ? "service" : send.template.category.toLowerCase();
  return { wamid: wamid(send.to, "out"), to: send.to, waId: send.waId, sender, callback: send.callback, category, replies: quickReplies(send) };
}

interface Acceptance {
  readonly request: SendRequest;
  readonly send: Send;
  readonly reference: Reference | null;
  readonly message: Accepted;
  readonly doom: Fate;
  readonly at: number;
}

let lastInstant = { ms: 0, iso: "" };
/** Many lines share a millisecond, and writing it out is a tenth of their cost. */
function iso(ms: number): string {
  if (lastInstant.ms !== ms) lastInstant = { ms, iso: new Date(ms).toISOString() };
  return lastInstant.iso;
}

function ledgerLine({ request, send, reference, message, at }: Acceptance): LedgerLine {
  return {
    at: iso(at),
    begunAt: iso(request.begunAt),
    phoneNumberId: message.sender.id,
    to: `+${send.to}`,
    wamid: message.wamid,
    reference: send.callback,
    campaign: reference?.campaignId ?? null,
    stage: reference?.stage ?? null,
    position: reference?.position ?? null,
    attempt: reference?.attempt ?? null,
    kind: send.kind,
    ...(send.template === null ? {} : { template: `${send.template.name} ${send.template.language}` }),
    ...(send.bodyHash === null ? {} : { bodyHash: send.bodyHash }),
  };
}

function accountFor(state: VendorState, { send, message, doom, at }: Acceptance): void {
  const { settings, stats, limits } = state;
  stats.accepted++;
  if (!doom.updates.some((update) => update.kind === "failed")) {
    count(stats.costMicros, message.category, Math.round((settings.prices[message.category] ?? 0) * 1e6));
  }
  if (!(settings.windows === "strict" && windowIsOpen(state, { phoneNumberId: message.sender.id, digits: send.to, at }))) limits.opened(send.to, at);
  // Only replies need it, and only a webhook tells replies: a bench without one keeps nothing per message.
  if (state.deliveries.target() !== null) remember(state, message);
  for (const update of settings.windows === "strict" ? doom.updates : []) {
    if (update.kind !== "reply" && update.kind !== "optOut") continue;
    openWindow(state, { phoneNumberId: message.sender.id, digits: send.to, at: at + update.happensMs });
  }
}

function successAnswer({ send, message, doom }: Acceptance): Answer {
  const status = send.kind === "template" ? `,"message_status":"${doom.held ? "held_for_quality_assessment" : "accepted"}"` : "";
  const contact = `{"input":${JSON.stringify(send.input)},"wa_id":"${message.waId}"}`;
  return { status: 200, body: `{"messaging_product":"whatsapp","contacts":[${contact}],"messages":[{"id":"${message.wamid}"${status}}]}` };
}

/** The message is on disk: plan what its webhooks tell, then let the answer go, early webhooks first. */
async function afterAccept(state: VendorState, acceptance: Acceptance): Promise<Answer> {
  const { message, doom, at } = acceptance;
  const plan = state.deliveries.target() === null ? [] : tellings(message, doom.updates, at);
  const early = doom.early ? plan.splice(0, 1) : [];
  state.deliveries.plan(plan);
  if (early.length > 0) await state.deliveries.tellNow(early.map(({ update }) => update));
  return doom.fault ? faultAnswer(doom.fault) : successAnswer(acceptance);
}

function accept(state: VendorState, acceptance: Acceptance): Promise<Answer> {
  accountFor(state, acceptance);
  return new Promise((resolve) => {
    state.ledger.append(ledgerLine(acceptance), (failure) => {
      if (failure) resolve(graphFault(1, `The vendor's ledger cannot be written: ${failure.message}`));
      else resolve(afterAccept(state, acceptance));
    });
  });
}

const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Answers one send. Nothing is answered as accepted before its ledger line is on disk. */
export async function answerSend(state: VendorState, request: SendRequest): Promise<Answer> {
  const sender = state.world.phoneNumbers.get(request.phoneNumberId);
  if (!sender) return unknownObject("post", request.phoneNumberId);
  const blocked = blockOf(state, sender);
  if (blocked) return blocked;
  const send = readSend(request.body, { world: state.world, sender, quirks: state.settings.quirks });
  if ("code" in send) return send;
  const refused = endpointFault(request, send) ?? limitOf(state, sender, send);
  if (refused) return refused;
  const reference = send.callback === null ? null : parseReference(send.callback);
  const { stage = 1, attempt = 1 } = reference ?? {};
  const key = { phone: send.to, stage, attempt };
  const doom = fate({ seed: state.settings.seed, ...key }, mixFor(state, key));
  if (isThrottled(state, `${send.callback ?? ""} ${send.to}`, doom.throttle)) {
    count(state.stats.faults, doom.throttle?.code === 131056 ? "pairLimit" : "rateLimit");
    return graphFault(doom.throttle?.code ?? 130429);
  }
  if (doom.fault) count(state.stats.faults, `${doom.fault.kind}${doom.fault.accepted ? "Accepted" : ""}`);
  const accepts = doom.fault ? doom.fault.accepted : doom.refusal === null;
  const answer = accepts
    ? await accept(state, { request, send, reference, message: acceptedMessage(sender, send), doom, at: state.clock.now() })
    : doom.fault
      ? faultAnswer(doom.fault)
      : graphFault(doom.refusal ?? 131026);
  if (doom.latencyMs > 0) await later(doom.latencyMs);
  return answer;
}
