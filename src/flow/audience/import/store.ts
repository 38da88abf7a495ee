import type { Database, Sql } from "../../../runtime/postgres.ts";

/** One import as it is kept. While it runs, `rowCount`, `rejected` and `bytes` are what was read so far, `stored` and `merged` are 0. */
export interface ImportRow {
  readonly id: string;
  readonly listId: string | null;
  readonly fileName: string;
  readonly state: "running" | "done" | "cancelled" | "failed";
  readonly rowCount: number;
  /** Contacts that are new. */
  readonly stored: number;
  /** Rows whose person was there already, or came before in the file. */
  readonly merged: number;
  readonly rejected: number;
  readonly bytes: number;
  /** Why it failed. */
  readonly cause: string | null;
  readonly startedAt: Date;
  readonly finishedAt: Date | null;
}

export interface ImportRef {
  readonly workspaceId: string;
  readonly id: string;
}

export interface Progress {
  readonly rows: number;
  readonly rejected: number;
  readonly bytes: number;
}

export const insertImport = (sql: Sql, { workspaceId, id }: ImportRef, { listId, fileName }: { listId: string | null; fileName: string }) => sql`
  insert into import (workspace_id, id, list_id, file_name, state) values (${workspaceId}, ${id}, ${listId}, ${fileName}, 'running')`;

export const readImport = (sql: Sql, { workspaceId, id }: ImportRef) => sql<ImportRow[]>`
  select id, list_id, file_name, state, row_count, stored, merged, rejected, bytes, cause, started_at, finished_at
  from import where workspace_id = ${workspaceId} and id = ${id}`;

export const hasList = (sql: Sql, workspaceId: string, id: string) => sql`select 1 from list where workspace_id = ${workspaceId} and id = ${id}`;

/** Says how far it is, and that its process lives. */
export const beat = (sql: Sql, { workspaceId, id }: ImportRef, { rows, rejected, bytes }: Progress) => sql`
  update import set row_count = ${rows}, rejected = ${rejected}, bytes = ${bytes}, heard_at = campanile.clock()
  where workspace_id = ${workspaceId} and id = ${id} and state = 'running'`;

/** Ends an import of which nothing was stored; one that is done stays so. Returns nothing for that one. */
export const endUnstored = (
  sql: Sql,
  { workspaceId, id }: ImportRef,
  { state, cause }: { state: "cancelled" | "failed"; cause: string | null },
) => sql`
  update import set state = ${state}, cause = ${cause}, row_count = 0, rejected = 0, finished_at = campanile.clock()
  where workspace_id = ${workspaceId} and id = ${id} and state = 'running' returning id`;

/** Ends imports whose process has not been heard of. One that is just being stored holds its row and is left alone. */
export const endStale = (sql: Sql, { silentMs, cause }: { silentMs: number; cause: string }) => sql<{ id: string }[]>`
  with stale as materialized (
    select workspace_id, id from import
    where state = 'running' and heard_at < campanile.clock() - ${silentMs} * interval '1 millisecond'
    order by id for no key update skip locked)
  update import i set state = 'failed', cause = ${cause}, row_count = 0, rejected = 0, finished_at = campanile.clock()
  from stale where i.workspace_id = stale.workspace_id and i.id = stale.id returning i.id`;

// Staging. Rows go into a table of their own while the file is read: without WAL, by COPY, each batch in its own short transaction,
// so a slow upload neither holds a connection nor keeps old rows of other tables from being pruned.

/** The staging table of an import. */
export const stageOf = (id: string): string => `import_stage_${id.replaceAll("-", "")}`;

export const createStage = (sql: Sql, stage: string) => sql`
  create unlogged table ${sql(stage)} (line bigint not null, phone text, email text, first_name text, last_name text, company text,
    time_zone text, attributes jsonb, value text, reason text) with (autovacuum_enabled = off)`;

/** Staging tables whose import does not run: their process ended before it could drop them. */
export const listLeftStages = (sql: Sql) => sql<{ stage: string }[]>`
  select relname::text as stage from pg_class
  where relkind = 'r' and relname ~ '^import_stage_[0-9a-f]{32}$' and pg_table_is_visible(oid)
    and not exists (select from import i where i.id = right(relname, 32)::uuid and i.state = 'running')`;

export const dropStage = (sql: Sql, stage: string) => sql`drop table if exists ${sql(stage)}`;

/** How the driver tells a query that it failed. Not in its types. */
interface Rejectable {
  reject: (error: unknown) => void;
}

/**
 * Appends rows in COPY's text format; done when Postgres has them. Once everything is written, the driver (3.4.9) tells its stream of
 * neither an error nor a lost connection, and whoever waits for "finish" would wait for ever; it still tells the query.
 */
