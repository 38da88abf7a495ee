import { Refusal } from "../../../rules/refusal.ts";
import { isConnectionLost, type Sql, transaction } from "../../../runtime/postgres.ts";
import type { AudienceDeps } from "../deps.ts";
import { namedList } from "../lists.ts";
import * as store from "./store.ts";

export interface StoreOptions {
  readonly listId: string | null;
  /** Instead of listId: a list of this name, made in the transaction when there is none. */
  readonly listName?: string | undefined;
  readonly read: store.Progress;
  readonly signal?: AbortSignal | undefined;
  /** Runs in the transaction before anybody joins the list; what it throws undoes everything. */
  readonly guard?: ((tx: Sql) => Promise<void>) | undefined;
}

export interface StoredImport extends store.Stored {
  /** How many are new in the list. */
  readonly inserted: number;
}

/**
 * Makes contacts, list members and rejected rows of what is staged, in one transaction: all of a file, or nothing of it. Repeated when
 * Postgres asks for it, and when somebody else stores one of these people at the same time.
 */
export async function storeStaged(ref: store.ImportRef, options: StoreOptions, deps: AudienceDeps): Promise<StoredImport> {
  let result: StoredImport | undefined;
  const attempt = (careful: boolean) => {
    const work = async (tx: Sql) => {
      result = await storeIn(tx, { ref, options, careful, deps });
      return result;
    };
    return transaction(deps.sql, work, deps);
  };
  try {
    return await attempt(false).catch((error) => {
      if (!store.isTaken(error)) throw error;
      return attempt(true);
    });
  } catch (error) {
    // When the answer to COMMIT was lost, the import's row tells whether it was kept.
    if (result === undefined || !isConnectionLost(error)) throw error;
    const [row] = await store.readImport(deps.sql, ref);
    if (row?.state !== "done") throw error;
    return result;
  }
}

interface Attempt {
  readonly ref: store.ImportRef;
  readonly options: StoreOptions;
  /** Somebody else stored one of these people while the last attempt was made. */
  readonly careful: boolean;
  readonly deps: AudienceDeps;
}

async function storeIn(tx: Sql, { ref, options, careful, deps }: Attempt): Promise<StoredImport> {
  const { read, signal, guard, listName } = options;
  const stage = store.stageOf(ref.id);
  await store.beginStoring(tx, ref.workspaceId);
  const [held] = await store.lockImport(tx, ref);
  if (held === undefined) throw lost("it was taken for dead, for it had not been heard of for too long");
  const [staged] = await store.countStaged(tx, stage);
  // A crash of Postgres empties unlogged tables; what was read after it would look like the whole file.
  if (staged?.rows !== read.rows || staged.rejected !== read.rejected) throw lost("Postgres restarted while the file was read");
  signal?.throwIfAborted();
  const persons = read.rows - read.rejected - (await store.foldPersons(tx, stage));
  signal?.throwIfAborted();
  const keys = (["phone", "email"] as const).filter((key) => (key === "phone" ? staged.phones : staged.emails) > 0);
  let stored = 0;
  for (const key of keys) {
    stored += (await store.insertNew(tx, stage, { ...ref, key, now: held.now, careful })).count;
    signal?.throwIfAborted();
  }
  for (const key of stored < persons ? keys : []) {
    await store.updateKnown(tx, stage, { ...ref, key, now: held.now });
    signal?.throwIfAborted();
  }
  await guard?.(tx);
  const listId = listName === undefined ? options.listId : (await namedList(ref.workspaceId, listName, { ...deps, sql: tx })).id;
  const insertMembers = stored === persons ? store.insertNewMembers : store.insertMembers;
  const inserted = listId === null ? 0 : (await insertMembers(tx, stage, { ...ref, listId })).count;
  if (read.rejected > 0) await store.insertRejects(tx, ref, stage);
  const result = { ...read, stored, merged: read.rows - read.rejected - stored };
  await store.endStored(tx, ref, { ...result, listId });
  await store.dropStage(tx, stage);
  signal?.throwIfAborted();
  return { ...result, inserted };
}

const lost = (why: string) =>
  new Refusal("import_unreadable", { cause: `The import was given up: ${why}. Nothing was stored; import the file again.` });
