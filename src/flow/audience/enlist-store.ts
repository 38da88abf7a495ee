import type { Person } from "../../rules/person.ts";
import type { Sql } from "../../runtime/postgres.ts";

/**
 * Stores people, each with that key and none twice, as contacts: merged with who they already are as an import does it. A new contact's
 * id follows from `seed` and its address (a UUID of version 8), so enlisting needs no luck and repeating it changes nothing.
 */
export const upsertPeople = (
  tx: Sql,
  { workspaceId, seed, key }: { workspaceId: string; seed: string; key: "phone" | "email" },
  people: readonly Person[],
) => tx<{ id: string; key: string }[]>`
  insert into contact as c (workspace_id, id, phone, email, first_name, last_name, company, time_zone, attributes)
  select ${workspaceId}, overlay(overlay(md5(${seed} || p.${tx(key)}) placing '8' from 13) placing 'a' from 17)::uuid,
    p.phone, p.email, p."firstName", p."lastName", p.company, p."timeZone", coalesce(p.attributes, '{}')
  from jsonb_to_recordset(${tx.json(people as never)}::jsonb) as p (phone text, email text, "firstName" text, "lastName" text, company text, "timeZone" text, attributes jsonb)
  order by p.${tx(key)} collate "C"
  on conflict ${key === "phone" ? tx`(workspace_id, phone) where phone is not null` : tx`(workspace_id, email) where phone is null`}
  do update set email = coalesce(excluded.email, c.email), first_name = coalesce(excluded.first_name, c.first_name),
    last_name = coalesce(excluded.last_name, c.last_name), company = coalesce(excluded.company, c.company),
    time_zone = coalesce(excluded.time_zone, c.time_zone), attributes = c.attributes || excluded.attributes, updated_at = campanile.clock()
  returning id, ${tx(key)} as key`;
