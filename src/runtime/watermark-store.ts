import type { Fragment, Sql } from "./postgres.ts";
import type { Mark } from "./watermark-file.ts";

/** What a server tells of itself; some that are run by others tell less. */
export interface Told {
  readonly systemIdentifier: boolean;
  readonly timeline: boolean;
}

const systemIdentifier = (sql: Sql): Fragment => sql`(select system_identifier::text from pg_control_system())`;
/** A replica has none of its own, and cannot be written to either. */
const timeline = (sql: Sql): Fragment => sql`case when not pg_is_in_recovery() then left(pg_walfile_name(pg_current_wal_lsn()), 8) end`;
const toldOr = (sql: Sql, told: boolean, fragment: Fragment) => (told ? fragment : sql`null::text`);

/** Throws when the server does not tell. */
export const askSystemIdentifier = (sql: Sql) => sql`select ${systemIdentifier(sql)}`;
export const askTimeline = (sql: Sql) => sql`select ${timeline(sql)}`;

export const readInstallation = (sql: Sql) => sql<{ id: string }[]>`select id from installation`;

/** Whether the database has what it had at the mark, on the same timeline of the server. Every volley asks. */
export const isKnown = (sql: Sql, mark: Mark, told: Told): Fragment => sql`
  (exists (select 1 from watermark where owner = ${mark.owner} and at >= ${mark.at}::text::timestamptz)
    and (${mark.timeline}::text is null or ${toldOr(sql, told.timeline, timeline(sql))} is not distinct from ${mark.timeline}::text))`;

/** The database as it is, to be compared with a mark. */
export interface Seen {
  readonly databaseId: string;
  /** Up to when the database itself says that the mark's owner knew it; null: it does not know the owner. */
  readonly at: string | null;
  /** It knows all that it knew at the mark. */
  readonly kept: boolean;
  /** That it went back was noticed after the mark; accepted or not. */
  readonly noticed: boolean;
  /** Nobody has accepted it yet that the database went back. */
  readonly open: boolean;
  readonly systemIdentifier: string | null;
  readonly timeline: string | null;
}

export const see = (sql: Sql, mark: Mark, told: Told) => sql<Seen[]>`
  select i.id as database_id, w.at::text as at, coalesce(w.at >= ${mark.at}::text::timestamptz, false) as kept,
    exists (select 1 from regression where noticed_at >= ${mark.at}::text::timestamptz) as noticed,
    exists (select 1 from regression where accepted_at is null) as open,
    ${toldOr(sql, told.systemIdentifier, systemIdentifier(sql))} as system_identifier,
    ${toldOr(sql, told.timeline, timeline(sql))} as timeline
  from installation i left join watermark w on w.owner = ${mark.owner}`;

/**
 * Raises the mark, when a campaign runs or when it was not raised for `idleMs`; nothing otherwise. Its COMMIT makes it durable: the row's
 * new instant is later than every one before, also when a clock was set back.
 */
export const raise = (sql: Sql, mark: Mark, idleMs: number) => sql<{ at: string }[]>`
  update watermark set at = greatest(campanile.clock(), at + interval '1 microsecond')
  where owner = ${mark.owner} and at >= ${mark.at}::text::timestamptz
    and (at < campanile.clock() - ${idleMs} * interval '1 ms' or exists (select 1 from campaign where state = 'running' and deleted_at is null))
  returning at::text as at`;

/** Takes the database as it is: this owner knows it from now on. `after`: the instant is later than this one, whatever the clock says. */
export const adopt = (sql: Sql, owner: string, after: string | null) => sql<{ at: string }[]>`
  insert into watermark as w (owner, at) values (${owner}, greatest(campanile.clock(), ${after}::text::timestamptz + interval '1 microsecond'))
  on conflict (owner) do update set at = greatest(excluded.at, w.at + interval '1 microsecond')
  returning at::text as at`;

/** Only one process at a time writes down that the database went back, or pauses what runs all the same; two numbers nobody else locks. */
const LOCK_CLASS = 0x63616d70;
const LOCK = 3;
export const lockRegression = (sql: Sql) => sql`select pg_advisory_xact_lock(${LOCK_CLASS}::int, ${LOCK}::int)`;

export const insertRegression = (sql: Sql, what: string, markAt: string | null) => sql`
  insert into regression (what, noticed_at) values (${what}, greatest(campanile.clock(), ${markAt}::text::timestamptz))`;

export interface Regression {
  readonly what: string;
  readonly noticedAt: Date;
}

/** Those that nobody has accepted yet. */
export const openRegressions = (sql: Sql) => sql<Regression[]>`
  select what, noticed_at from regression where accepted_at is null order by id`;

/** From now on the database counts as it is; its campaigns stay paused until somebody resumes them. */
export const acceptRegressions = (sql: Sql) => sql<Regression[]>`
  update regression set accepted_at = campanile.clock() where accepted_at is null returning what, noticed_at`;
