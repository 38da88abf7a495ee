import type { DeliveryRound, WebhookTarget } from "./deliveries.ts";
import { verifyTarget } from "./handshake.ts";
import { type LedgerSummary, maxInWindow, summarize, type WindowMax, type WindowOptions } from "./judge.ts";
import type { LedgerLine } from "./ledger.ts";
import { profileName, type Update, type User } from "./payload.ts";
import { mergeSettings, type Settings, type SettingsPatch } from "./settings.ts";
import { lastSentTo, noStats, openWindow, type Script, type Stats, type VendorState } from "./state.ts";
import type { Template } from "./template.ts";
import { wamid } from "./wamid.ts";
import { defaultWorld, type PhoneNumber, phoneNumber, putTemplate, removeTemplate } from "./world.ts";

interface Inbound {
  /** Digits or E.164 of the user who writes. */
  readonly from: string;
  readonly phoneNumberId?: string | undefined;
  readonly text?: string | undefined;
  /** A tap on a quick-reply button of the latest message; it quotes that message. */
  readonly button?: { readonly text: string; readonly payload?: string | undefined } | undefined;
  /** Stops or resumes marketing messages in WhatsApp's own settings instead of writing. */
  readonly preference?: "stop" | "resume" | undefined;
  /** true: quotes the latest message to this user; a string: that message. */
  readonly context?: boolean | string | undefined;
}

interface VendorStats extends Stats {
  readonly cost: Readonly<Record<string, number>>;
  readonly webhooks: Readonly<Record<string, number>>;
}

type TemplateGiven = Omit<Template, "id" | "quality_score"> & { readonly quality?: string | undefined };
type TemplateChange = { readonly [Field in "status" | "quality" | "category"]?: string | undefined };
type ClockMove = { readonly stopAt: Date } | { readonly advanceMs: number } | { readonly runOffsetMs: number };

/** Everything a test, a demo or an operator can do to a running vendor; `/_control` offers the same over HTTP. */
export interface Controls {
  settings(): Settings;
  set(patch: SettingsPatch): Settings;
  scripts(): Script[];
  script(script: Script): void;
  clearScripts(): void;
  stats(): VendorStats;
  ledger(campaign?: string): Promise<LedgerSummary>;
  ledgerLines(campaign?: string): Promise<LedgerLine[]>;
  ledgerWindow(options: WindowOptions): Promise<WindowMax[]>;
  clock(): { kind: string; now: Date };
  moveClock(move: ClockMove): void;
  webhook(): WebhookTarget | null;
  /** Saves the target after its handshake, when it has a verify token; a refused handshake throws and saves nothing. */
  setWebhook(target: WebhookTarget | null): Promise<void>;
  verifyWebhook(): Promise<void>;
  pendingWebhooks(): number;
  deliverDue(): Promise<DeliveryRound>;
  drain(): Promise<DeliveryRound>;
  /** Any other webhook: `emit("phone_number_quality_update", {...})`. */
  emit(field: string, value: unknown): void;
  inbound(inbound: Inbound): string;
  templates(): Template[];
  putTemplate(given: TemplateGiven): Template;
  changeTemplate(id: string, change: TemplateChange): Template | null;
  deleteTemplate(id: string): Template | null;
  setToken(token: string, state: "valid" | "expired" | "absent"): void;
  phoneNumbers(): PhoneNumber[];
  putPhoneNumber(given: Partial<PhoneNumber> & { id: string; displayPhoneNumber: string }): PhoneNumber;
  block(code: number | null): void;
  reset(): void;
}

type Tell = (update: Update) => void;

function tellTemplate(tell: Tell, template: Template, happenedAt: number): void {
  const pause = template.status === "PAUSED" ? { other_info: { title: "FIRST_PAUSE", description: "Paused for low quality for 3 hours." } } : {};
  const value = {
    event: template.status,
    // An integer and a dash here, a string and an underscore in the list: Meta's own.
    message_template_id: Number(template.id),
    message_template_name: template.name,
    message_template_language: template.language.replace("_", "-"),
    reason: "NONE",
    message_template_category: template.category,
    ...pause,
  };
  tell({ kind: "field", field: "message_template_status_update", value, happenedAt });
}