export function copyIntoStage(sql: Database, stage: string, batch: Buffer): Promise<void> {
  const query = sql`copy ${sql(stage)} (line, phone, email, first_name, last_name, company, time_zone, attributes, value, reason) from stdin`;
  return new Promise((resolve, reject) => {
    const told = query as unknown as Rejectable;
    const pass = told.reject;
    told.reject = (error) => {
      reject(error);
      pass(error);
    };
    query.writable().then((sink) => {
      sink.once("finish", resolve);
      sink.once("error", reject);
      sink.end(batch);
    }, reject);
  });
}

// Storing: all of it in one transaction.

/** Two numbers nobody else locks by; the second is the workspace's. */
const LOCK_CLASS = 0x63616d71;

/**
 * Prepares a transaction that takes as long as it takes. Imports of one workspace are stored one after the other, so two of the same
 * people wait for each other here and nowhere else.
 */
export async function beginStoring(tx: Sql, workspaceId: string): Promise<void> {
  await tx`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true), set_config('work_mem', '64MB', true)`;
  await tx`select pg_advisory_xact_lock(${LOCK_CLASS}::int, hashtext(${workspaceId}))`;
}

/** Keeps a running import for itself until commit; nothing when it does not run any more. */
export const lockImport = (tx: Sql, { workspaceId, id }: ImportRef) => tx<{ now: Date }[]>`
  select campanile.clock() as now from import where workspace_id = ${workspaceId} and id = ${id} and state = 'running' for no key update`;

export const countStaged = (tx: Sql, stage: string) => tx<{ rows: number; rejected: number; phones: number; emails: number }[]>`
  select count(*) as rows, count(*) filter (where reason is not null) as rejected, count(phone) as phones,
    count(*) filter (where phone is null and email is not null) as emails
  from ${tx(stage)}`;

/**
 * Leaves one row in the stage for each person of the file, at the line where it first comes; returns how many rows that made fewer.
 * What later rows say of the same person goes before what earlier ones said; what they leave empty stays. So a file has the effect of
 * its rows, one by one. Only rows of people who come twice are touched: writing a million rows again would take as long as storing them.
 */
export async function foldPersons(tx: Sql, stage: string): Promise<number> {
  // Nothing else tells the planner how many rows there are, and it would sort, or loop.
  await tx`analyze ${tx(stage)}`;
  const twice = await tx`
    create temporary table twice on commit drop as
    select coalesce(phone, email) as key from ${tx(stage)} where reason is null group by 1 having count(*) > 1`;
  if (twice.count === 0) return 0;
  await tx`analyze twice`;
  await tx`
    create temporary table again on commit drop as
    select t.key, s.* from twice t join ${tx(stage)} s on coalesce(s.phone, s.email) = t.key where s.reason is null`;
  const last = (column: string) => tx`(array_agg(${tx(column)} order by line desc) filter (where ${tx(column)} is not null))[1]`;
  const removed = await tx`delete from ${tx(stage)} s using twice t where coalesce(s.phone, s.email) = t.key and s.reason is null`;
  const folded = await tx`
    insert into ${tx(stage)} (line, phone, email, first_name, last_name, company, time_zone, attributes)
    with said as (select a.key, jsonb_object_agg(e.key, e.value order by a.line) as attributes from again a, jsonb_each(a.attributes) e group by a.key),
    person as (
      select key, min(line) as line, min(phone) as phone, ${last("email")} as email, ${last("first_name")} as first_name,
        ${last("last_name")} as last_name, ${last("company")} as company, ${last("time_zone")} as time_zone
      from again group by key)
    select line, phone, email, first_name, last_name, company, time_zone, coalesce(said.attributes, '{}')
    from person left join said on said.key = person.key`;
  return removed.count - folded.count;
}

/** By what a person is known. */
export type Key = "phone" | "email";

/** The staged people with that key, `p`, and the contact `c` that one of them already is. */
const isKeyed = (tx: Sql, key: Key) => (key === "phone" ? tx`p.phone is not null` : tx`p.phone is null and p.email is not null`);
const isKnown = (tx: Sql, workspaceId: string, key: Key) =>
  key === "phone"
    ? tx`c.workspace_id = ${workspaceId} and c.phone = p.phone`
    : tx`c.workspace_id = ${workspaceId} and c.phone is null and c.email = p.email`;

/** The id of the contact a row becomes when it is new: its import's number and its line, so the contacts of a file are in its order. */
const idOf = (tx: Sql, importId: string) => tx`(${importId.slice(0, -12)}::text || lpad(to_hex(p.line), 12, '0'))::uuid`;

