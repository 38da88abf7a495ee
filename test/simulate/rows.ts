import type { Database } from "../../src/runtime/postgres.ts";
import type { Dice } from "./dice.ts";
import type * as schema from "./memory/schema.ts";
import type { Tables } from "./memory/schema.ts";
import type { Server } from "./memory/server.ts";
import { committed, type Table } from "./memory/table.ts";

/** Small worlds of rows, the same in Postgres and in memory, and what became of them. */

type Row = Readonly<Record<string, unknown>>;

const INSTANTS = ["expiresAt", "pausedAt", "completedAt", "lastAt", "nextAt", "holdUntil", "dueAt", "leaseUntil", "at"];
const DOCUMENTS = ["message", "variables", "statement"];

/** The tables by their names in Postgres, in an order in which they can be filled. */
const names = {
  capScope: "cap_scope",
  sender: "sender",
  campaign: "campaign",
  recipient: "recipient",
  lot: "lot",
  message: "message",
  attempt: "attempt",
  receipt: "receipt",
  count: "dispatch_count",
  opening: "opening",
  pace: "pace",
  suppression: "suppression",
  event: "event",
} as const satisfies Record<keyof Tables, string>;

const keys = Object.keys(names) as (keyof Tables)[];

export type World = { readonly [name in keyof Tables]: readonly object[] };

/** The driver takes no infinity: it is planted as this and made so after that. */
const NEVER = Date.UTC(9999, 0);

/** What a row must have in Postgres besides what the tables in memory know of it. */
const more: Partial<Record<keyof Tables, (row: Row) => Row>> = {
  capScope: () => ({ name: "scope" }),
  sender: ({ id }) => ({ channel: "whatsapp", provider: "rehearsal", name: "sender", externalId: id, connectedAt: new Date() }),
  campaign: () => ({ name: "c", surface: "engine", audienceType: "inline", scheduleType: "now" }),
  receipt: () => ({ at: new Date() }),
};

export async function plant(world: World, sql: Database, server: Server, tables: Tables): Promise<void> {
  const [workspaceId] = world.capScope.map((row) => (row as Row)["workspaceId"]);
  await sql.unsafe([...Object.values(names).reverse(), "workspace"].map((name) => `delete from ${name}`).join(";"));
  await sql`insert into workspace ${sql({ id: workspaceId, name: "w" } as never)}`;
  for (const key of keys) {
    const rows = world[key].map((row) => toPostgres(sql, { ...row, ...more[key]?.(row as Row), ...(key === "recipient" ? { workspaceId } : {}) }));
    if (rows.length > 0) await sql`insert into ${sql(names[key])} ${sql(rows as never)}`;
    await server.execute(
      server.open(),
      async (q) => {
        for (const row of world[key]) await q.insert(tables[key] as unknown as Table<object>, row);
      },
      0,
    );
  }
  await sql`update lot set due_at = 'infinity' where due_at >= ${new Date(NEVER)}`;
}

function toPostgres(sql: Database, row: Row): Row {
  const entry = ([key, value]: [string, unknown]) => {
    if (typeof value === "number" && INSTANTS.includes(key)) return [key, new Date(Math.min(value, NEVER))];
    return [key, DOCUMENTS.includes(key) && value !== null ? sql.json(value as never) : value];
  };
  return Object.fromEntries(Object.entries(row).map(([key, value]) => entry([key, value])));
}

/** What says the same in other words, or is not kept in memory. */
const IGNORED = new Set(["cause", "body", "lastBatch", "pgNotify", "?column?"]);

/** A result or a row, comparable: no wording, instants as milliseconds, no order of keys. */
export function plain(value: unknown): unknown {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? Number.POSITIVE_INFINITY : value.getTime();
  if (Array.isArray(value))
    return value
      .map(plain)
      .filter(isSomething)
      .sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  if (typeof value !== "object" || value === null) return typeof value === "number" ? Math.floor(value) : value;
  const entries = Object.entries(value).flatMap(([key, part]) => (IGNORED.has(key) ? [] : [[key, plain(part)] as const]));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

const isSomething = (part: unknown) => typeof part !== "object" || part === null || Object.keys(part).length > 0;

/** All rows of both, as far as memory knows their columns. */
export async function dump(sql: Database, tables: Tables, world: World): Promise<{ postgres: unknown; memory: unknown }> {
  const postgres: Record<string, unknown> = {};
  const memory: Record<string, unknown> = {};
  for (const key of keys) {
    const here = committed(tables[key] as unknown as Table<object>);
    const columns = new Set([...here, ...world[key]].flatMap((row) => Object.keys(row)));
    const there = await sql<Row[]>`select * from ${sql(names[key])}`;
    postgres[key] = plain(there.map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => columns.has(column)))));
    memory[key] = plain(here);
  }
  return { postgres, memory };
}

export interface Cast {
  readonly workspaceId: string;
  readonly scopeId: string;
  readonly senderId: string;
  readonly campaignIds: readonly string[];
  readonly tokens: readonly string[];
  readonly addresses: readonly string[];
  readonly now: number;
}

export const PEOPLE = 6;
/** Instants that matter lie so far from now: before and after leases, delays, a day. */
const AWAY_MS = [-90_000_000, -3_600_000, -30_000, -1_000, 0, 1_000, 30_000];

