import { Refusal } from "../../rules/refusal.ts";
import { type Filter, readFilter, referencesOf } from "../../rules/segment.ts";
import { type Sql, transaction } from "../../runtime/postgres.ts";
import type { Contact } from "./contact-store.ts";
import type { AudienceDeps } from "./deps.ts";
import { faulty } from "./given.ts";
import { isTaken } from "./import/store.ts";
import { afterId, isId, limitOf, type Page, type PageQuery, pageOf } from "./page.ts";
import * as store from "./segment-store.ts";

/** Contacts shown beside a count. */
const SAMPLE_MAX = 20;

export interface NewSegment {
  readonly name: string;
  /** A filter of rules/segment.ts, in whatever shape it came. */
  readonly filter: unknown;
}

/** @throws {Refusal} malformed (filter, name taken), not_found (a list or campaign of the filter) */
export async function createSegment(workspaceId: string, { name, filter: given }: NewSegment, { sql, luck }: AudienceDeps): Promise<store.Segment> {
  const id = luck.uuid();
  const filter = filterOf(given);
  await assertKnown(sql, workspaceId, filter);
  await store.insertSegment(sql, { workspaceId, id }, { name, filter });
  const [segment] = await store.readNamed(sql, workspaceId, name);
  if (segment?.id !== id) throw taken(name);
  return segment;
}

/** @throws {Refusal} not_found */
export async function readSegment(sql: Sql, ref: store.SegmentRef): Promise<store.Segment> {
  const [segment] = isId(ref.id) ? await store.readSegment(sql, ref) : [];
  if (segment === undefined) throw notFound(ref.id);
  return segment;
}

/** Segments by name. */
export async function listSegments(sql: Sql, workspaceId: string, { cursor, limit }: PageQuery): Promise<Page<store.Segment>> {
  const rows = await store.listSegments(sql, workspaceId, { after: cursor ?? "", limit: limitOf(limit) + 1 });
  return pageOf(rows, limitOf(limit), ({ name }) => name);
}

/**
 * Changes what is given. A campaign that is planned keeps the recipients it has; one that is not is planned by the new filter.
 * @throws {Refusal} not_found, malformed
 */
export async function updateSegment(
  ref: store.SegmentRef,
  edit: { readonly name?: string | undefined; readonly filter?: unknown },
  deps: AudienceDeps,
): Promise<store.Segment> {
  const given = edit.filter === undefined ? undefined : filterOf(edit.filter);
  const changed = transaction(
    deps.sql,
    async (tx) => {
      const known = await locked(tx, ref);
      const { name = known.name } = edit;
      const filter = given ?? known.filter;
      if (given !== undefined) await assertKnown(tx, ref.workspaceId, given);
      const [segment] = await store.updateSegment(tx, ref, { name, filter });
      if (segment === undefined) throw taken(name);
      return segment;
    },
    deps,
  );
  return changed.catch((error: unknown) => {
    throw isTaken(error) ? taken(edit.name ?? "") : error; // two at a time
  });
}

/** @throws {Refusal} not_found, in_use: a campaign that is not planned yet needs it */
export function deleteSegment(ref: store.SegmentRef, deps: AudienceDeps): Promise<void> {
  return transaction(
    deps.sql,
    async (tx) => {
      const { id, name } = await locked(tx, ref);
      const [campaign] = await store.readNeeding(tx, ref);
      if (campaign !== undefined) throw new Refusal("in_use", { what: `segment ${name}`, id, by: `campaign ${campaign.name} (${campaign.id})` });
      await store.deleteSegment(tx, ref);
    },
    deps,
  );
}

/** A page of the contacts a segment has now. @throws {Refusal} not_found, malformed (cursor) */
export async function listSegmentContacts(sql: Sql, ref: store.SegmentRef, { cursor, limit }: PageQuery): Promise<Page<Contact>> {
  const { filter } = await readSegment(sql, ref);
  const rows = await store.listChosen(sql, ref.workspaceId, { filter, after: afterId(cursor), limit: limitOf(limit) + 1 });
  return pageOf(rows, limitOf(limit), ({ id }) => id);
}

/** How many contacts a filter has, stored or not, and the first of them. @throws {Refusal} malformed, not_found (a list or campaign) */
export async function countSegment(sql: Sql, workspaceId: string, given: unknown): Promise<{ count: number; sample: readonly Contact[] }> {
  const filter = filterOf(given);
  await assertKnown(sql, workspaceId, filter);
  const [counted] = await store.countChosen(sql, workspaceId, filter);
  const sample = await store.listChosen(sql, workspaceId, { filter, after: null, limit: SAMPLE_MAX });
  return { count: counted?.count ?? 0, sample };
}

function filterOf(given: unknown): Filter {
  const read = readFilter(given);
  if (!read.ok) throw faulty(read.faults);
  return read.filter;
}

/** What a filter names is there, and of this workspace. */
async function assertKnown(sql: Sql, workspaceId: string, filter: Filter): Promise<void> {
  const references = referencesOf(filter);
  const idsOf = (kind: string) => references.filter((one) => one.kind === kind).map(({ id }) => id);
  const [lists, campaigns] = [idsOf("list"), idsOf("campaign")];
  const known = new Set([
    ...(lists.length === 0 ? [] : await store.readKnownLists(sql, workspaceId, lists)).map(({ id }) => id),
    ...(campaigns.length === 0 ? [] : await store.readKnownCampaigns(sql, workspaceId, campaigns)).map(({ id }) => id),
  ]);
  const missing = references.filter(({ id }) => !known.has(id));
  const [first] = missing;
  if (first === undefined) return;
  const faults = missing.map(({ kind, id, path }) => ({ path, message: `There is no ${kind} ${id} in this workspace.` }));
  throw new Refusal("not_found", { what: first.kind, id: first.id }, faults);
}

async function locked(tx: Sql, ref: store.SegmentRef): Promise<store.Segment> {
  const [segment] = isId(ref.id) ? await store.lockSegment(tx, ref) : [];
  if (segment === undefined) throw notFound(ref.id);
  return segment;
}

const notFound = (id: string) => new Refusal("not_found", { what: "segment", id: id.slice(0, 100) });
const taken = (name: string) => faulty([{ path: "name", message: `There is a segment ${name} already; give this one another name.` }]);
