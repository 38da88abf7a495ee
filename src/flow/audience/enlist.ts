import { type GivenPerson, type Person, readPerson } from "../../rules/person.ts";
import type { FieldFault } from "../../rules/refusal.ts";
import type { Sql } from "../../runtime/postgres.ts";
import * as store from "./enlist-store.ts";
import { insertMembers } from "./list-store.ts";

/** People stored by one statement. */
const CHUNK_PEOPLE = 1_000;

/**
 * Puts people, as a request gives them, into a list within the caller's transaction, in their order. Nothing is stored when one of them
 * cannot be: every fault is returned, its path beginning with the person's place (`3.phone`). The same person twice is one; what is said
 * later goes first.
 */
export async function enlist(
  tx: Sql,
  { workspaceId, listId }: { workspaceId: string; listId: string },
  people: readonly GivenPerson[],
): Promise<readonly FieldFault[]> {
  const { distinct, faults } = readPeople(people);
  if (faults.length > 0) return faults;
  const ids = new Map<string, string>();
  for (const key of ["phone", "email"] as const) {
    const known = [...distinct.values()].filter((person) => (key === "phone") === Boolean(person.phone));
    for (let at = 0; at < known.length; at += CHUNK_PEOPLE) {
      const rows = await store.upsertPeople(tx, { workspaceId, seed: listId, key }, known.slice(at, at + CHUNK_PEOPLE));
      for (const row of rows) ids.set(row.key, row.id);
    }
  }
  await insertMembers(
    tx,
    { workspaceId, id: listId },
    [...distinct.keys()].flatMap((key) => ids.get(key) ?? []),
  );
  return [];
}

function readPeople(people: readonly GivenPerson[]): { distinct: Map<string, Person>; faults: FieldFault[] } {
  const faults: FieldFault[] = [];
  const distinct = new Map<string, Person>();
  for (const [place, given] of people.entries()) {
    const { person, faults: own } = readPerson(given);
    const key = person.phone ?? person.email ?? null;
    for (const { path, message } of own) faults.push({ path: `${place}.${path}`, message });
    if (key === null && own.length === 0) faults.push({ path: `${place}.phone`, message: "Give a phone or an e-mail address." });
    if (key !== null) distinct.set(key, merged(distinct.get(key), person));
  }
  return { distinct, faults };
}

function merged(known: Person | undefined, person: Person): Person {
  if (known === undefined) return person;
  const said = Object.entries(person).filter(([, value]) => value !== null && value !== undefined);
  return { ...known, ...Object.fromEntries(said), attributes: { ...known.attributes, ...person.attributes } };
}