/** Rows that may follow from each other, and some that hardly can. */
export function drawWorld(dice: Dice, { workspaceId, scopeId, senderId, campaignIds, tokens, addresses, now }: Cast): World {
  const away = () => now + dice.pick(AWAY_MS);
  const positions = Array.from({ length: PEOPLE }, (_, i) => i + 1);
  const openings = addresses.filter(() => dice.chance(0.4)).map((address) => ({ scopeId, address, lastAt: away() }));
  const campaigns = campaignIds.map((id): schema.Campaign => {
    const state = dice.pick(["running", "running", "paused", "stopped"] as const);
    const fixed = { channel: "whatsapp", message: { type: "text", text: "Hi" }, variables: {}, pausedAt: null, lastBatch: null, lastSeq: 0 } as const;
    return {
      ...{ id, workspaceId, senderId, state, epoch: 0, totalRecipients: PEOPLE, statement: null, pauseReason: null, ...fixed },
      ...{ engine: dice.chance(0.7), onUncertain: dice.pick(["hold", "resend"]), onDailyLimit: dice.pick(["wait", "pause"]) },
      ...{
        completedAt: state === "stopped" ? away() : null,
        expiresAt: dice.chance(0.3) ? away() : null,
        delayBetweenBatchesMs: dice.pick([0, 500]),
      },
    };
  });
  const lots = campaignIds.flatMap((campaignId) =>
    [1, 4].flatMap((first): schema.Lot[] => {
      if (dice.chance(0.15)) return [];
      const held = dice.chance(0.5);
      const last = first + 2;
      const free = { holder: null, leaseUntil: null, dueAt: dice.chance(0.2) ? Number.POSITIVE_INFINITY : away() };
      const mine = { holder: dice.pick(tokens), leaseUntil: away(), dueAt: away() };
      return [{ campaignId, first, last, handed: dice.whole(first - 1, last), token: dice.whole(0, 2), ...(held ? mine : free) }];
    }),
  );
  const messages = campaignIds.flatMap((campaignId) =>
    positions.flatMap((position) => (dice.chance(0.6) ? [drawMessage(dice, { campaignId, position, tokens, away })] : [])),
  );
  const doubted = messages.filter(({ attempt }) => attempt > 1);
  return {
    capScope: [{ id: scopeId, workspaceId, cap: dice.pick([null, 2, 4]), used: openings.length }],
    sender: [{ id: senderId, workspaceId, capScopeId: scopeId, blockedReason: dice.chance(0.2) ? "blocked" : null }],
    campaign: campaigns,
    recipient: campaignIds.flatMap((campaignId) =>
      positions.map((position) => ({ campaignId, position, address: addresses[position - 1] ?? null, variables: {} })),
    ),
    lot: lots,
    message: messages,
    attempt: doubted.map(({ campaignId, stage, position }) => ({
      ...{ campaignId, stage, position, attempt: 1, outcome: dice.pick(["uncertain", "rejected"]), code: "c", cause: null, at: away() },
    })),
    receipt: campaignIds.flatMap((campaignId) =>
      positions.flatMap((position) => (dice.chance(0.25) ? [drawReceipt(dice, campaignId, position)] : [])),
    ),
    count: campaignIds.flatMap((campaignId) =>
      dice.chance(0.7) ? [{ campaignId, stage: 1, accepted: dice.whole(0, 3), failed: dice.whole(0, 2), skipped: 2, uncertain: 3 }] : [],
    ),
    opening: openings,
    pace: [senderId, ...campaignIds.filter(() => dice.chance(0.5))].map((ownerId) => drawPace(dice, ownerId, away)),
    suppression: addresses
      .filter(() => dice.chance(0.2))
      .map((address) => ({ workspaceId, channel: "whatsapp", address, scope: "all", reason: "r", source: "s" })),
    event: [],
  };
}

function drawMessage(
  dice: Dice,
  { campaignId, position, tokens, away }: { campaignId: string; position: number; tokens: readonly string[]; away: () => number },
): schema.Message {
  const state = dice.pick(["queued", "handing", "accepted", "failed", "skipped", "uncertain", "uncertain"] as const);
  const refused = state === "failed" || state === "skipped" || state === "uncertain";
  return {
    ...{ campaignId, stage: 1, position, attempt: dice.whole(1, 3), state, code: refused ? "code" : null, cause: null, at: away(), delays: 0 },
    ...{ providerRef: state === "accepted" ? `ref${position}` : null, dueAt: state === "queued" ? away() : null },
    ...(state === "handing" ? { token: dice.pick(tokens), leaseUntil: away() } : { token: null, leaseUntil: null }),
  };
}

function drawReceipt(dice: Dice, campaignId: string, position: number): schema.Receipt {
  const kind = dice.pick(["sent", "delivered", "replied", "failed"] as const);
  return { campaignId, stage: 1, position, attempt: dice.whole(1, 3), kind, providerRef: dice.chance(0.8) ? `r${position}` : null };
}

function drawPace(dice: Dice, ownerId: string, away: () => number): schema.Pace {
  return {
    ...{ ownerId, perSecond: dice.pick([null, null, 20]), currentPerSecond: dice.pick([null, null, 5]), nextAt: away() },
    ...{ holdUntil: dice.chance(0.3) ? away() : null, holdReason: null, probing: dice.chance(0.2) },
  };
}
