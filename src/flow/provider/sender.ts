import { Refusal } from "../../rules/refusal.ts";
import type { Luck } from "../../runtime/luck.ts";
import { type Database, type Sql, transaction } from "../../runtime/postgres.ts";
import { type CredentialKey, openCredentials, sealCredentials } from "./credentials.ts";
import type { Providers } from "./open.ts";
import * as store from "./store.ts";
import { capOfTier, type Health, listAccountTemplates, readHealth, readPhoneNumber } from "./whatsapp/account.ts";

/** Messages per second of a WhatsApp number; Meta raises it to 1,000 for the largest. */
const WHATSAPP_PER_SECOND = 80;

export interface SenderDeps {
  readonly sql: Database;
  readonly luck: Luck;
  /** The current key first, then those it replaced. */
  readonly keys: readonly [CredentialKey, ...CredentialKey[]];
  readonly providers: Providers;
}

export interface NewSender {
  readonly workspaceId: string;
  readonly provider: store.ProviderName;
  readonly name: string;
  /** WhatsApp: the phone number id. */
  readonly externalId: string;
  readonly settings?: store.SenderSettings | undefined;
  readonly accessToken?: string | undefined;
  /** Senders of one portfolio share its cap, that of the first of them; absent: a cap of its own. */
  readonly portfolio?: string | undefined;
  /** Null: no limit. */
  readonly perSecond?: number | null | undefined;
  /** Unique recipients in 24 h; null: no cap. */
  readonly cap: number | null;
  readonly calendarZone?: string | null | undefined;
}

/**
 * Makes a sender with its pace and its share of a cap. It is not connected yet.
 * @throws {Refusal} `malformed` when the phone number id has a sender already, here or in another workspace
 */
export function createSender(input: NewSender, deps: SenderDeps): Promise<store.Sender> {
  const id = deps.luck.uuid();
  const scopeId = deps.luck.uuid();
  const credentials = sealed(id, input.accessToken, deps) ?? null;
  return transaction(deps.sql, async (tx) => {
    const { workspaceId, provider, name, externalId, settings = {}, perSecond = WHATSAPP_PER_SECOND } = input;
    await store.lockWorkspace(tx, workspaceId);
    const capScopeId = await capScopeOf(tx, input, scopeId);
    const [made] = await store.insertSender(tx, {
      workspaceId,
      id,
      channel: "whatsapp",
      provider,
      name,
      externalId,
      settings,
      capScopeId,
      credentials,
    });
    if (made === undefined) throw alreadyThere(externalId);
    await store.insertPace(tx, id, perSecond);
    return made;
  });
}

const alreadyThere = (externalId: string) => {
  const message = `There is a sender for phone number id ${externalId} already.`;
  return new Refusal("malformed", { cause: message }, [{ path: "phoneNumberId", message }]);
};

async function capScopeOf(tx: Sql, { workspaceId, externalId, portfolio, cap, calendarZone = null }: NewSender, newId: string): Promise<string> {
  const [shared] = portfolio === undefined ? [] : await store.readCapScopeByName(tx, workspaceId, portfolio);
  if (shared !== undefined) return shared.id;
  await store.insertCapScope(tx, { workspaceId, id: newId, name: portfolio ?? `sender ${externalId}`, cap, calendarZone });
  return newId;
}

const sealed = (senderId: string, accessToken: string | undefined, { keys: [key], luck }: SenderDeps) =>
  accessToken === undefined ? undefined : sealCredentials({ accessToken: accessToken.trim() }, { senderId, key, luck });

/** @throws {Refusal} `not_found` */
export async function readSender(ref: store.SenderRef, { sql }: { sql: Sql }): Promise<store.Sender> {
  const [sender] = await store.readSender(sql, ref);
  if (sender === undefined) throw unknown(ref);
  return sender;
}

const unknown = ({ id }: store.SenderRef) => new Refusal("not_found", { what: "sender", id });

export interface SenderEdit {
  readonly name?: string | undefined;
  readonly settings?: store.SenderSettings | undefined;
  readonly accessToken?: string | undefined;
  readonly perSecond?: number | null | undefined;
  /** The cap of the whole portfolio. */
  readonly cap?: number | null | undefined;
}

/** Changes what is given. @throws {Refusal} `not_found` */
export async function updateSender(ref: store.SenderRef, edit: SenderEdit, deps: SenderDeps): Promise<store.Sender> {
  const { name, settings, perSecond, cap } = edit;
  const credentials = sealed(ref.id, edit.accessToken, deps);
  const changed = await transaction(deps.sql, async (tx) => {
    const [sender] = await store.updateSender(tx, ref, { name, settings, credentials });
    if (sender === undefined) throw unknown(ref);
    if (cap !== undefined) await store.setCap(tx, sender.capScopeId, cap);
    if (perSecond !== undefined) await store.setPace(tx, sender.id, perSecond);
    return sender;
  });
  if (cap !== undefined || perSecond !== undefined) await store.wakeWaiting(deps.sql, changed.id);
  deps.providers.forget(ref.id);
  return changed;
}

