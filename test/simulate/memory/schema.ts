import { type CampaignState, transitions } from "../../../src/rules/campaign-state.ts";
import type { MessageDefinition, Variables } from "../../../src/rules/message.ts";
import type { Statement as ClosingStatement } from "../../../src/rules/statement.ts";
import { createTable, type Table } from "./table.ts";

/** The tables that the engine works with, as far as it does. Instants are Unix milliseconds with a fraction; `infinity` is Infinity. */

export interface Campaign {
  readonly id: string;
  readonly workspaceId: string;
  readonly engine: boolean;
  readonly state: CampaignState;
  readonly epoch: number;
  readonly senderId: string;
  readonly channel: string;
  readonly message: MessageDefinition;
  readonly variables: Variables;
  readonly delayBetweenBatchesMs: number;
  readonly onUncertain: "hold" | "resend";
  readonly onDailyLimit: "pause" | "wait";
  readonly expiresAt: number | null;
  readonly pauseReason: string | null;
  readonly pausedAt: number | null;
  readonly completedAt: number | null;
  readonly totalRecipients: number | null;
  readonly statement: ClosingStatement | null;
  readonly lastSeq: number;
  readonly lastBatch: object | null;
}

export interface Sender {
  readonly id: string;
  readonly workspaceId: string;
  readonly capScopeId: string;
  readonly blockedReason: string | null;
}

export interface CapScope {
  readonly id: string;
  readonly workspaceId: string;
  readonly cap: number | null;
  readonly used: number;
}

export interface Opening {
  readonly scopeId: string;
  readonly address: string;
  readonly lastAt: number;
}

export interface Pace {
  readonly ownerId: string;
  readonly perSecond: number | null;
  readonly currentPerSecond: number | null;
  readonly nextAt: number;
  readonly holdUntil: number | null;
  readonly holdReason: string | null;
  readonly probing: boolean;
}

export interface Suppression {
  readonly workspaceId: string;
  readonly channel: string;
  readonly address: string;
  readonly scope: "all" | "marketing";
  readonly reason: string;
  readonly source: string;
}

export interface Recipient {
  readonly campaignId: string;
  readonly position: number;
  readonly address: string | null;
  readonly variables: Variables;
}

export interface Lot {
  readonly campaignId: string;
  readonly first: number;
  readonly last: number;
  readonly handed: number;
  readonly dueAt: number;
  readonly holder: string | null;
  readonly token: number;
  readonly leaseUntil: number | null;
}

export interface Message {
  readonly campaignId: string;
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly state: "queued" | "handing" | "accepted" | "failed" | "skipped" | "uncertain";
  readonly code: string | null;
  readonly cause: string | null;
  readonly providerRef: string | null;
  readonly at: number;
  readonly dueAt: number | null;
  readonly delays: number;
  readonly token: string | null;
  readonly leaseUntil: number | null;
}

export interface Attempt {
  readonly campaignId: string;
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly outcome: "accepted" | "rejected" | "uncertain";
  readonly code: string | null;
  readonly cause: string | null;
  readonly at: number;
}

export interface Receipt {
  readonly campaignId: string;
  readonly stage: number;
  readonly position: number;
  readonly attempt: number;
  readonly kind: "sent" | "delivered" | "read" | "replied" | "failed";
  readonly providerRef: string | null;
}

export interface Count {
  readonly campaignId: string;
  readonly stage: number;
  readonly accepted: number;
  readonly failed: number;
  readonly skipped: number;
  readonly uncertain: number;
}

export interface Event {
  readonly campaignId: string;
  readonly seq: number;
  readonly name: string;
  readonly body: object;
}

export interface Tables {
  readonly campaign: Table<Campaign>;
  readonly sender: Table<Sender>;
  readonly capScope: Table<CapScope>;
  readonly opening: Table<Opening>;
  readonly pace: Table<Pace>;
  readonly suppression: Table<Suppression>;
  readonly recipient: Table<Recipient>;
  readonly lot: Table<Lot>;
  readonly message: Table<Message>;
  readonly attempt: Table<Attempt>;
  readonly receipt: Table<Receipt>;
  readonly count: Table<Count>;
  readonly event: Table<Event>;
}

