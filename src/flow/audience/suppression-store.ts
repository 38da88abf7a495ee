import type { Sql } from "../../runtime/postgres.ts";

export type Channel = "whatsapp" | "email";
/** `all`: no message at all; `marketing`: no advertising. */
export type SuppressionScope = "all" | "marketing";

/** An address that must not be written to, and why. */
export interface Suppression {
  readonly channel: Channel;
  readonly address: string;
  readonly scope: SuppressionScope;
  readonly reason: string;
  /** Who said so: api, import, receipt … */
  readonly source: string;
  readonly at: Date;
}

/** Adds one; nothing when it is there already, with the reason it was given first. */
export const insertSuppression = (sql: Sql, workspaceId: string, { channel, address, scope, reason, source }: Omit<Suppression, "at">) => sql`
  insert into suppression (workspace_id, channel, address, scope, reason, source)
  values (${workspaceId}, ${channel}, ${address}, ${scope}, ${reason}, ${source}) on conflict do nothing returning address`;

export const readSuppressions = (sql: Sql, workspaceId: string, { channel, addresses }: { channel: Channel; addresses: readonly string[] }) => sql<
  Suppression[]
>`
  select channel, address, scope, reason, source, at from suppression
  where workspace_id = ${workspaceId} and channel = ${channel} and address = any(${addresses as string[]}) order by address, scope`;

/** By channel, address and scope, after one. */
export const listSuppressions = (
  sql: Sql,
  workspaceId: string,
  { channel, after, limit }: { channel: Channel | null; after: readonly [string, string, string]; limit: number },
) => sql<Suppression[]>`
  select channel, address, scope, reason, source, at from suppression
  where workspace_id = ${workspaceId} and (channel, address, scope) > (${after[0]}, ${after[1]}, ${after[2]})
    ${channel === null ? sql`` : sql`and channel = ${channel}`}
  order by channel, address, scope limit ${limit}`;

export const deleteSuppressions = (
  sql: Sql,
  workspaceId: string,
  { channel, addresses, scope }: { channel: Channel; addresses: readonly string[]; scope: SuppressionScope | null },
) => sql`
  delete from suppression where workspace_id = ${workspaceId} and channel = ${channel} and address = any(${addresses as string[]})
    ${scope === null ? sql`` : sql`and scope = ${scope}`} returning address`;
