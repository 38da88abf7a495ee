import { check, describe } from "../../src/flow/check/check.ts";
import { openPool } from "../../src/flow/provider/open.ts";
import type { Provider } from "../../src/flow/provider/port.ts";
import { whatsappProvider } from "../../src/flow/provider/whatsapp/send.ts";
import { SEND_TIMEOUT_MS } from "../../src/rules/limits.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { openDeadlines } from "../../src/runtime/deadlines.ts";
import { startVendor, type Vendor } from "../../vendor/main.ts";
import { phoneOf, type Town, type TownEngine, town } from "../support/town.ts";

/** Positions of the small campaign. At a pace of 20 per second the window is 5, so it takes three volleys. */
export const RECIPIENTS = 12;
const WINDOW = 5;
/** How the small campaign is sent: turn by turn under a pace, or in lots of four that nothing limits, one after the other. */
const scenes = { "at a pace": { perMinute: 1_200 }, "at full speed": { lotSize: 4 } } as const;
export type Scene = keyof typeof scenes;
const DAY_MS = 86_400_000;
/** Is refused for the time being at first, and accepted when it is tried again. */
const RETRIED = 3;
/** Is refused for good. */
const REFUSED = 8;

/** What an engine does all day; ends when the campaign is over. */
export type Workday = (engine: TownEngine, campaignId: string) => Promise<void>;

export interface Rig {
  /** One world for all runs, each with a campaign of its own: a database per run took three times as long. */
  readonly place: Town;
  readonly vendor: Vendor;
  readonly provider: Provider;
  close(): Promise<void>;
}

/** The vendor over real HTTP, and the product's own provider in front of it. */
export async function openRig(): Promise<Rig> {
  const vendor = await startVendor({ settings: { mix: { successRate: 1, readRate: 0, replyRate: 0, optOutRate: 0 }, limits: { throughput: null } } });
  const pool = openPool(vendor.url);
  const deadlines = openDeadlines(systemClock, SEND_TIMEOUT_MS);
  const path = `/v25.0/${vendor.phoneNumberId}/messages`;
  const provider = whatsappProvider({ pool, deadlines, path, accessToken: vendor.token });
  const place = await town();
  return {
    place,
    vendor,
    provider,
    close: async () => {
      await place.close(false); // each run was judged by itself
      deadlines.close();
      await pool.destroy();
      await vendor.stop();
    },
  };
}

export interface CrashAt {
  /** The effect at which the engine dies, counted from 1; Infinity: never. */
  readonly effect: number;
  readonly side: "before" | "after";
}

export interface Run {
  /** Every effect of the first engine, in order. */
  readonly effects: readonly string[];
  /** What was found wrong in the end; empty: every promise was kept. */
  readonly faults: readonly string[];
  readonly doubts: number;
}

/** Runs the small campaign, kills its engine at one effect, lets another one go on after the lease, and judges by the vendor's ledger. */
export async function run(rig: Rig, workday: Workday, crash: CrashAt, scene: Scene = "at a pace"): Promise<Run> {
  const { place } = rig;
  const id = await place.campaign({ recipients: RECIPIENTS, ...scenes[scene] });
  rig.vendor.clearScripts();
  const refuse = (phone: number, attempt: number | undefined, code: string) =>
    rig.vendor.script({ phone: phoneOf(phone).slice(1), attempt, mix: { successRate: 0, answerShare: 1, answerFailures: { [code]: 1 } } });
  refuse(RETRIED, 1, "135000");
  refuse(REFUSED, undefined, "131026");
  const effects = await firstEngine(place, { rig, workday, crash, id });
  const second = place.engine(rig.provider);
  await place.clock.until(workday(second, id), DAY_MS);
  await second.kill();
  return { effects, ...(await judge(place, rig, id)) };
}

async function firstEngine(place: Town, { rig, workday, crash, id }: { rig: Rig; workday: Workday; crash: CrashAt; id: string }): Promise<string[]> {
  const effects: string[] = [];
  let die = () => {};
  const died = new Promise<"died">((resolve) => {
    die = () => resolve("died");
  });
  const forever = new Promise<never>(() => {});
  let dead = false;
  const perish = (): Promise<never> => {
    dead = true;
    engine.forget();
    die();
    return forever;
  };
  const passes = (number: number, side: CrashAt["side"]) => {
    if (dead) return forever;
    return number === crash.effect && side === crash.side ? perish() : undefined;
  };
  const engine: TownEngine = place.engine(rig.provider, {
    before(name, number) {
      if (!dead) effects.push(name);
      return passes(number, "before");
    },
    after: (_name, number) => passes(number, "after"),
  });
  await place.clock.until(Promise.race([workday(engine, id), died]), DAY_MS);
  await engine.kill();
  return effects;
}

/** The vendor's ledger, not our database, says what was sent. */
async function judge(place: Town, rig: Rig, id: string): Promise<{ faults: string[]; doubts: number }> {
  const faults: string[] = [];
  const lines = await rig.vendor.ledgerLines(id);
  const { duplicates } = await rig.vendor.ledger(id);
  const sent = new Map(lines.map((line) => [line.to, line]));
  const rows = await place.sql<{ position: number; state: string; providerRef: string | null }[]>`
    select position, state, provider_ref from message where campaign_id = ${id} order by position`;
  const [campaign] = await place.sql<{ state: string; recipients: number; sum: number }[]>`
    select state, (statement ->> 'recipients')::int as recipients,
      (statement ->> 'accepted')::int + (statement ->> 'failed')::int + (statement ->> 'uncertain')::int
      + coalesce((select sum(value::int) from jsonb_each_text(statement -> 'skipped')), 0)::int as sum
    from campaign where id = ${id}`;
  const doubts = rows.filter((row) => row.state === "uncertain").length;
  if (duplicates > 0) faults.push(`${duplicates} written to twice`);
  if (rows.length !== RECIPIENTS) faults.push(`${rows.length} of ${RECIPIENTS} have a row`);
  for (const row of rows) {
    const line = sent.get(phoneOf(row.position));
    if (row.state === "accepted" && line?.wamid !== row.providerRef)
      faults.push(`position ${row.position} is accepted as ${row.providerRef}, the ledger has ${line?.wamid}`);
    if (row.state !== "accepted" && row.state !== "uncertain" && line !== undefined)
      faults.push(`position ${row.position} is ${row.state}, and was sent`);
  }
  if (doubts > WINDOW) faults.push(`${doubts} in doubt, more than one window of ${WINDOW}`);
  if (campaign?.state !== "completed") faults.push(`the campaign is ${campaign?.state}`);
  if (campaign?.sum !== RECIPIENTS || campaign.recipients !== RECIPIENTS)
    faults.push(`the statement sums up to ${campaign?.sum} of ${campaign?.recipients}`);
  for await (const violation of check(place.sql, { campaignId: id })) if (violation.severity === "violation") faults.push(describe(violation));
  return { faults, doubts };
}
