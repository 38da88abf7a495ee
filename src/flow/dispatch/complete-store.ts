import { ATTEMPTS_MAX } from "../../rules/limits.ts";
import type { Statement } from "../../rules/statement.ts";
import type { Sql } from "../../runtime/postgres.ts";

/** Nobody of the campaign is left to be written to, or may be once more. Asked under the campaign's lock to be true for good. */
const isOver = (sql: Sql) => sql`
  c.state = 'running'
  and not exists (select 1 from lot l where l.campaign_id = c.id)
  and not exists (select 1 from message m where m.campaign_id = c.id and m.state in ('queued', 'handing'))
  and (c.on_uncertain = 'hold' or not exists (select 1 from message m where m.campaign_id = c.id and m.state = 'uncertain' and m.attempt < ${ATTEMPTS_MAX}))`;

/** Campaigns that look as if they were over, of those that an engine drives. */
export const overCampaigns = (sql: Sql, limit: number) => sql<{ id: string }[]>`
  select c.id from campaign c where c.engine and c.deleted_at is null and ${isOver(sql)} limit ${limit}`;

export const lockForGood = (sql: Sql, campaignId: string) => sql`select 1 from campaign where id = ${campaignId} for no key update`;

/** The campaign's own answer, under its lock, with the statement that counts rows. */
export const lockOver = (sql: Sql, campaignId: string) => sql<{ statement: Statement }[]>`
  select campanile.statement(c.id) as statement from campaign c where c.id = ${campaignId} and ${isOver(sql)}`;

/** The last of its progress is told before its end. */
export const tellProgress = (sql: Sql, campaignId: string) => sql`select campanile.tell_progress(${campaignId}, true)`;

export const completeCampaign = (sql: Sql, campaignId: string, statement: Statement) => sql`
  with done as (
    update campaign set state = 'completed', completed_at = campanile.clock(), statement = ${sql.json(statement as never)}, last_seq = last_seq + 1
    where id = ${campaignId} and state = 'running' returning id, last_seq, statement)
  insert into event (campaign_id, seq, name, body)
  select id, last_seq, 'campaign:completed', jsonb_build_object('campaignId', id, 'statement', statement) from done
  returning pg_notify('campanile', campaign_id::text)`;