/** Its campaigns can no longer send. @throws {Refusal} `not_found` */
export async function deleteSender(ref: store.SenderRef, { sql, providers }: SenderDeps): Promise<void> {
  const { count } = await store.deleteSender(sql, ref);
  if (count === 0) throw unknown(ref);
  providers.forget(ref.id);
}

/**
 * Asks the vendor about the number. When it answers, the sender is connected and no longer blocked; a cap above the portfolio's
 * messaging limit is lowered to it, never raised.
 * @throws {Refusal} `not_found`, `provider_refused`, `not_available`
 */
export async function connectSender(ref: store.SenderRef, deps: SenderDeps): Promise<store.Sender> {
  const sender = await secretsOf(ref, deps);
  const account = sender.provider === "rehearsal" ? undefined : await readPhoneNumber(deps.providers.graph(sender), sender.externalId);
  const limit = capOfTier(account?.messagingLimit ?? null);
  return transaction(deps.sql, async (tx) => {
    if (account) await store.updateSender(tx, ref, { settings: { account: { ...account } } });
    if (typeof limit === "number") await store.lowerCap(tx, sender.capScopeId, limit);
    const [connected] = await store.markConnected(tx, ref);
    if (connected === undefined) throw unknown(ref);
    return connected;
  });
}

async function secretsOf(ref: store.SenderRef, { sql }: SenderDeps): Promise<store.SenderSecrets> {
  const [sender] = await store.readSenderSecrets(sql, ref.id);
  if (sender === undefined || sender.workspaceId !== ref.workspaceId) throw unknown(ref);
  return sender;
}

/** What the vendor says keeps this number from sending. @throws {Refusal} as `connectSender` */
export async function senderHealth(ref: store.SenderRef, deps: SenderDeps): Promise<Health> {
  const sender = await secretsOf(ref, deps);
  if (sender.provider === "rehearsal") return { canSendMessage: "AVAILABLE", entities: [] };
  return readHealth(deps.providers.graph(sender), sender.externalId);
}

/** How much of its pace and cap it has used. @throws {Refusal} `not_found` */
export async function senderUsage(ref: store.SenderRef, { sql }: { sql: Sql }): Promise<store.Usage> {
  const [usage] = await store.readUsage(sql, ref);
  if (usage === undefined) throw unknown(ref);
  return usage;
}

/**
 * Takes over the vendor's templates; those it no longer lists become DELETED. Returns how many it lists.
 * @throws {Refusal} as `connectSender`
 */
export async function syncTemplates(ref: store.SenderRef, deps: SenderDeps): Promise<number> {
  const sender = await secretsOf(ref, deps);
  const { wabaId } = sender.settings;
  if (wabaId === undefined) {
    throw new Refusal("not_available", {
      cause: `Sender ${sender.name} has no WhatsApp Business Account id, which templates are read from. Enter it.`,
    });
  }
  const listedIds: string[] = [];
  for await (const page of listAccountTemplates(deps.providers.graph(sender), wabaId)) {
    const rows = page.map((template) => ({ ...template, id: deps.luck.uuid() }));
    if (rows.length > 0) await store.upsertTemplates(deps.sql, ref, rows);
    listedIds.push(...page.map((template) => template.externalId));
  }
  await store.markTemplatesGone(deps.sql, ref, listedIds);
  return listedIds.length;
}

/** The default WhatsApp sender as the environment describes it. */
export interface DefaultSender {
  readonly accessToken: string;
  readonly phoneNumberId: string;
  readonly wabaId?: string | undefined;
  readonly apiBase: string;
  readonly apiVersion: string;
  readonly cap: number;
  readonly calendarZone: string | null;
}

/**
 * Makes the default sender, or gives it the token and addresses of the environment; its pace and cap stay as they are then. A new
 * token lifts what blocked it.
 * @throws {Refusal} `malformed` when another workspace has this phone number id
 */
export async function defaultWhatsAppSender(workspaceId: string, given: DefaultSender, deps: SenderDeps): Promise<store.Sender> {
  const { accessToken, phoneNumberId, wabaId, apiBase, apiVersion, cap, calendarZone } = given;
  const settings = { apiBase, apiVersion, wabaId };
  const [known] = await store.readSenderByExternalId(deps.sql, "whatsapp_cloud", phoneNumberId);
  if (known === undefined) {
    const name = `WhatsApp ${phoneNumberId}`;
    return createSender({ workspaceId, provider: "whatsapp_cloud", name, externalId: phoneNumberId, settings, accessToken, cap, calendarZone }, deps);
  }
  if (known.workspaceId !== workspaceId) throw alreadyThere(phoneNumberId);
  const isSameToken = known.credentials !== null && tokenOf(known, deps) === accessToken;
  if (!isSameToken) await store.unblockSender(deps.sql, known);
  return updateSender(known, { settings, ...(isSameToken ? {} : { accessToken }) }, deps);
}

/** Null when it does not open: with a new CAMPANILE_SECRET the environment's token replaces it. */
function tokenOf({ id, credentials }: store.SenderSecrets, { keys }: SenderDeps): string | null {
  try {
    return credentials === null ? null : openCredentials(credentials, { senderId: id, keys }).accessToken;
  } catch {
    return null;
  }
}