function tellQuality(tell: Tell, { before, after }: { before: Template; after: Template }, happenedAt: number): void {
  const value = {
    previous_quality_score: before.quality_score.score,
    new_quality_score: after.quality_score.score,
    message_template_id: Number(after.id),
    message_template_name: after.name,
    message_template_language: after.language.replace("_", "-"),
  };
  tell({ kind: "field", field: "message_template_quality_update", value, happenedAt });
}

function tellCategory(tell: Tell, { before, after }: { before: Template; after: Template }, happenedAt: number): void {
  const value = {
    message_template_id: Number(after.id),
    message_template_name: after.name,
    message_template_language: after.language.replace("_", "-"),
    previous_category: before.category,
    new_category: after.category,
  };
  tell({ kind: "field", field: "template_category_update", value, happenedAt });
}

/** What Meta announces when it blocks an account, and when it lets go. */
function blockNews(before: number | null, after: number | null, now: number): unknown {
  if (after === 131031) return { event: "DISABLED_UPDATE", ban_info: { waba_ban_state: "DISABLE", waba_ban_date: new Date(now).toDateString() } };
  if (after === null && before === 131031) return { event: "DISABLED_UPDATE", ban_info: { waba_ban_state: "REINSTATE" } };
  if (after !== 368) return null;
  const expiration = Math.floor(now / 1_000) + 24 * 3_600;
  return { event: "ACCOUNT_RESTRICTION", restriction_info: [{ restriction_type: "RESTRICTED_BIZ_INITIATED_MESSAGING", expiration }] };
}

function contentOf({ text, button }: Inbound): Readonly<Record<string, unknown>> {
  if (button) return { type: "button", button: { payload: button.payload ?? button.text, text: button.text } };
  return { type: "text", text: { body: text ?? "" } };
}

/** A user writes, taps or stops; the webhook tells it at once. Returns the id of what they wrote. */
function receive(state: VendorState, tell: Tell, inbound: Inbound): string {
  const digits = inbound.from.replace(/\D/g, "");
  const [firstId = ""] = state.world.phoneNumbers.keys();
  const sender = state.world.phoneNumbers.get(inbound.phoneNumberId ?? firstId);
  if (!sender) throw new Error(`The vendor has no phone number ${inbound.phoneNumberId}.`);
  const happenedAt = state.clock.now();
  const last = lastSentTo(state, sender.id, digits);
  const user: User = { waId: last?.waId ?? digits, name: profileName(digits) };
  if (inbound.preference) {
    tell({ kind: "preference", sender, user, value: inbound.preference, happenedAt });
    return "";
  }
  state.stats.inbound++;
  openWindow(state, { phoneNumberId: sender.id, digits, at: happenedAt });
  const quotes = inbound.context ?? inbound.button !== undefined;
  const contextId = typeof quotes === "string" ? quotes : quotes ? (last?.wamid ?? null) : null;
  const id = wamid(digits, "in");
  tell({ kind: "message", sender, user, id, content: contentOf(inbound), contextId, happenedAt });
  return id;
}

function changeTemplate(state: VendorState, tell: Tell, { id, change }: { id: string; change: TemplateChange }): Template | null {
  const before = state.world.templates.get(id);
  if (!before) return null;
  const { quality_score, id: _, ...rest } = before;
  const after = putTemplate(state.world, {
    ...rest,
    status: change.status ?? before.status,
    category: change.category ?? before.category,
    quality: change.quality ?? quality_score.score,
  });
  const now = state.clock.now();
  if (after.status !== before.status) tellTemplate(tell, after, now);
  if (after.quality_score.score !== quality_score.score) tellQuality(tell, { before, after }, now);
  if (after.category !== before.category) tellCategory(tell, { before, after }, now);
  return after;
}

function resetState(state: VendorState, start: { settings: Settings; token: string }): void {
  state.settings = start.settings;
  state.world = defaultWorld(start.token);
  state.stats = noStats();
  for (const table of [state.scripts, state.throttled, state.windows]) table.clear();
  state.lastSent = { young: new Map(), old: new Map() };
  state.limits.clear();
  state.deliveries.clear();
  state.ledger.clear();
}

