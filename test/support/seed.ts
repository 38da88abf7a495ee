import { randomUUID } from "node:crypto";
import type { Filter } from "../../src/rules/segment.ts";
import type { Sql } from "../../src/runtime/postgres.ts";

/** A workspace with one connected WhatsApp sender, and the cap of 200 that it has for itself. */
export interface Seeded {
  readonly workspaceId: string;
  readonly senderId: string;
  readonly scopeId: string;
}

export async function seedWorkspace(sql: Sql, { cap = 200 }: { cap?: number | null } = {}): Promise<Seeded> {
  const [workspaceId, senderId, scopeId] = [randomUUID(), randomUUID(), randomUUID()];
  await sql`insert into workspace (id, name) values (${workspaceId}, 'Town')`;
  await sql`insert into cap_scope (workspace_id, id, name, cap) values (${workspaceId}, ${scopeId}, 'Portfolio', ${cap})`;
  await sql`
    insert into sender (workspace_id, id, channel, provider, name, external_id, cap_scope_id, connected_at)
    values (${workspaceId}, ${senderId}, 'whatsapp', 'rehearsal', 'Shop', ${senderId}, ${scopeId}, campanile.clock())`;
  return { workspaceId, senderId, scopeId };
}

/** A named list with `size` contacts, `+919000000001` being the first; two lists share theirs. */
export async function seedList(sql: Sql, { workspaceId }: Seeded, size: number): Promise<string> {
  const listId = randomUUID();
  await sql`insert into list (workspace_id, id, name) values (${workspaceId}, ${listId}, ${`List ${listId}`})`;
  await sql`
    with written as (
      insert into contact (workspace_id, id, phone, first_name)
      select ${workspaceId}, gen_random_uuid(), '+91' || (9000000000 + n), 'Person ' || n from generate_series(1, ${size}::int) n
      on conflict (workspace_id, phone) where phone is not null do update set updated_at = excluded.updated_at returning id, phone)
    insert into list_member (workspace_id, list_id, contact_id) select ${workspaceId}, ${listId}, id from written order by phone`;
  return listId;
}

export async function seedSegment(
  sql: Sql,
  { workspaceId }: Pick<Seeded, "workspaceId">,
  filter: Filter = { not: { tag: "nobody" } },
): Promise<string> {
  const id = randomUUID();
  await sql`insert into segment (workspace_id, id, name, filter) values (${workspaceId}, ${id}, ${`Segment ${id}`}, ${sql.json(filter as never)})`;
  return id;
}

/** Stops the clock of this database at an instant. */
export const stopClock = (sql: Sql, at: string) =>
  sql.unsafe(`create or replace function campanile.clock() returns timestamptz language sql volatile as $$ select timestamptz '${at}' $$`);
