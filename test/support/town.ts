import { pino } from "pino";
import { check, describe } from "../../src/flow/check/check.ts";
import { createBreaker } from "../../src/flow/dispatch/breaker.ts";
import type { DispatchDeps } from "../../src/flow/dispatch/deps.ts";
import type { OpenProvider, Provider } from "../../src/flow/provider/port.ts";
import type { MessageDefinition } from "../../src/rules/message.ts";
import { seededLuck, systemLuck } from "../../src/runtime/luck.ts";
import { connect, type Database } from "../../src/runtime/postgres.ts";
import { freshDatabase } from "./database.ts";
import { type Watched, type Watcher, watched } from "./effects.ts";
import { type StoppedClock, stoppedClock } from "./stopped-clock.ts";

/** A small world of its own: a database, a stopped clock, a sender, and as many engines as a test wants. */
export interface Town {
  readonly sql: Database;
  /** The address of its database, for whoever connects once more. */
  readonly url: string;
  readonly clock: StoppedClock;
  readonly workspaceId: string;
  readonly senderId: string;
  readonly scopeId: string;
  /** A planned, running campaign to `recipients` addresses. */
  campaign(options?: CampaignOptions): Promise<string>;
  /** A new engine process, with connections of its own. `kill` ends it as a power cut would. A function opens the provider of each sender. */
  engine(provider: Provider | ((sql: Database) => OpenProvider), watcher?: Watcher): TownEngine;
  /** Time waits for `work`, which is no effect of an engine. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** What the engines logged as an error: a bug, unless a test expects it. */
  readonly errors: readonly string[];
  /** Checks every invariant, unless something wrong was done here on purpose, and is gone. */
  close(checked?: boolean): Promise<void>;
}

export interface TownEngine extends DispatchDeps {
  /** Nobody waits for this engine any more; nothing of it is undone yet. */
  forget(): void;
  /** Its connections end, and with them its open transactions. */
  kill(): Promise<void>;
}

export interface CampaignOptions {
  /** The town's own sender unless another is named. */
  readonly senderId?: string;
  readonly recipients?: number;
  readonly lotSize?: number;
  readonly perMinute?: number | null;
  readonly message?: MessageDefinition;
  readonly onUncertain?: "hold" | "resend";
  readonly onDailyLimit?: "pause" | "wait";
  readonly engine?: boolean;
  readonly expiresAt?: Date | null;
  readonly addressOf?: (position: number) => string | null;
}

export interface TownOptions {
  /** Of the sender; null: unlimited. */
  readonly perSecond?: number | null;
  readonly cap?: number | null;
  /** Of each engine to the database. */
  readonly connections?: number;
}

export const phoneOf = (position: number): string => `+9198765${String(position).padStart(5, "0")}`;

const silent: Watcher = { before() {}, after() {} };

