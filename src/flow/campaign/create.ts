import type { MessageDefinition, Variables } from "../../rules/message.ts";
import { type CompiledMessage, compileMessage } from "../../rules/message-render.ts";
import { type FieldFault, Refusal } from "../../rules/refusal.ts";
import type { Exclude } from "../../rules/segment.ts";
import { bindTemplate, type GivenParameters } from "../../rules/whatsapp-template.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { assertAudience } from "./choice.ts";
import * as store from "./create-store.ts";
import type { CampaignDeps } from "./deps.ts";
import { readCampaign } from "./read.ts";
import type { Campaign } from "./read-store.ts";

/** What a campaign is made of; its shape was checked at the door. Absent fields take the defaults of the surface. */
export interface NewCampaign {
  readonly workspaceId: string;
  readonly surface: "engine" | "batch";
  readonly name: string;
  /** Absent: the workspace's first WhatsApp sender. */
  readonly senderId?: string | undefined;
  /** Whether an engine may drive it, or only `execute-batch`. */
  readonly engine?: boolean | undefined;
  readonly message: NewMessage;
  readonly audience: NewAudience;
  /** Whom of the audience it leaves out. */
  readonly exclude?: Exclude | undefined;
  /** Absent: manual. */
  readonly schedule?: { readonly type: "now" | "manual" } | { readonly type: "scheduled"; readonly at: Date } | undefined;
  /** `messagesPerMinute` null: the sender's pace only. `batchSize` null: lots are bounded by the engine alone. Delay in milliseconds. */
  readonly throttle?:
    | {
        readonly messagesPerMinute?: number | null | undefined;
        readonly batchSize?: number | null | undefined;
        readonly delayBetweenBatches?: number | undefined;
      }
    | undefined;
  readonly variables?: Variables | undefined;
  readonly onUncertain?: "hold" | "resend" | undefined;
  readonly onDailyLimit?: "pause" | "wait" | undefined;
  readonly expiresAt?: Date | null | undefined;
}

export type NewMessage =
  | { readonly type: "text"; readonly text: string }
  /** Absent language: the only approved one, else en_US. Absent components: the campaign's variables fill the template. */
  | {
      readonly type: "template";
      readonly name: string;
      readonly language?: string | undefined;
      readonly components?: GivenParameters | undefined;
    };

export type NewAudience =
  | { readonly type: "list"; readonly listId: string }
  | { readonly type: "segment"; readonly segmentId: string }
  | { readonly type: "csv" | "all" }
  | {
      readonly type: "inline";
      readonly recipients: readonly InlineRecipient[];
    };

