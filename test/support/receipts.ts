import { randomUUID } from "node:crypto";
import { applyReceipts, type Tally } from "../../src/flow/receipt/apply.ts";
import { insertInbox } from "../../src/flow/receipt/inbox-store.ts";
import { formatReference } from "../../src/rules/reference.ts";
import type { Database } from "../../src/runtime/postgres.ts";

/** The instant at which the database's clock stands when a story of receipts begins; 2025-06-18T15:00:00Z, in Unix seconds. */
export const BEGIN = 1_750_258_800;

export interface SentCampaign {
  readonly workspaceId: string;
  readonly senderId: string;
  readonly campaignId: string;
  readonly phoneNumberId: string;
}

/** A WhatsApp sender, in a workspace of its own unless one is named. */
export async function makeSender(sql: Database, phoneNumberId: string, workspace?: string): Promise<Omit<SentCampaign, "campaignId">> {
  const [workspaceId, scopeId, senderId] = [workspace ?? randomUUID(), randomUUID(), randomUUID()];
  await sql`insert into workspace (id, name) values (${workspaceId}, 'w') on conflict do nothing`;
  await sql`insert into cap_scope (workspace_id, id, name) values (${workspaceId}, ${scopeId}, 's')`;
  await sql`insert into sender (workspace_id, id, channel, provider, name, external_id, cap_scope_id)
    values (${workspaceId}, ${senderId}, 'whatsapp', 'whatsapp_cloud', 's', ${phoneNumberId}, ${scopeId})`;
  return { workspaceId, senderId, phoneNumberId };
}

/** A running campaign to `addresses`, positions 1, 2 …; no message has a row yet. */
export async function makeCampaign(sql: Database, sender: Omit<SentCampaign, "campaignId">, addresses: readonly string[]): Promise<SentCampaign> {
  const campaignId = randomUUID();
  const { workspaceId, senderId } = sender;
  await sql`insert into campaign (workspace_id, id, name, surface, engine, state, sender_id, channel, message, audience_type, schedule_type,
      on_uncertain, on_daily_limit, total_recipients)
    values (${workspaceId}, ${campaignId}, 'c', 'engine', true, 'running', ${senderId}, 'whatsapp', '{}', 'inline', 'now', 'hold', 'wait', ${addresses.length})`;
  await sql`insert into recipient (workspace_id, campaign_id, position, address, variables)
    select ${workspaceId}, ${campaignId}, v.position, v.address, '{}' from unnest(${[...addresses]}::text[]) with ordinality as v (address, position)`;
  return { ...sender, campaignId };
}

/** The message at `position` was accepted, so many seconds after the beginning, under this id. */
export async function accept(
  sql: Database,
  { campaignId }: SentCampaign,
  message: { position: number; ref: string; attempt?: number; after?: number },
) {
  await sql`insert into message (campaign_id, stage, position, attempt, state, provider_ref, at)
    values (${campaignId}, 1, ${message.position}, ${message.attempt ?? 1}, 'accepted', ${message.ref}, to_timestamp(${BEGIN + (message.after ?? 0)}))`;
}

export const referenceTo = ({ campaignId }: SentCampaign, position: number, attempt = 1): string =>
  formatReference({ campaignId, stage: 1, position, attempt });

/** One status as Meta sends it; `after` seconds after the beginning. */
export const status = (id: string, kind: string, { after = 10, ...more }: { after?: number; [field: string]: unknown } = {}) => ({
  id,
  status: kind,
  timestamp: String(BEGIN + after),
  recipient_id: "16505551234",
  ...more,
});

export const text = (from: string, body: string, { after = 60, ...more }: { after?: number; [field: string]: unknown } = {}) => ({
  from,
  id: `wamid.in.${from}.${body}.${after}`,
  timestamp: String(BEGIN + after),
  type: "text",
  text: { body },
  ...more,
});

/** A webhook's body with these updates of one phone number. */
export const webhook = (phoneNumberId: string, value: { statuses?: unknown[]; messages?: unknown[]; user_preferences?: unknown[] }) => ({
  object: "whatsapp_business_account",
  entry: [
    {
      id: "102290129340398",
      changes: [
        {
          field: value.user_preferences ? "user_preferences" : "messages",
          value: { messaging_product: "whatsapp", metadata: { display_phone_number: "15550783881", phone_number_id: phoneNumberId }, ...value },
        },
      ],
    },
  ],
});

/** Puts bodies into the inbox as the door does once it has verified them for `senders`. */
export const deliver = (sql: Database, senders: readonly string[], ...bodies: unknown[]) =>
  insertInbox(
    sql,
    "whatsapp",
    bodies.map((body) => ({ body: Buffer.from(typeof body === "string" ? body : JSON.stringify(body)), senders })),
  );

/** Steps until nothing is due, and adds up what was done. */
export async function applyAll(sql: Database, limit = 100): Promise<Tally> {
  const sum = { webhooks: 0, receipts: 0, optOuts: 0, waiting: 0, givenUp: 0, refused: 0, ignored: 0 };
  const add = (tally: Tally) => {
    for (const key of Object.keys(sum) as (keyof Tally)[]) sum[key] += tally[key];
  };
  while ((await applyReceipts(sql, limit, add)) > 0);
  return sum;
}

/** The database's clock stands still from now on; `pass` moves it. */
export async function stopClock(sql: Database): Promise<(seconds: number) => Promise<void>> {
  await sql`create table if not exists campanile.stopped (at timestamptz not null)`;
  await sql`insert into campanile.stopped values (to_timestamp(${BEGIN}))`;
  await sql`create or replace function campanile.clock() returns timestamptz language sql volatile as 'select at from campanile.stopped'`;
  return async (seconds) => {
    await sql`update campanile.stopped set at = at + ${seconds} * interval '1 second'`;
  };
}

/** Receipts as `position/attempt kind +seconds`, and the counts that are not 0, in order. */
export async function recorded(sql: Database, { campaignId }: SentCampaign): Promise<{ receipts: string[]; counts: Record<string, number> }> {
  const rows = await sql<{ line: string }[]>`
    select position || '/' || attempt || ' ' || kind || ' +' || (extract(epoch from at) - ${BEGIN})::bigint as line
    from receipt where campaign_id = ${campaignId} order by position, attempt, at, kind`;
  const counts = await sql<{ kind: string; messages: number }[]>`
    select kind, messages from receipt_count where campaign_id = ${campaignId} and messages <> 0 order by kind`;
  return { receipts: rows.map(({ line }) => line), counts: Object.fromEntries(counts.map(({ kind, messages }) => [kind, messages])) };
}

export const suppressed = async (sql: Database): Promise<string[]> =>
  (await sql<{ line: string }[]>`select address || ' ' || scope || ' ' || source as line from suppression order by address, scope`).map(
    ({ line }) => line,
  );
