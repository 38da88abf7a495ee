import { createHash, timingSafeEqual } from "node:crypto";
import { Right } from "../contract/key.ts";
import type { Luck } from "./luck.ts";
import type { Sql } from "./postgres.ts";

/** The workspace of everybody who has not made another; the same id in every installation. */
const DEFAULT_WORKSPACE_ID = "00000000-0000-4000-8000-000000000001";

const KEY_BYTES = 32;
/** `cpk_` and six more characters: enough to tell keys apart in a list, useless to guess the rest. */
const PREFIX_CHARACTERS = 10;

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly rights: readonly Right[];
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Who stands behind a request. */
export interface Caller {
  readonly keyId: string;
  readonly workspaceId: string;
  readonly rights: readonly Right[];
}

const hashOf = (key: string): Buffer => createHash("sha256").update(key).digest();
const columns = (sql: Sql) => sql`id, name, prefix, rights, created_at, last_used_at, revoked_at`;

export async function ensureDefaultWorkspace(sql: Sql): Promise<string> {
  await sql`insert into workspace (id, name) values (${DEFAULT_WORKSPACE_ID}, 'default') on conflict do nothing`;
  return DEFAULT_WORKSPACE_ID;
}

/** A new key. `key` is the secret itself: only its hash is stored, so this is the one time it can be shown. */
export async function createKey(sql: Sql, luck: Luck, made: { workspaceId: string; name: string; rights: readonly Right[] }) {
  const key = `cpk_${Buffer.from(luck.bytes(KEY_BYTES)).toString("base64url")}`;
  const [row] = await sql<ApiKey[]>`
    insert into api_key (id, workspace_id, name, prefix, hash, rights)
    values (${luck.uuid()}, ${made.workspaceId}, ${made.name}, ${key.slice(0, PREFIX_CHARACTERS)}, ${hashOf(key)}, ${[...made.rights]})
    returning ${columns(sql)}`;
  if (!row) throw new Error("insert into api_key returned nothing");
  return { ...row, key };
}

/** Makes sure that a key chosen by the operator opens `workspaceId` with all rights, also after it was revoked. */
export async function ensureKey(sql: Sql, luck: Luck, chosen: { workspaceId: string; name: string; key: string }): Promise<void> {
  await sql`
    insert into api_key (id, workspace_id, name, prefix, hash, rights)
    values (${luck.uuid()}, ${chosen.workspaceId}, ${chosen.name}, ${chosen.key.slice(0, 4)}, ${hashOf(chosen.key)}, ${[...Right.options]})
    on conflict (hash) do update set rights = excluded.rights, revoked_at = null`;
}

/** All keys of a workspace, the newest first, revoked ones included. */
export const listKeys = (sql: Sql, workspaceId: string): Promise<ApiKey[]> => sql<ApiKey[]>`
  select ${columns(sql)} from api_key where workspace_id = ${workspaceId} order by created_at desc, id`;

/** True when the workspace has this key; a second revocation keeps the first date. */
export async function revokeKey(sql: Sql, workspaceId: string, id: string): Promise<boolean> {
  const done = await sql`
    update api_key set revoked_at = coalesce(revoked_at, campanile.clock()) where workspace_id = ${workspaceId} and id = ${id}`;
  return done.count === 1;
}

/**
 * Who holds this key; null when nobody does, or it was revoked. Looked up by its hash, compared in constant time.
 * The time of use is written at most once a minute: a key under load would else be the hottest row of the database.
 */
export async function callerOf(sql: Sql, key: string): Promise<Caller | null> {
  const hash = hashOf(key);
  const [row] = await sql<{ id: string; workspaceId: string; rights: Right[]; hash: Buffer; stale: boolean }[]>`
    select id, workspace_id, rights, hash, coalesce(last_used_at < campanile.clock() - interval '1 minute', true) as stale
    from api_key where hash = ${hash} and revoked_at is null`;
  if (!row || !timingSafeEqual(row.hash, hash)) return null;
  if (row.stale) await sql`update api_key set last_used_at = campanile.clock() where id = ${row.id}`;
  return { keyId: row.id, workspaceId: row.workspaceId, rights: row.rights };
}
