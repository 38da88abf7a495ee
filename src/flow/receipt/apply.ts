import { MATCH_FOR_HOURS, matchAgainMs, readWebhook, type Webhook } from "../../rules/receipt.ts";
import { type Database, type Sql, transaction } from "../../runtime/postgres.ts";
import { type Arrival, type Match, match } from "./match.ts";
import { type Finding, record } from "./record.ts";
import * as store from "./store.ts";

/** What one step did. */
export interface Tally {
  readonly webhooks: number;
  /** Facts that were new. */
  readonly receipts: number;
  readonly optOuts: number;
  /** Elements without a message, to be tried again; and those given up after a day. */
  readonly waiting: number;
  readonly givenUp: number;
  /** Elements set aside with a cause, in `inbox.cause`. */
  readonly refused: number;
  readonly ignored: number;
}

/** Webhooks are up to 3 MB; a step takes about so much of them, parsed some ten times larger, however many it may take. */
const BYTES_MAX = 8_000_000;

/**
 * One step of the receipt loop: takes at most `limit` webhooks from the inbox, and as many elements that wait for their message, and
 * writes down what they say, each kind in one transaction. Returns how many it dealt with; 0: nothing is due. Any number of processes
 * may do so at once, and a step that was cut off is simply done again: it changes nothing that was known already.
 * A webhook that Postgres refuses is set aside and does not hold up the others; every other error is thrown and nothing was taken.
 */
export async function applyReceipts(db: Database, limit: number, report: (tally: Tally) => void = () => {}): Promise<number> {
  return (await applyNew(db, limit, report)) + (await applyWaiting(db, limit, report));
}

async function applyNew(db: Database, limit: number, report: (tally: Tally) => void): Promise<number> {
  let taken: readonly store.InboxRow[] = [];
  try {
    const tally = await transaction(db, async (sql) => {
      await store.planByKey(sql);
      taken = await store.takeNew(sql, limit, BYTES_MAX);
      return taken.length === 0 ? null : applyWebhooks(sql, taken);
    });
    if (tally !== null) report(tally);
    return taken.length;
  } catch (error) {
    const [culprit, ...others] = taken;
    if (culprit === undefined || !isRefusedContent(error)) throw error;
    if (others.length > 0) return applyNew(db, 1, report);
    await store.finishInbox(db, [{ id: culprit.id, cause: causeOf(error) }]);
    return 1;
  }
}

async function applyWebhooks(sql: Sql, rows: readonly store.InboxRow[]): Promise<Tally> {
  const webhooks = rows.map((row) => ({ row, webhook: readBody(row) }));
  const arrivals = webhooks.flatMap(({ row, webhook }) => webhook.elements.map((element) => ({ element, senders: row.senders, inboxId: row.id })));
  const cases = await matched(sql, arrivals);
  const recorded = await record(sql, usable(cases));
  const waiting = cases
    .filter((item) => item.match.kind === "waiting")
    .map(({ inboxId, element }) => ({ inboxId, element, againMs: matchAgainMs(0) }));
  if (waiting.length > 0) await store.insertWaiting(sql, waiting);
  const refused = new Map<number, string[]>();
  for (const { inboxId, match } of cases) if (match.kind === "refused") refused.set(inboxId, [...(refused.get(inboxId) ?? []), match.cause]);
  const faults = webhooks.map(({ row, webhook }) => ({ id: row.id, causes: [...webhook.faults, ...(refused.get(row.id) ?? [])] }));
  await store.finishInbox(
    sql,
    faults.map(({ id, causes }) => ({ id, cause: summary(causes) })),
  );
  return {
    webhooks: rows.length,
    ...recorded,
    waiting: waiting.length,
    givenUp: 0,
    refused: faults.reduce((sum, { causes }) => sum + causes.length, 0),
    ignored: webhooks.reduce((sum, { webhook }) => sum + webhook.ignored, 0),
  };
}

function readBody({ body, receivedAt }: store.InboxRow): Webhook {
  try {
    return readWebhook(JSON.parse(body.toString("utf8")), receivedAt);
  } catch (error) {
    if (error instanceof SyntaxError) return { elements: [], ignored: 0, faults: [`the body is no JSON: ${causeOf(error)}`] };
    throw error;
  }
}

const CAUSES_SHOWN_MAX = 3;

function summary(causes: readonly string[]): string | null {
  if (causes.length === 0) return null;
  const shown = causes.slice(0, CAUSES_SHOWN_MAX).map((cause) => cause.slice(0, 300));
  return causes.length > shown.length ? `${shown.join("; ")}; and ${causes.length - shown.length} more` : shown.join("; ");
}

async function applyWaiting(db: Database, limit: number, report: (tally: Tally) => void): Promise<number> {
  let taken: readonly store.WaitingRow[] = [];
  try {
    const tally = await transaction(db, async (sql) => {
      await store.planByKey(sql);
      taken = await store.takeWaiting(sql, limit);
      return taken.length === 0 ? null : matchAgain(sql, taken);
    });
    if (tally !== null) report(tally);
    return taken.length;
  } catch (error) {
    const [culprit, ...others] = taken;
    if (culprit === undefined || !isRefusedContent(error)) throw error;
    if (others.length > 0) return applyWaiting(db, 1, report);
    await store.giveUpWaiting(db, culprit.id);
    return 1;
  }
}

async function matchAgain(sql: Sql, rows: readonly store.WaitingRow[]): Promise<Tally> {
  const cases = await matched(sql, rows);
  const recorded = await record(sql, usable(cases));
  const still = cases.filter((item) => item.match.kind === "waiting").map(({ id, tries }) => ({ id, againMs: matchAgainMs(tries + 1) }));
  const refused = cases.flatMap(({ inboxId, match }) => (match.kind === "refused" ? [{ id: inboxId, cause: match.cause }] : []));
  const settled = cases.filter((item) => item.match.kind !== "waiting").map(({ id }) => id);
  const postponed = still.length === 0 ? [] : await store.postponeWaiting(sql, still, MATCH_FOR_HOURS);
  if (refused.length > 0) await store.quarantineInbox(sql, refused);
  if (settled.length > 0) await store.deleteWaiting(sql, settled);
  const givenUp = postponed.filter((row) => row.givenUp).length;
  return { webhooks: 0, ...recorded, waiting: postponed.length - givenUp, givenUp, refused: refused.length, ignored: 0 };
}

async function matched<A extends Arrival>(sql: Sql, arrivals: readonly A[]): Promise<(A & { match: Match })[]> {
  const matches = arrivals.length === 0 ? [] : await match(sql, arrivals);
  return arrivals.flatMap((arrival, i) => {
    const found = matches[i];
    return found === undefined ? [] : [{ ...arrival, match: found }];
  });
}

const usable = (cases: readonly (Arrival & { match: Match })[]): Finding[] =>
  cases.flatMap(({ element, match }) => (match.kind === "refused" ? [] : [{ element, match }]));

/** SQLSTATE classes 22 (a value it cannot hold), 23 (a broken constraint) and 54 (too large): the same content would be refused again. */
const isRefusedContent = (error: unknown): boolean => error instanceof Error && "code" in error && /^(22|23|54)/.test(String(error.code));

/** Without the NUL that a quoted body may hold and a text of Postgres may not. */
const causeOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).replaceAll("\0", "").slice(0, 300);