/** One person of an inline audience, as given: not normalised. */
interface InlineRecipient {
  readonly phone?: string | undefined;
  readonly email?: string | undefined;
  readonly firstName?: string | undefined;
  readonly lastName?: string | undefined;
  readonly company?: string | undefined;
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

export interface CreateDeps extends CampaignDeps {
  /**
   * Puts people into a campaign's own list, within the transaction that makes the campaign; the audience's part, wired in main.ts.
   * Returns a fault for each person that cannot be written to, its path beginning with the person's index (`3.phone`).
   */
  readonly enlist: (tx: Sql, list: { workspaceId: string; listId: string }, people: readonly InlineRecipient[]) => Promise<readonly FieldFault[]>;
}

/** What each document gives a campaign that does not say otherwise. */
const defaults = {
  engine: {
    engine: true,
    messagesPerMinute: 20,
    batchSize: 100,
    onDailyLimit: "wait",
  },
  batch: {
    engine: false,
    messagesPerMinute: 1_200,
    batchSize: null,
    onDailyLimit: "pause",
  },
} as const;

/** A caller's clock may be off, and a request takes its time; an older instant is a mistake, not a wish to send now. */
const LATE_MAX_MS = 60_000;
const NAMED_TEMPLATES_MAX = 20;

/**
 * Makes a campaign, for both surfaces, in one transaction: the whole of it, or nothing. Its message is bound and parsed here, so one
 * that could never be sent is refused now. `now` starts it, `scheduled` starts it at its time; a `csv` audience is uploaded to a
 * draft first, so such a campaign is always started by hand (and then keeps its time while that lies ahead).
 * @throws {Refusal} not_found (sender, list, segment, campaign to leave out), sender_not_connected (no sender at all), template_unknown, template_not_approved,
 * template_parameters, liquid_invalid, malformed
 */
export function createCampaign(input: NewCampaign, deps: CreateDeps): Promise<Campaign> {
  const id = deps.luck.uuid();
  const listId = deps.luck.uuid();
  return transaction(
    deps.sql,
    async (tx) => {
      const { workspaceId, name } = input;
      const sender = await senderOf(tx, input);
      const message = await messageOf(tx, input, sender);
      const audience = await audienceOf(tx, input, listId);
      const schedule = await scheduleOf(tx, input);
      const throttle = throttleOf(input);
      const { engine, onDailyLimit } = defaults[input.surface];
      await store.insertCampaign(tx, {
        workspaceId,
        id,
        name,
        message,
        ...audience.stored,
        ...schedule,
        ...throttle,
        surface: input.surface,
        engine: input.engine ?? engine,
        senderId: sender.id,
        channel: sender.channel,
        variables: input.variables ?? {},
        onUncertain: input.onUncertain ?? "hold",
        onDailyLimit: input.onDailyLimit ?? onDailyLimit,
      });
      await store.insertCounters(tx, id);
      await store.insertPace(tx, id, throttle.perMinute);
      if (audience.own)
        await store.insertOwnList(tx, {
          workspaceId,
          id: listId,
          name,
          campaignId: id,
        });
      await enlist(tx, input, listId, deps);
      return readCampaign(tx, { workspaceId, id });
    },
    deps,
  );
}

async function senderOf(tx: Sql, { workspaceId, senderId, message }: NewCampaign): Promise<store.SenderRow> {
  const [sender] = senderId === undefined ? await store.readDefaultSender(tx, workspaceId) : await store.readSender(tx, workspaceId, senderId);
  if (sender === undefined)
    throw senderId === undefined ? new Refusal("sender_not_connected") : new Refusal("not_found", { what: "sender", id: senderId });
  if (sender.channel !== "whatsapp")
    throw malformed("messageType", `A ${message.type} message needs a WhatsApp sender; sender ${sender.id} sends e-mail.`);
  return sender;
}

export async function messageOf(tx: Sql, { message, variables }: NewCampaign, sender: store.SenderRow): Promise<MessageDefinition> {
  const definition = message.type === "text" ? message : await boundTemplate(tx, message, { sender, variables });
  const compiled = compileMessage(definition);
  if (definition.type === "text") assertPrints(definition.text, compiled);
  return definition;
}

/** A text without variables is the same for everybody; what the date changes may be right on another day. */
function assertPrints(text: string, { variables, render }: CompiledMessage): void {
  const rendered = variables.length > 0 || text.includes("date") ? null : render({});
  if (rendered?.ok === false) throw malformed("messageContent", `Nobody could be sent this. ${rendered.detail}`);
}

async function boundTemplate(
  tx: Sql,
  { name, language: wanted, components }: Extract<NewMessage, { type: "template" }>,
  { sender, variables }: { sender: store.SenderRow; variables: Variables | undefined },
): Promise<MessageDefinition> {
  const known = await store.readTemplates(tx, sender.id, name);
  const approved = known.filter((template) => template.status === "APPROVED");
  const language = wanted ?? (approved.length === 1 ? approved[0]?.language : undefined) ?? "en_US";
  const template = known.find((one) => one.language === language);
  if (template === undefined)
    throw new Refusal("template_unknown", {
      name,
      language,
      known: await knownOf(tx, known, sender),
    });
  if (template.status !== "APPROVED")
    throw new Refusal("template_not_approved", {
      name,
      language,
      status: template.status,
    });
  return {
    type: "template",
    name,
    language,
    components: bindTemplate(template, components, variables),
  };
}

async function knownOf(tx: Sql, sameName: readonly store.TemplateRow[], sender: store.SenderRow): Promise<string> {
  if (sameName.length > 0) return sameName.map(({ name, language, status }) => `${name} in ${language} (${status})`).join(", ");
  const names = await store.listTemplateNames(tx, sender.id, NAMED_TEMPLATES_MAX);
  return names.length === 0 ? "none; sync its templates from WhatsApp" : names.map(({ name }) => name).join(", ");
}

/** `own`: the audience is a list that belongs to this campaign only. */
async function audienceOf(tx: Sql, { workspaceId, audience, exclude = {} }: NewCampaign, ownListId: string) {
  const stored = (listId?: string) => ({
    audienceType: audience.type,
    audienceConfig: listId === undefined ? {} : { listId },
    audienceExclude: exclude,
  });
  const segmentId = audience.type === "segment" ? audience.segmentId : undefined;
  await assertAudience(tx, workspaceId, { segmentId, exclude });
  switch (audience.type) {
    case "segment":
      return { own: false, stored: { ...stored(), audienceConfig: { segmentId: audience.segmentId } } };
    case "all":
      return { own: false, stored: stored() };
    case "list": {
      const [list] = await store.readList(tx, workspaceId, audience.listId);
      if (list === undefined) throw new Refusal("not_found", { what: "list", id: audience.listId });
      return { own: false, stored: stored(list.id) };
    }
    default:
      return { own: true, stored: stored(ownListId) };
  }
}

export async function scheduleOf(tx: Sql, { schedule = { type: "manual" }, audience, expiresAt = null }: NewCampaign) {
  const [clock] = await store.readClock(tx);
  if (clock === undefined) throw new Error("campanile.clock() returned nothing");
  const { now } = clock;
  if (schedule.type === "now" && audience.type === "csv") {
    throw malformed(
      "scheduleType",
      "A campaign with a csv audience cannot start when it is created: its file is uploaded afterwards. Use manual or scheduled.",
    );
  }
  const scheduledAt = schedule.type === "scheduled" ? schedule.at : schedule.type === "now" ? now : null;
  if (scheduledAt !== null && scheduledAt.getTime() < now.getTime() - LATE_MAX_MS) {
    throw malformed("scheduledAt", `scheduledAt ${scheduledAt.toISOString()} is in the past; it is ${now.toISOString()} now.`);
  }
  const earliest = scheduledAt !== null && scheduledAt > now ? scheduledAt : now;
  if (expiresAt !== null && expiresAt <= earliest) {
    throw malformed(
      "expiresAt",
      `expiresAt ${expiresAt.toISOString()} is not after ${earliest.toISOString()}, when sending can begin: nobody would be written to.`,
    );
  }
  const isDraft = schedule.type === "manual" || audience.type === "csv";
  return {
    scheduleType: schedule.type,
    scheduledAt,
    expiresAt,
    state: isDraft ? ("draft" as const) : ("scheduled" as const),
  };
}

export function throttleOf({ surface, throttle = {} }: NewCampaign) {
  const { messagesPerMinute, batchSize } = defaults[surface];
  return {
    perMinute: throttle.messagesPerMinute === undefined ? messagesPerMinute : throttle.messagesPerMinute,
    batchSize: throttle.batchSize === undefined ? batchSize : throttle.batchSize,
    delayBetweenBatchesMs: throttle.delayBetweenBatches ?? 0,
  };
}

async function enlist(tx: Sql, { workspaceId, audience }: NewCampaign, listId: string, deps: CreateDeps): Promise<void> {
  if (audience.type !== "inline") return;
  const faults = await deps.enlist(tx, { workspaceId, listId }, audience.recipients);
  const [first] = faults;
  if (first === undefined) return;
  const paths = faults.map((fault) => ({
    ...fault,
    path: `audienceConfig.recipients.${fault.path}`,
  }));
  throw new Refusal(
    "malformed",
    {
      cause: `${faults.length} of ${audience.recipients.length} recipients cannot be written to: ${first.message}`,
    },
    paths,
  );
}

const malformed = (path: string, cause: string): Refusal => new Refusal("malformed", { cause }, [{ path, message: cause }]);