async function linesOf(lines: AsyncIterable<LedgerLine>, campaign: string | undefined): Promise<LedgerLine[]> {
  const kept: LedgerLine[] = [];
  for await (const line of lines) if (campaign === undefined || line.campaign === campaign) kept.push(line);
  return kept;
}

export function vendorControls(state: VendorState, start: { settings: Settings; token: string }): Controls {
  const { deliveries, ledger, clock } = state;
  const tell: Tell = (update) => deliveries.plan([{ update, toldAt: clock.now() }]);
  const cost = () => Object.fromEntries(Object.entries(state.stats.costMicros).map(([category, micros]) => [category, micros / 1e6]));
  return {
    ...settingControls(state),
    ...worldControls(state, tell),
    stats: () => ({ ...structuredClone(state.stats), cost: cost(), webhooks: { ...deliveries.stats, pending: deliveries.pending() } }),
    ledger: (campaign) => summarize(ledger.lines(), campaign),
    ledgerLines: (campaign) => linesOf(ledger.lines(), campaign),
    ledgerWindow: (options) => maxInWindow(ledger.lines(), options),
    webhook: () => deliveries.target(),
    async setWebhook(target) {
      if (target?.verifyToken !== undefined) await verifyTarget(target);
      deliveries.setTarget(target);
    },
    async verifyWebhook() {
      const target = deliveries.target();
      if (!target) throw new Error("No webhook is set, so there is nothing to verify.");
      await verifyTarget(target);
    },
    pendingWebhooks: () => deliveries.pending(),
    deliverDue: () => deliveries.deliverDue(),
    drain: () => deliveries.drain(),
    emit: (field, value) => tell({ kind: "field", field, value, happenedAt: clock.now() }),
    inbound: (inbound) => receive(state, tell, inbound),
    reset: () => resetState(state, start),
  };
}

type SettingControls = Pick<Controls, "settings" | "set" | "scripts" | "script" | "clearScripts" | "clock" | "moveClock">;

function settingControls(state: VendorState): SettingControls {
  const { clock, scripts } = state;
  return {
    settings: () => state.settings,
    set(patch) {
      state.settings = mergeSettings(state.settings, patch);
      return state.settings;
    },
    scripts: () => [...scripts.values()].flat(),
    script(script) {
      const phone = script.phone.replace(/\D/g, "");
      scripts.set(phone, [...(scripts.get(phone) ?? []), { ...script, phone }]);
    },
    clearScripts: () => scripts.clear(),
    clock: () => ({ kind: clock.kind(), now: new Date(clock.now()) }),
    moveClock(move) {
      if ("stopAt" in move) clock.stopAt(move.stopAt.getTime());
      else if ("advanceMs" in move) clock.advance(move.advanceMs);
      else clock.run(move.runOffsetMs);
      state.deliveries.clockMoved();
    },
  };
}

type WorldControls = Pick<
  Controls,
  "templates" | "putTemplate" | "changeTemplate" | "deleteTemplate" | "setToken" | "phoneNumbers" | "putPhoneNumber" | "block"
>;

function worldControls(state: VendorState, tell: Tell): WorldControls {
  return {
    templates: () => [...state.world.templates.values()],
    putTemplate({ quality, ...given }) {
      const template = putTemplate(state.world, { ...given, ...(quality === undefined ? {} : { quality }) });
      tellTemplate(tell, template, state.clock.now());
      return template;
    },
    changeTemplate: (id, change) => changeTemplate(state, tell, { id, change }),
    deleteTemplate(id) {
      const template = removeTemplate(state.world, id);
      if (template) tellTemplate(tell, { ...template, status: "DELETED" }, state.clock.now());
      return template;
    },
    setToken(token, given) {
      if (given === "absent") state.world.tokens.delete(token);
      else state.world.tokens.set(token, given);
    },
    phoneNumbers: () => [...state.world.phoneNumbers.values()],
    putPhoneNumber(given) {
      const number = phoneNumber({ ...state.world.phoneNumbers.get(given.id), ...given });
      state.world.phoneNumbers.set(number.id, number);
      return number;
    },
    block(code) {
      const news = blockNews(state.world.block, code, state.clock.now());
      state.world.block = code;
      if (news !== null) tell({ kind: "field", field: "account_update", value: news, happenedAt: state.clock.now() });
    },
  };
}
