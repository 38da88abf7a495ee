import { Refusal } from "../../rules/refusal.ts";
import type { Sql } from "../../runtime/postgres.ts";
import type { AudienceDeps } from "./deps.ts";
import * as store from "./list-store.ts";
import { isId, limitOf, type Page, type PageQuery, pageOf } from "./page.ts";

const NAME_MAX = 200;

/** The list of this name, made when there is none. @throws {Refusal} malformed */
export async function namedList(
  workspaceId: string,
  name: string,
  { sql, luck }: Pick<AudienceDeps, "luck"> & { readonly sql: Sql },
): Promise<store.List & { readonly created: boolean }> {
  const wanted = name.trim();
  if (wanted === "" || wanted.length > NAME_MAX) {
    const message = `A list's name has 1 to ${NAME_MAX} characters.`;
    throw new Refusal("malformed", { cause: message }, [{ path: "name", message }]);
  }
  const made = await store.insertNamed(sql, { workspaceId, id: luck.uuid() }, wanted);
  const [list] = await store.readNamed(sql, workspaceId, wanted);
  if (list === undefined) throw new Error(`the list ${wanted} is gone as soon as it was made`);
  return { ...list, created: made.count === 1 };
}

/** A campaign's own list: whoever is uploaded to it. Made when there is none. */
export async function campaignList(workspaceId: string, campaignId: string, { sql, luck }: AudienceDeps): Promise<store.List> {
  await store.insertOwn(sql, { workspaceId, id: luck.uuid() }, { campaignId, name: `Campaign ${campaignId}` });
  const [list] = await store.readOwn(sql, workspaceId, campaignId);
  if (list === undefined) throw new Refusal("campaign_not_found", { id: campaignId });
  return list;
}

/** @throws {Refusal} not_found */
export async function readList(sql: Sql, ref: store.ListRef): Promise<store.List> {
  const [list] = isId(ref.id) ? await store.readList(sql, ref) : [];
  if (list === undefined) throw new Refusal("not_found", { what: "list", id: ref.id.slice(0, 100) });
  return list;
}

/** The named list with this name; null when there is none. */
export const findList = async (sql: Sql, workspaceId: string, name: string): Promise<store.List | null> =>
  (await store.readNamed(sql, workspaceId, name.trim()))[0] ?? null;

/** Named lists by name. */
export async function listLists(sql: Sql, workspaceId: string, { cursor, limit }: PageQuery): Promise<Page<store.List>> {
  const rows = await store.listNamed(sql, workspaceId, { after: cursor ?? "", limit: limitOf(limit) + 1 });
  return pageOf(rows, limitOf(limit), ({ name }) => name);
}

/** Adds contacts to a list in the order given. Returns how many are new in it. @throws {Refusal} not_found (list) */
export async function addToList(sql: Sql, ref: store.ListRef, contactIds: readonly string[]): Promise<number> {
  await readList(sql, ref);
  return (await store.insertMembers(sql, ref, contactIds.filter(isId))).count;
}

/** @throws {Refusal} not_found: no such list, or not in it */
export async function removeFromList(sql: Sql, ref: store.ListRef, contactId: string): Promise<void> {
  await readList(sql, ref);
  const gone = isId(contactId) ? await store.deleteMember(sql, ref, contactId) : [];
  if (gone.length === 0) throw new Refusal("not_found", { what: "member", id: contactId.slice(0, 100) });
}