export const messageKey = (m: { campaignId: string; stage: number; position: number }) => `${m.campaignId} ${m.stage} ${m.position}`;
export const lotKey = (lot: { campaignId: string; first: number }) => `${lot.campaignId} ${lot.first}`;
export const openingKey = (opening: { scopeId: string; address: string }) => `${opening.scopeId} ${opening.address}`;
export const countKey = (count: { campaignId: string; stage: number }) => `${count.campaignId} ${count.stage}`;
export const recipientKey = (recipient: { campaignId: string; position: number }) => `${recipient.campaignId} ${recipient.position}`;
const suppressionKey = (s: Pick<Suppression, "workspaceId" | "channel" | "address" | "scope">) =>
  `${s.workspaceId} ${s.channel} ${s.address} ${s.scope}`;

/** The first of the named constraints that does not hold. */
const brokenOf = (constraints: Readonly<Record<string, boolean>>): string | null =>
  Object.entries(constraints).find(([, holds]) => !holds)?.[0] ?? null;

export const createTables = (): Tables => ({
  campaign: createTable<Campaign>({
    name: "campaign",
    keyOf: ({ id }) => id,
    faultOf: (c, before) =>
      brokenOf({
        legal_transition: before === null || before.state === c.state || Object.values(transitions[before.state]).includes(c.state),
        completed_is_stated: c.state !== "completed" || c.statement !== null,
        stated_is_ended: c.statement === null || ["completed", "stopped", "failed"].includes(c.state),
      }),
  }),
  sender: createTable<Sender>({ name: "sender", keyOf: ({ id }) => id }),
  capScope: createTable<CapScope>({
    name: "cap_scope",
    keyOf: ({ id }) => id,
    faultOf: (scope) => brokenOf({ cap_scope_used_check: scope.used >= 0 }),
  }),
  opening: createTable<Opening>({ name: "opening", keyOf: openingKey }),
  pace: createTable<Pace>({
    name: "pace",
    keyOf: ({ ownerId }) => ownerId,
    faultOf: (pace) => brokenOf({ pace_current_per_second_check: pace.currentPerSecond === null || pace.currentPerSecond > 0 }),
  }),
  suppression: createTable<Suppression>({ name: "suppression", keyOf: suppressionKey }),
  recipient: createTable<Recipient>({ name: "recipient", keyOf: recipientKey }),
  lot: createTable<Lot>({
    name: "lot",
    keyOf: lotKey,
    faultOf: (lot) =>
      brokenOf({
        held_is_leased: (lot.holder === null) === (lot.leaseUntil === null),
        in_range: lot.first <= lot.last && lot.handed >= lot.first - 1 && lot.handed <= lot.last,
      }),
  }),
  message: createTable<Message>({
    name: "message",
    keyOf: messageKey,
    faultOf: (m) =>
      brokenOf({
        accepted_has_ref: m.state !== "accepted" || m.providerRef !== null,
        handing_is_leased: (m.state === "handing") === (m.token !== null) && (m.state === "handing") === (m.leaseUntil !== null),
        queued_is_due: m.state !== "queued" || m.dueAt !== null,
        refused_says_why: !["failed", "skipped"].includes(m.state) || m.code !== null,
      }),
  }),
  attempt: createTable<Attempt>({ name: "attempt", keyOf: (a) => `${messageKey(a)} ${a.attempt}` }),
  receipt: createTable<Receipt>({ name: "receipt", keyOf: (r) => `${messageKey(r)} ${r.attempt} ${r.kind}` }),
  count: createTable<Count>({ name: "dispatch_count", keyOf: countKey }),
  event: createTable<Event>({ name: "event", keyOf: ({ campaignId, seq }) => `${campaignId} ${seq}` }),
});
