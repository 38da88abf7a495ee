import { check, describe } from "../../src/flow/check/check.ts";
import { WINDOW_MAX } from "../../src/rules/limits.ts";
import { type Statement, statementFault } from "../../src/rules/statement.ts";
import type { Sent } from "./campaigns.ts";
import type { Crew, Hit } from "./engines.ts";
import { addedByNetwork, contradictions, loadLedger, peopleOf } from "./ledger.ts";
import type { Loss, Witness } from "./witness.ts";
import type { World } from "./world.ts";

export interface Figures {
  readonly recipients: number;
  readonly campaigns: number;
  readonly accepted: number;
  readonly kills: number;
  /** Of the kills, those that hit an engine with marked, unsettled positions; 0 to 1. */
  readonly withMarked: number;
  readonly doubts: number;
  /** Of these, by engines that ended; and the windows of the lots they held. */
  readonly leaseDoubts: number;
  readonly windows: number;
  /** Of `windows`, those of lots that engines lost while they lived. */
  readonly windowsLostAlive: number;
  /** Of the doubts, by calls that broke; and what may have broken them: connections that were cut or silenced, faults of the vendor. */
  readonly callDoubts: number;
  readonly brokenCalls: number;
  /** Still in doubt when everything was over. */
  readonly uncertain: number;
  /** What the network must have added to calls at a pace, at most; milliseconds. */
  readonly addedToPaceMs: number;
  /** How long the vendor took to answer the judge, at most; milliseconds. */
  readonly vendorSlowestMs: number;
  readonly people: number;
  readonly cap: number;
  readonly warnings: readonly string[];
}

export interface Judgement {
  readonly figures: Figures;
  /** Promises that were broken, in words. */
  readonly broken: readonly string[];
}

/**
 * What loopback and two processes may add to the distance of two calls when all cores are at work, besides what the slowest of some
 * thousand calls from here to the vendor took. At 40 a second ten calls may seem too many in one place; over a minute that is nothing.
 */
const NETWORK_MAX_MS = 250;

export interface Judging {
  readonly crew: Crew;
  readonly sent: readonly Sent[];
  /** How long the vendor took to answer this process, at most. */
  readonly vendorSlowestMs: number;
}

export async function judge(world: World, { crew, sent, vendorSlowestMs }: Judging): Promise<Judgement> {
  const { witness, vendor } = world;
  const { sql } = witness;
  const accepted = await loadLedger(sql, vendor.ledgerPath);
  const broken = [...crew.faults, ...(await contradictions(sql)), ...(await statements(witness))];
  const warnings: string[] = [];
  for await (const violation of check(sql)) (violation.severity === "violation" ? broken : warnings).push(`check says ${describe(violation)}`);
  const doubt = await doubtsOf(world, crew);
  broken.push(...doubt.broken);
  const addedToPaceMs = await pacesOf(witness, { sent, addedMaxMs: NETWORK_MAX_MS + vendorSlowestMs }, broken);
  const caps = await capsOf(witness, sent, broken);
  const kills = crew.hits.filter(({ how }) => how !== "END");
  const [uncertain] = await sql<{ n: number }[]>`select count(*)::int as n from message where state = 'uncertain'`;
  const figures = {
    recipients: sent.reduce((sum, one) => sum + one.recipients, 0),
    campaigns: sent.length,
    accepted,
    kills: kills.length,
    withMarked: kills.filter(({ had }) => had.marked + had.handing > 0).length / Math.max(1, kills.length),
    ...doubt.figures,
    uncertain: uncertain?.n ?? 0,
    addedToPaceMs,
    vendorSlowestMs,
    ...caps,
    warnings,
  };
  return { figures, broken };
}

/** Every campaign has ended, with a statement that adds up. */
async function statements({ sql }: Witness): Promise<string[]> {
  const rows = await sql<{ id: string; name: string; state: string; statement: Statement | null; total: number | null }[]>`
    select id, name, state, statement, total_recipients as total from campaign order by created_at`;
  return rows.flatMap(({ id, name, state, statement, total }) => {
    const which = `campaign ${id} (${name})`;
    if (state !== "completed" && state !== "stopped") return [`${which} has not ended: it is ${state}`];
    if (statement === null) return [`${which} is ${state} and has no statement`];
    const fault = statement.recipients === total ? statementFault(statement) : `${statement.recipients} recipients, of ${total}`;
    return fault === null ? [] : [`the statement of ${which} does not add up: ${fault}`];
  });
}

