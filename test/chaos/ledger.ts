import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Database } from "../../src/runtime/postgres.ts";
import type { LedgerLine } from "../../vendor/ledger.ts";

const ROWS_PER_INSERT = 5_000;

/** Puts what the vendor truly accepted beside what the product says of it. Returns how many lines there are. */
export async function loadLedger(sql: Database, path: string): Promise<number> {
  await sql`create table chaos.ledger (campaign_id uuid, stage int, position int, attempt int, address text not null, phone_number_id text not null, wamid text not null, begun_at timestamptz not null)`;
  let lines: LedgerLine[] = [];
  let count = 0;
  const flush = async () => {
    count += lines.length;
    const column = (value: (line: LedgerLine) => string | number | null) => lines.map((line) => (value(line) === null ? null : String(value(line))));
    await sql`insert into chaos.ledger select * from unnest(${column((l) => l.campaign)}::uuid[], ${column((l) => l.stage)}::int[], ${column((l) => l.position)}::int[],
      ${column((l) => l.attempt)}::int[], ${column((l) => l.to)}::text[], ${column((l) => l.phoneNumberId)}::text[], ${column((l) => l.wamid)}::text[], ${column((l) => l.begunAt)}::timestamptz[])`;
    lines = [];
  };
  for await (const text of createInterface({ input: createReadStream(path) })) {
    if (text.trim() === "") continue; // laid out ahead
    lines.push(JSON.parse(text) as LedgerLine);
    if (lines.length === ROWS_PER_INSERT) await flush();
  }
  await flush();
  await sql`create index on chaos.ledger (campaign_id, stage, position)`;
  await sql`analyze`;
  return count;
}

/** What the ledger and the database must not say, each with how often they do and some examples. */
export async function contradictions(sql: Database): Promise<string[]> {
  const faults: string[] = [];
  for (const [what, rows] of await Promise.all(questions(sql).map(async ([what, rows]) => [what, await rows] as const))) {
    const examples = rows.slice(0, 5).map((row) => row.example);
    if (rows.length > 0) faults.push(`${rows.length} ${what}: ${examples.join("; ")}`);
  }
  return faults;
}

type Rows = PromiseLike<readonly { example: string }[]>;

const questions = (sql: Database): [string, Rows][] => [
  [
    "messages were accepted more than once by the vendor",
    sql`select format('%s position %s: attempts %s', campaign_id, position, array_agg(attempt)) as example
      from chaos.ledger group by campaign_id, stage, position having count(*) > 1` as unknown as Rows,
  ],
  [
    "people were written to more than once by one campaign",
    sql`select format('%s %s', campaign_id, address) as example from chaos.ledger group by campaign_id, stage, address having count(*) > 1` as unknown as Rows,
  ],
  ["messages carry no reference of ours", sql`select wamid as example from chaos.ledger where campaign_id is null` as unknown as Rows],
  [
    "recipients have no outcome",
    sql`select format('%s position %s', r.campaign_id, r.position) as example from recipient r
      where not exists (select from message m where m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position)` as unknown as Rows,
  ],
  [
    "recipients are called accepted, and the vendor never took their message",
    sql`select format('%s position %s attempt %s', m.campaign_id, m.position, m.attempt) as example from message m where m.state = 'accepted' and not exists (
      select from chaos.ledger l where l.campaign_id = m.campaign_id and l.stage = m.stage and l.position = m.position and l.attempt = m.attempt)` as unknown as Rows,
  ],
  [
    "recipients got a message that is not called accepted, although all receipts were told",
    sql`select format('%s position %s: %s %s', m.campaign_id, m.position, m.state, m.code) as example from message m
      where m.state <> 'accepted' and exists (select from chaos.ledger l where l.campaign_id = m.campaign_id and l.stage = m.stage and l.position = m.position)` as unknown as Rows,
  ],
  [
    "messages went to somebody who is not that recipient",
    sql`select format('%s position %s', l.campaign_id, l.position) as example from chaos.ledger l
      where l.campaign_id is not null and not exists (select from recipient r where r.campaign_id = l.campaign_id and r.position = l.position and r.address = l.address)` as unknown as Rows,
  ],
];

/**
 * How much the network must have added for calls that go at a pace: in any window T at most pace × (T + 50 ms + that) + 1 began, by the
 * vendor's clock. Milliseconds; 0 when it need not have added anything.
 */
export async function addedByNetwork(sql: Database, by: { phoneNumberId: string } | { campaignId: string }, perSecond: number): Promise<number> {
  const rows = await sql<{ at: number }[]>`select extract(epoch from begun_at)::float8 * 1000 as at from chaos.ledger
    where ${"phoneNumberId" in by ? sql`phone_number_id = ${by.phoneNumberId}` : sql`campaign_id = ${by.campaignId}`} order by begun_at`;
  return addedToPace(
    rows.map((row) => row.at),
    perSecond,
  );
}

const LATE_MS = 50;

/** Of ascending instants, the smallest `added` with j − i <= pace × (t(j) − t(i) + 50 ms + added) for all i < j. */
export function addedToPace(atMs: readonly number[], perSecond: number): number {
  let [lowest, added] = [Number.POSITIVE_INFINITY, 0];
  for (const [i, at] of atMs.entries()) {
    const ahead = (i * 1_000) / perSecond - at;
    added = Math.max(added, ahead - lowest - LATE_MS);
    lowest = Math.min(lowest, ahead);
  }
  return added;
}

/** Different people a number wrote to. A run is shorter than the 24 hours of a cap. */
export async function peopleOf(sql: Database, phoneNumberId: string): Promise<number> {
  const [row] = await sql<{ n: number }[]>`select count(distinct address)::int as n from chaos.ledger where phone_number_id = ${phoneNumberId}`;
  return row?.n ?? 0;
}
