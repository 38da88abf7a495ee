import type { Sql } from "../../runtime/postgres.ts";

/** Any answer will do: Postgres is there. */
export const probe = (sql: Sql) => sql`select 1`;

export interface KeptAnswer {
  readonly requestHash: Buffer;
  /** Null while the first request is still being answered; `answer` then is the reserved id. */
  readonly status: number | null;
  readonly answer: string;
}

/**
 * Takes an idempotency key for one request; undefined when it is taken. Free are: a key nobody used, one older than 24 hours, and one
 * whose first request never came to an answer within `abandonedAfterS` (the process died), if it was the same request. Gives back the
 * id for what the request makes: `reserve`, or the one an abandoned request had, so that what it made is found instead of made again.
 */
export async function claimKey(
  sql: Sql,
  claim: { workspaceId: string; key: string; requestHash: Uint8Array; reserve: string; abandonedAfterS: number },
): Promise<string | undefined> {
  const [row] = await sql<{ reserved: string }[]>`
    insert into idempotency as i (workspace_id, key, request_hash, answer, created_at)
    values (${claim.workspaceId}, ${claim.key}, ${claim.requestHash}, to_jsonb(${claim.reserve}::text), campanile.clock())
    on conflict (workspace_id, key) do update
      set request_hash = excluded.request_hash, status = null, created_at = excluded.created_at,
        answer = case when i.created_at < campanile.clock() - interval '24 hours' then excluded.answer else i.answer end
      where i.created_at < campanile.clock() - interval '24 hours'
        or (i.status is null and i.request_hash = excluded.request_hash
          and i.created_at < campanile.clock() - ${claim.abandonedAfterS} * interval '1 second')
    returning answer #>> '{}' as reserved`;
  return row?.reserved;
}

export async function keptAnswer(sql: Sql, workspaceId: string, key: string): Promise<KeptAnswer | undefined> {
  const [row] = await sql<KeptAnswer[]>`
    select request_hash, status, answer #>> '{}' as answer from idempotency where workspace_id = ${workspaceId} and key = ${key}`;
  return row;
}

/** Keeps an answer for 24 hours. A jsonb string, not an object: the repeat must have the same bytes, key order included. */
export const keepAnswer = (sql: Sql, kept: { workspaceId: string; key: string; requestHash: Uint8Array; status: number; answer: string }) => sql`
  update idempotency set status = ${kept.status}, answer = to_jsonb(${kept.answer}::text), request_hash = ${kept.requestHash}
  where workspace_id = ${kept.workspaceId} and key = ${kept.key} and status is null`;

/** Frees a key: the request was refused and nothing was stored. */
export const freeKey = (sql: Sql, workspaceId: string, key: string) => sql`
  delete from idempotency where workspace_id = ${workspaceId} and key = ${key} and status is null`;

export const forgetOldKeys = (sql: Sql) => sql`
  delete from idempotency where created_at < campanile.clock() - interval '24 hours'`;
