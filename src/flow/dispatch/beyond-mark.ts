import { OPENING_MARGIN_MS } from "../../rules/limits.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import { findOutrun, insertForgotten, lockOutrun, type Outrun, raiseMark } from "./beyond-mark-store.ts";
import type { DispatchDeps } from "./deps.ts";
import { lockCap, prolongOpenings, readFacts } from "./limits-store.ts";
import { count, withReceipts } from "./settle.ts";

/**
 * Receipts of people whom this database never marked say that it is older than what was sent from it. One step of looking for them: tells
 * `stop`, in a sentence, and then believes the receipts. Whoever stands in a lot before the last that one of them names was written
 * to too, as far as anybody can know: they are in doubt, the receipts settle what they can, and nobody of them is written to again
 * unless the campaign says so. Returns how many there were.
 */
export async function believeReceipts(stop: (what: string) => Promise<void>, { sql }: Pick<DispatchDeps, "sql">): Promise<number> {
  const outrun = await findOutrun(sql);
  const news = outrun.find((lot) => !lot.expected);
  if (news !== undefined) await stop(sentenceOf(news));
  let doubts = 0;
  for (const lot of outrun) doubts += await transaction(sql, (tx) => doubtUpTo(tx, lot));
  return doubts;
}

const sentenceOf = ({ campaignId, first, handed, position }: Outrun): string =>
  `A receipt came for position ${position} of campaign ${campaignId}, to which nothing was sent as far as this database knows ` +
  `(of the lot from ${first} on, ${handed - first + 1} were): it is older than what was sent from it, or a copy of it sends elsewhere.`;

async function doubtUpTo(tx: Sql, { campaignId, first }: Outrun): Promise<number> {
  const [lot] = await lockOutrun(tx, { campaignId, first });
  const [facts] = await readFacts(tx, campaignId);
  if (lot === undefined || facts === undefined) return 0;
  const doubts = await insertForgotten(tx, campaignId, lot.handed + 1, lot.position);
  await raiseMark(tx, { campaignId, first }, lot.position);
  const rows = doubts.map(({ position }) => ({ stage: 1, position, state: "uncertain" as const }));
  const written = await withReceipts(tx, campaignId, rows);
  const addresses = doubts.flatMap(({ address }) => (address === null ? [] : [address]));
  const [scope] = await lockCap(tx, facts.scopeId);
  if (scope?.cap != null) await prolongOpenings(tx, facts.scopeId, addresses, OPENING_MARGIN_MS);
  await count(tx, campaignId, written);
  return doubts.length;
}
