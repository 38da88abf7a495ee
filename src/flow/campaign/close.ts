import { type Statement, statementFault } from "../../rules/statement.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import * as store from "./close-store.ts";
import type { CampaignDeps } from "./deps.ts";
import { emit, preferIndexes } from "./store.ts";

/** Recipients closed in one transaction: about a tenth of a second. */
const CHUNK_RECIPIENTS_MAX = 5_000;
/** Chunks of one campaign that one step of the closing loop closes: two seconds' work, so that a process can end between two steps. */
const CHUNKS_PER_STEP = 20;

const reasons = {
  stopped: {
    code: "stopped",
    cause: "The campaign was stopped before this message was sent.",
  },
  failed: {
    code: "campaign_failed",
    cause: "The campaign failed before this message was sent.",
  },
} as const;

/**
 * Closes what a stopped or failed campaign leaves behind: everybody who was not marked is skipped, and so is whatever waits for a
 * further attempt; when nobody is left without an outcome the statement is given. Returns how much it did: chunks, and one for the
 * statement; 0 says that nothing can be done now.
 *
 * The end of a campaign and its closing are two things: the end is one short transaction under the campaign's lock, after which no
 * turn marks anything, for each looks at the state under that lock. So the marks it left only ever go down (a holder gives back what
 * it has not begun), and the closing needs no lock of the campaign, may take any number of small transactions, and may be cut off,
 * repeated or done by two at a time: a row exists or it does not. What is in flight keeps its position open; its holder settles it,
 * or recovery calls it uncertain, and a later step finds it done.
 */
export async function closeRest(campaignId: string, options: { chunksMax: number }, deps: CampaignDeps): Promise<number> {
  const [campaign] = await store.readOneUnstated(deps.sql, campaignId);
  if (campaign === undefined) return 0;
  const chunks = campaign.accounted < campaign.totalRecipients ? await skipRest(campaign, options.chunksMax, deps) : 0;
  await transaction(deps.sql, (tx) => store.dropEmptyLots(tx, campaignId), deps);
  const stated = await transaction(deps.sql, (tx) => giveStatement(tx, campaignId), deps);
  return chunks + (stated ? 1 : 0);
}

/**
 * The closing loop's step: closes a part of up to `limit` campaigns; 0 when there is nothing to do now. One campaign's error does
 * not keep the others from being closed; the first is thrown when all had their turn.
 */
export async function closeDue(limit: number, deps: CampaignDeps): Promise<number> {
  const errors: unknown[] = [];
  let done = 0;
  for (const { id } of await store.readUnstated(deps.sql, limit)) {
    try {
      done += await closeRest(id, { chunksMax: CHUNKS_PER_STEP }, deps);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return done;
}

/** How many chunks there were to skip. */
async function skipRest(campaign: store.Unstated, chunksMax: number, deps: CampaignDeps): Promise<number> {
  const { id } = campaign;
  const by = { ...reasons[campaign.state], max: CHUNK_RECIPIENTS_MAX };
  let chunks = 0;
  for (let after = 0; chunks < chunksMax; chunks++) {
    const from = after;
    const skip = async (tx: Sql) => {
      await preferIndexes(tx);
      return store.skipUnmarked(tx, id, { ...by, after: from });
    };
    const [row] = await transaction(deps.sql, skip, deps);
    if (row?.reached == null) break;
    after = row.reached;
  }
  while (chunks < chunksMax) {
    const [row] = await transaction(deps.sql, (tx) => store.skipQueued(tx, id, by), deps);
    if (row === undefined || row.skipped === 0) break;
    chunks++;
  }
  return chunks;
}

/** Under the campaign's lock, so that two who close the same campaign give one statement. */
async function giveStatement(tx: Sql, campaignId: string): Promise<boolean> {
  const [campaign] = await store.lockUnstated(tx, campaignId);
  if (campaign === undefined || campaign.accounted < campaign.totalRecipients) return false;
  const statement = await statementOf(tx, campaignId);
  await store.storeStatement(tx, campaignId, statement);
  await emit(tx, campaignId, "campaign:progress", {
    progress: 100,
    processedCount: statement.recipients,
    totalRecipients: statement.recipients,
    sent: statement.accepted,
    failed: statement.failed,
  });
  return true;
}

/**
 * What became of everybody, counted from rows as they are now.
 * @throws {Error} when it does not add up: somebody has no outcome, or a row is too many. It must not be shown to anybody.
 */
export async function statementOf(sql: Sql, campaignId: string): Promise<Statement> {
  const [row] = await store.readStatement(sql, campaignId);
  const fault = row === undefined ? "there is none" : statementFault(row.statement);
  if (row === undefined || fault !== null) throw new Error(`the statement of campaign ${campaignId} does not add up: ${fault}`);
  return row.statement;
}