/**
 * Stores who is new, in the file's order, which two of the three indexes have too: sorted by key, as the third one has it, a million rows
 * took 23 s instead of 16. Fails with a unique violation when somebody else stores one of these people meanwhile, unless it is `careful`
 * and asks the index before each row: that takes a third longer.
 */
export const insertNew = (
  tx: Sql,
  stage: string,
  { workspaceId, id, key, now, careful }: ImportRef & { key: Key; now: Date; careful: boolean },
) => tx`
  insert into contact (workspace_id, id, phone, email, first_name, last_name, company, time_zone, attributes, created_at, updated_at)
  select ${workspaceId}, ${idOf(tx, id)}, p.phone, p.email, p.first_name, p.last_name, p.company, p.time_zone, p.attributes, ${now}, ${now}
  from ${tx(stage)} p where ${isKeyed(tx, key)} and not exists (select from contact c where ${isKnown(tx, workspaceId, key)})
  ${careful ? tx`on conflict ${key === "phone" ? tx`(workspace_id, phone) where phone is not null` : tx`(workspace_id, email) where phone is null`} do nothing` : tx``}`;

/** Somebody else was first. */
export const isTaken = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "23505";

/** What the file says goes before what was known; what it leaves empty stays. A contact that already was so is not written. */
export const updateKnown = (tx: Sql, stage: string, { workspaceId, id, key, now }: ImportRef & { key: Key; now: Date }) => tx`
  update contact c set email = coalesce(p.email, c.email), first_name = coalesce(p.first_name, c.first_name),
    last_name = coalesce(p.last_name, c.last_name), company = coalesce(p.company, c.company), time_zone = coalesce(p.time_zone, c.time_zone),
    attributes = c.attributes || p.attributes, updated_at = ${now}
  from ${tx(stage)} p where ${isKeyed(tx, key)} and ${isKnown(tx, workspaceId, key)} and c.id <> ${idOf(tx, id)} and (
    (coalesce(p.email, c.email), coalesce(p.first_name, c.first_name), coalesce(p.last_name, c.last_name), coalesce(p.company, c.company),
      coalesce(p.time_zone, c.time_zone)) is distinct from (c.email, c.first_name, c.last_name, c.company, c.time_zone)
    or not c.attributes @> p.attributes)`;

/** Puts everybody of the file into a list, in its order; whoever is in it stays where he is. */
export const insertMembers = (tx: Sql, stage: string, { workspaceId, listId }: { workspaceId: string; listId: string }) => tx`
  insert into list_member (workspace_id, list_id, contact_id)
  select ${workspaceId}, ${listId}, member.id from (
    select p.line, c.id from ${tx(stage)} p join contact c on ${isKnown(tx, workspaceId, "phone")}
    union all
    select p.line, c.id from ${tx(stage)} p join contact c on ${isKnown(tx, workspaceId, "email")} where p.phone is null) member
  order by member.line
  on conflict (list_id, contact_id) do nothing`;

/** The same when everybody in the stage is new: then nobody needs to be looked for, and nobody can be in a list yet. */
export const insertNewMembers = (tx: Sql, stage: string, { workspaceId, id, listId }: ImportRef & { listId: string }) => tx`
  insert into list_member (workspace_id, list_id, contact_id)
  select ${workspaceId}, ${listId}, ${idOf(tx, id)} from ${tx(stage)} p where p.reason is null order by p.line`;

export const insertRejects = (tx: Sql, { workspaceId, id }: ImportRef, stage: string) => tx`
  insert into import_reject (workspace_id, import_id, line, value, reason)
  select ${workspaceId}, ${id}, line, value, reason from ${tx(stage)} where reason is not null order by line`;

export interface Stored extends Progress {
  readonly stored: number;
  readonly merged: number;
}

export const endStored = (
  tx: Sql,
  { workspaceId, id }: ImportRef,
  { listId, rows, stored, merged, rejected, bytes }: Stored & { readonly listId: string | null },
) => tx`
  update import set state = 'done', list_id = ${listId}, row_count = ${rows}, stored = ${stored}, merged = ${merged}, rejected = ${rejected}, bytes = ${bytes},
    finished_at = campanile.clock()
  where workspace_id = ${workspaceId} and id = ${id} and state = 'running'`;

export interface Reject {
  readonly line: number;
  readonly value: string;
  readonly reason: string;
}

/** Rejected rows by line, after one. */
export const listRejects = (sql: Sql, { workspaceId, id }: ImportRef, { after, limit }: { after: number; limit: number }) => sql<Reject[]>`
  select line, value, reason from import_reject
  where workspace_id = ${workspaceId} and import_id = ${id} and line > ${after} order by line limit ${limit}`;