export async function town({ perSecond = null, cap = null, connections = 6 }: TownOptions = {}): Promise<Town> {
  const database = await freshDatabase();
  const { sql } = database;
  const luck = { ...seededLuck(7), uuid: systemLuck.uuid };
  const worlds = new Set<Watched>();
  const errors: string[] = [];
  const log = pino({ level: process.env["LOG_LEVEL"] ?? "error" }, { write: (line: string) => noteLine(line, errors) });
  let outside = 0;
  const clock = await stoppedClock(sql, {
    get pending() {
      return [...worlds].reduce((sum, world) => sum + world.pending, outside);
    },
  });
  const [workspaceId, senderId, scopeId] = [luck.uuid(), luck.uuid(), luck.uuid()];
  await sql`insert into workspace (id, name) values (${workspaceId}, 'town')`;
  await sql`insert into cap_scope (workspace_id, id, name, cap) values (${workspaceId}, ${scopeId}, 'town', ${cap})`;
  await sql`insert into sender (workspace_id, id, channel, provider, name, external_id, cap_scope_id, connected_at)
    values (${workspaceId}, ${senderId}, 'whatsapp', 'rehearsal', 'town', ${senderId}, ${scopeId}, campanile.clock())`;
  await sql`insert into pace (owner_id, per_second, next_at) values (${senderId}, ${perSecond}, campanile.clock())`;

  async function campaign(options: CampaignOptions = {}): Promise<string> {
    const {
      recipients = 10,
      lotSize = 1_000,
      perMinute = null,
      onUncertain = "hold",
      onDailyLimit = "wait",
      engine = true,
      expiresAt = null,
    } = options;
    const addressOf = options.addressOf ?? phoneOf;
    const message = options.message ?? { type: "text", text: "Hi {{firstName}}" };
    const id = luck.uuid();
    await sql`insert into campaign (workspace_id, id, name, surface, engine, state, sender_id, channel, message, audience_type, schedule_type, per_minute,
        on_uncertain, on_daily_limit, expires_at, total_recipients, started_at)
      values (${workspaceId}, ${id}, 'a campaign', 'engine', ${engine}, 'running', ${options.senderId ?? senderId}, 'whatsapp', ${sql.json(message as never)}, 'inline', 'now', ${perMinute},
        ${onUncertain}, ${onDailyLimit}, ${expiresAt}, ${recipients}, campanile.clock())`;
    const rows = Array.from({ length: recipients }, (_, i) => ({
      workspaceId,
      campaignId: id,
      position: i + 1,
      address: addressOf(i + 1),
      variables: sql.json({ firstName: `N${i + 1}` }),
    }));
    for (let i = 0; i < rows.length; i += 1_000)
      await sql`insert into recipient (workspace_id, campaign_id, position, address, variables)
        select ${workspaceId}, ${id}, position, address, jsonb_build_object('firstName', 'N' || position)
        from unnest(${rows.slice(i, i + 1_000).map((r) => r.position)}::int[], ${rows.slice(i, i + 1_000).map((r) => r.address)}::text[]) as r (position, address)`;
    for (let first = 1; first <= recipients; first += lotSize)
      await sql`insert into lot (campaign_id, first, last, handed, due_at) values (${id}, ${first}, ${Math.min(recipients, first + lotSize - 1)}, ${first - 1}, campanile.clock())`;
    await sql`insert into pace (owner_id, per_second, next_at) values (${id}, ${perMinute === null ? null : perMinute / 60}, campanile.clock())`;
    return id;
  }

  function engine(provider: Provider | ((sql: Database) => OpenProvider), watcher: Watcher = silent): TownEngine {
    const pool = connect(database.url, { max: connections });
    const world = watched(pool, watcher);
    worlds.add(world);
    const seen = (one: Provider) => world.provider(one, one.name === "rehearsal");
    const open = typeof provider === "function" ? provider(world.sql) : async () => provider;
    return {
      sql: world.sql,
      clock: world.clock(clock),
      luck,
      log,
      openProvider: async (senderId) => seen(await open(senderId)),
      breaker: createBreaker(),
      lead: { ms: 0 },
      engineId: luck.uuid(),
      signal: new AbortController().signal,
      forget: () => void worlds.delete(world),
      kill: async () => {
        worlds.delete(world);
        await pool.end({ timeout: 0 });
      },
    };
  }

  return {
    sql,
    url: database.url,
    clock,
    workspaceId,
    senderId,
    scopeId,
    campaign,
    engine,
    during: (work) => {
      outside++;
      return work().finally(() => outside--);
    },
    errors,
    close: (checked = true) => (checked ? allIsWell(sql) : Promise.resolve()).finally(() => database.drop()),
  };
}

const ERROR_LEVEL = 50;

function noteLine(line: string, errors: string[]): void {
  const { level, msg, err } = JSON.parse(line) as { level: number; msg: string; err?: { message: string } };
  if (process.env["LOG_LEVEL"] !== undefined) process.stderr.write(line);
  if (level >= ERROR_LEVEL) errors.push(err === undefined ? msg : `${msg}: ${err.message}`);
}

/** What `campanile check` must find after every story: nothing. */
async function allIsWell(sql: Database): Promise<void> {
  const found: string[] = [];
  for await (const violation of check(sql)) if (violation.severity === "violation") found.push(describe(violation));
  if (found.length > 0) throw new Error(found.join("\n"));
}
