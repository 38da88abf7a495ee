import { connect, type Database, isPassing } from "../../src/runtime/postgres.ts";

/** What an engine had on its hands when it ended, or stood still. */
export interface Hands {
  readonly lots: number;
  /** Positions of its lots that were marked and not settled: the windows. */
  readonly marked: number;
  /** Due messages it was handing over. */
  readonly handing: number;
}

/** A message that was put in doubt, whether or not a receipt has settled it since. */
interface Doubt {
  readonly campaignId: string;
  readonly position: number;
  readonly attempt: number;
  readonly code: string;
}

export interface Progress {
  readonly campaignId: string;
  readonly state: string;
  /** Its closing statement is there. */
  readonly isStated: boolean;
  readonly recipients: number;
  readonly settled: number;
}

/** Lots that went from one engine to another, by the name of the one that lost them. */
export interface Loss {
  readonly engine: string;
  readonly lots: number;
  readonly marked: number;
  readonly markedMax: number;
}

/**
 * Sees what the product forgets: every doubt there ever was (a receipt that settles one wipes it out), and which process a holder is.
 * Triggers of its own in the same database write it down, in the same transactions.
 */
export interface Witness {
  readonly sql: Database;
  /** An engine's hands. Exact once its sessions are over: then nothing of its lots changes before somebody recovers them, 20 s later. */
  hands(engine: string): Promise<Hands>;
  /** Engines that have marked positions now. */
  busy(): Promise<ReadonlySet<string>>;
  /** Waits until the sessions of an engine that is dead are over. */
  untilGone(engine: string): Promise<void>;
  progress(): Promise<Progress[]>;
  doubts(): Promise<Doubt[]>;
  doubtCount(): Promise<number>;
  losses(): Promise<Loss[]>;
  /** Webhooks that were not looked at yet, and messages in doubt of which a receipt is there. */
  unread(): Promise<number>;
  close(): Promise<void>;
}

const GONE_MAX_MS = 5_000;
const PATIENCE_MS = 30_000;

const observers = `
create schema chaos;
create table chaos.doubt (campaign_id uuid not null, stage int not null, position int not null, attempt int not null, code text, at timestamptz not null default clock_timestamp());
create table chaos.holder (id uuid primary key, engine text not null);
create index on chaos.holder (engine);
create table chaos.loss (engine uuid not null, marked int not null);

create function chaos.note_new() returns trigger language plpgsql as $$ begin
  insert into chaos.doubt (campaign_id, stage, position, attempt, code)
    select campaign_id, stage, position, attempt, code from now_rows where state = 'uncertain';
  return null; end $$;
create trigger chaos_new after insert on campanile.message referencing new table as now_rows for each statement execute function chaos.note_new();

create function chaos.note_change() returns trigger language plpgsql as $$ begin
  insert into chaos.doubt (campaign_id, stage, position, attempt, code)
    select n.campaign_id, n.stage, n.position, n.attempt, n.code from now_rows n join old_rows o using (campaign_id, stage, position)
    where n.state = 'uncertain' and o.state <> 'uncertain';
  insert into chaos.holder select distinct token, current_setting('application_name') from now_rows where state = 'handing' on conflict do nothing;
  return null; end $$;
create trigger chaos_change after update on campanile.message referencing old table as old_rows new table as now_rows
  for each statement execute function chaos.note_change();

create function chaos.note_holder() returns trigger language plpgsql as $$ begin
  if new.holder is not null then
    insert into chaos.holder values (new.holder, current_setting('application_name')) on conflict do nothing;
    if old.holder is not null then
      insert into chaos.loss values (old.holder, old.handed - old.first + 1 - (select count(*) from campanile.message
        where campaign_id = old.campaign_id and stage = 1 and position between old.first and old.handed));
    end if;
  end if;
  return null; end $$;
create trigger chaos_holder after update of holder on campanile.lot
  for each row when (new.holder is distinct from old.holder) execute function chaos.note_holder();`;

export async function openWitness(url: string): Promise<Witness> {
  const sql = connect(url, { max: 4, applicationName: "chaos witness" });
  await sql.unsafe(observers);
  return {
    sql,
    hands: async (engine) =>
      one(
        await patiently(
          () => sql<Hands[]>`
        with held as (
          select l.handed - l.first + 1 - (select count(*) from message m
            where m.campaign_id = l.campaign_id and m.stage = 1 and m.position between l.first and l.handed) as marked
          from lot l join chaos.holder h on h.id = l.holder where h.engine = ${engine})
        select count(*)::int as lots, coalesce(sum(marked), 0)::int as marked,
          (select count(*)::int from message m join chaos.holder h on h.id = m.token where m.state = 'handing' and h.engine = ${engine}) as handing
        from held`,
        ),
      ),
    busy: async () => {
      const rows = await patiently(
        () => sql<{ engine: string }[]>`
        select distinct h.engine from lot l join chaos.holder h on h.id = l.holder
        where l.handed - l.first + 1 > (select count(*) from message m where m.campaign_id = l.campaign_id and m.stage = 1 and m.position between l.first and l.handed)`,
      );
      return new Set(rows.map((row) => row.engine));
    },
    async untilGone(engine) {
      const giveUpAt = performance.now() + GONE_MAX_MS;
      while (performance.now() < giveUpAt) {
        const { count } = await patiently(() => sql`select 1 from pg_stat_activity where application_name = ${engine}`);
        if (count === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    },
    progress: () =>
      patiently(
        () => sql<Progress[]>`
      select c.id as campaign_id, c.state, c.statement is not null as is_stated, coalesce(c.total_recipients, 0) as recipients, coalesce(sum(d.accepted + d.failed + d.skipped + d.uncertain), 0)::int as settled
      from campaign c left join dispatch_count d on d.campaign_id = c.id group by c.id, c.state, c.statement, c.total_recipients, c.created_at order by c.created_at`,
      ),
    doubts: () => patiently(() => sql<Doubt[]>`select campaign_id, position, attempt, coalesce(code, '') as code from chaos.doubt`),
    doubtCount: async () => one(await patiently(() => sql<{ n: number }[]>`select count(*)::int as n from chaos.doubt`)).n,
    losses: () =>
      patiently(
        () => sql<Loss[]>`
      select h.engine, count(*)::int as lots, sum(l.marked)::int as marked, max(l.marked)::int as marked_max
      from chaos.loss l join chaos.holder h on h.id = l.engine group by h.engine`,
      ),
    unread: async () =>
      one(
        await patiently(
          () => sql<{ n: number }[]>`
      select ((select count(*) from inbox where state = 'new') + (select count(*) from unmatched where given_up_at is null) + (select count(*) from message m where m.state = 'uncertain' and exists (
        select from receipt r where r.campaign_id = m.campaign_id and r.stage = m.stage and r.position = m.position and r.kind <> 'replied' and r.provider_ref is not null)))::int as n`,
        ),
      ).n,
    close: () => sql.end({ timeout: 1 }),
  };
}

function one<T>(rows: readonly T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error("the witness saw nothing");
  return row;
}

/** Asks again while the database is away. */
async function patiently<T>(ask: () => PromiseLike<T>): Promise<T> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      // Left behind by a postmaster that was killed, a session may keep its client waiting for longer than all our patience.
      if ((tries > 3 && performance.now() > giveUpAt) || !isPassing(error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