async function doubtsOf({ witness, vendor, lines }: World, { hits }: Crew) {
  const all = await witness.doubts();
  const losses = await witness.losses();
  const { faults } = await vendor.control<{ faults: Record<string, number> }>("GET", "/stats");
  const windowsOfEnded = sum(hits.map(({ left }) => left.marked + left.handing));
  const windowsLostAlive = sum(losses.map((loss) => Math.max(0, loss.marked - leftBy(hits, loss))));
  const windows = windowsOfEnded + windowsLostAlive;
  const vendorFaults = sum(Object.entries(faults).map(([name, count]) => (name === "rateLimit" || name === "pairLimit" ? 0 : count)));
  // A call that was on its way when its engine stood still may have no answer when it goes on.
  const frozen = sum(hits.map(({ how, had }) => (how === "STOP" ? had.marked + had.handing : 0)));
  const brokenCalls = lines.vendor.broken + vendorFaults + frozen;
  const leaseDoubts = all.filter(({ code }) => code === "lease_expired").length;
  const callDoubts = all.length - leaseDoubts;
  const broken: string[] = [];
  if (leaseDoubts > windows)
    broken.push(`${leaseDoubts} messages were put in doubt for engines that ended; the windows of their lots were ${windows}`);
  if (callDoubts > brokenCalls) {
    const codes = [...new Set(all.map(({ code }) => code))].map((code) => `${all.filter((one) => one.code === code).length} ${code}`);
    broken.push(`${callDoubts} calls are in doubt, and ${brokenCalls} may have broken: ${codes.join(", ")}`);
  }
  for (const { engine, how, had } of hits)
    if (had.marked > had.lots * WINDOW_MAX) broken.push(`${engine} (${how}) had marked ${had.marked} positions of ${had.lots} lots`);
  for (const { engine, markedMax } of losses) if (markedMax > WINDOW_MAX) broken.push(`${engine} had marked ${markedMax} positions of one lot`);
  return { figures: { doubts: all.length, leaseDoubts, windows, windowsLostAlive, callDoubts, brokenCalls }, broken };
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, n) => total + n, 0);
const leftBy = (hits: readonly Hit[], { engine }: Loss) => sum(hits.map((hit) => (hit.engine === engine ? hit.left.marked : 0)));

async function pacesOf({ sql }: Witness, { sent, addedMaxMs }: { sent: readonly Sent[]; addedMaxMs: number }, broken: string[]): Promise<number> {
  const paces = new Map<string, { by: { phoneNumberId: string } | { campaignId: string }; perSecond: number }>();
  for (const { id, sender, perSecond } of sent) {
    if (sender.perSecond !== null)
      paces.set(`sender ${sender.phoneNumberId}`, { by: { phoneNumberId: sender.phoneNumberId }, perSecond: sender.perSecond });
    if (perSecond !== null) paces.set(`campaign ${id}`, { by: { campaignId: id }, perSecond });
  }
  let worst = 0;
  for (const [which, { by, perSecond }] of paces) {
    const added = await addedByNetwork(sql, by, perSecond);
    worst = Math.max(worst, added);
    if (added > addedMaxMs)
      broken.push(`${which} is faster than its ${perSecond} a second: the network would have to have added ${Math.round(added)} ms`);
  }
  return worst;
}

async function capsOf({ sql }: Witness, sent: readonly Sent[], broken: string[]): Promise<{ people: number; cap: number }> {
  const capped = sent.map(({ sender }) => sender).find((sender) => sender.cap !== null);
  if (capped === undefined || capped.cap === null) return { people: 0, cap: 0 };
  const people = await peopleOf(sql, capped.phoneNumberId);
  if (people > capped.cap) broken.push(`sender ${capped.phoneNumberId} wrote to ${people} people, and its cap is ${capped.cap}`);
  return { people, cap: capped.cap };
}
