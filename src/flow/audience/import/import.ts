import { Refusal } from "../../../rules/refusal.ts";
import { isConnectionLost, type Sql } from "../../../runtime/postgres.ts";
import type { AudienceDeps } from "../deps.ts";
import { countryOf } from "../given.ts";
import { type Beats, beating, type ImportProgress } from "./beating.ts";
import { piecesOf } from "./pieces.ts";
import { type FileFacts, type ReadingOptions, readingOf } from "./reading.ts";
import { stagingOf } from "./staging.ts";
import * as store from "./store.ts";
import { type StoredImport, storeStaged } from "./storing.ts";

const BYTES_MAX = 4 * 2 ** 30;
const GIVE_UP_TRIES = 5;

export interface ImportRequest {
  readonly workspaceId: string;
  /** The file's bytes. Read to its end, or told to stop. */
  readonly source: AsyncIterable<Uint8Array | string>;
  readonly fileName: string;
  /** The list its people join, in the file's order. */
  readonly listId?: string | undefined;
  /** Instead of listId: the list of this name, made together with what is stored when there is none. */
  readonly listName?: string | undefined;
  /** ISO 3166 alpha-2: where a number without a country code is from. */
  readonly country?: string | undefined;
  /** Column (header, or number from 1) → phone, email, firstName, lastName, name, company, timeZone, an attribute's name, or `-`. */
  readonly map?: Readonly<Record<string, string>> | undefined;
  /** The channel whose address decides about a row; whatsapp unless given. */
  readonly channel?: "whatsapp" | "email" | undefined;
  readonly bytesMax?: number | undefined;
  /** Cancels: nothing is stored. */
  readonly signal?: AbortSignal | undefined;
  /** About once a second, and at the end. */
  readonly onProgress?: ((progress: ImportProgress) => void) | undefined;
  /** Runs in the storing transaction before anybody joins the list, so the caller can hold what must not change until then. */
  readonly guard?: ((tx: Sql) => Promise<void>) | undefined;
}

/** rows = stored + merged + rejected. A cancelled import stored nothing: all are 0. */
export interface ImportResult extends StoredImport {
  readonly importId: string;
  readonly state: "done" | "cancelled";
  /** How the file was understood; null when it was cancelled. */
  readonly file: FileFacts | null;
}

/**
 * Imports a CSV file of contacts. Rows that cannot be used are rejected one by one, with line, value and reason, and do not stop the
 * others. A fault after which rows would be misread stops the import, and nothing of it is stored; nor is anything of a cancelled one.
 *
 * A contact is its phone; without one, its e-mail. Rows of one person, in this file or already stored, are merged in order: what a later
 * row says replaces what was known, what it leaves empty stays, attributes by name.
 *
 * Memory is bounded by the pieces it is read in, not by the file: rows go through a staging table.
 * @throws {Refusal} import_unreadable, file_empty, too_large, malformed (country), not_found (list), and what `guard` throws
 */
export async function importCsv(request: ImportRequest, deps: AudienceDeps): Promise<ImportResult> {
  return runImport(await openImport(request, deps), request, deps);
}

/** The first half of importCsv(), for whoever answers with the import's id and lets it run: it can be read from now on. */
export async function openImport(request: ImportRequest, { sql, luck }: AudienceDeps): Promise<string> {
  const { workspaceId, country, listId = null, fileName } = request;
  countryOf(country);
  if (listId !== null && (await store.hasList(sql, workspaceId, listId)).length === 0) throw new Refusal("not_found", { what: "list", id: listId });
  const id = luck.uuid();
  await store.insertImport(sql, { workspaceId, id }, { listId, fileName: fileName.replaceAll("\0", "").slice(0, 255) });
  return id;
}

/** The second half of importCsv(). */
export async function runImport(id: string, request: ImportRequest, deps: AudienceDeps): Promise<ImportResult> {
  const ref = { workspaceId: request.workspaceId, id };
  const beats = beating(ref, request.onProgress ?? (() => {}), deps);
  try {
    await store.createStage(deps.sql, store.stageOf(id));
    const { file, read } = await stage(ref, { request, beats, deps });
    const { listId = null, listName, signal, guard } = request;
    const stored = await storeStaged(ref, { listId, listName, read, signal, guard }, deps);
    beats.report("ended");
    return { importId: id, state: "done", file, ...stored };
  } catch (error) {
    const cancelled = request.signal?.aborted === true && error === request.signal.reason;
    await giveUp(ref, cancelled ? { state: "cancelled", cause: null } : { state: "failed", cause: causeOf(error) }, deps);
    if (!cancelled) throw error;
    return { importId: id, state: "cancelled", file: null, rows: 0, stored: 0, merged: 0, rejected: 0, bytes: 0, inserted: 0 };
  } finally {
    await beats.end();
  }
}

/** Reads the file into the staging table. */
async function stage(ref: store.ImportRef, { request, beats, deps }: { request: ImportRequest; beats: Beats; deps: AudienceDeps }) {
  const { source, signal, bytesMax = BYTES_MAX } = request;
  const staging = stagingOf((batch) => store.copyIntoStage(deps.sql, store.stageOf(ref.id), batch));
  const reading = readingOf(readingOptions(request), staging);
  let bytes = 0;
  for await (const piece of piecesOf(source, signal)) {
    bytes += piece.length;
    if (bytes > bytesMax) throw new Refusal("too_large", { what: "The file", size: "larger", max: `${bytesMax} bytes` });
    reading.push(piece);
    beats.progress = { ...reading.counts(), bytes };
    await staging.drain();
  }
  const file = reading.end();
  beats.progress = { ...reading.counts(), bytes };
  await staging.end();
  // From here on the storing transaction holds the import's row; a beat would only wait for it.
  await beats.end();
  beats.report("storing");
  return { file, read: beats.progress };
}

function readingOptions({ country: given, map, channel }: ImportRequest): ReadingOptions {
  const country = countryOf(given);
  return {
    ...(country === undefined ? {} : { country }),
    ...(map === undefined ? {} : { map }),
    ...(channel === undefined ? {} : { channel }),
  };
}

const causeOf = (error: unknown): string =>
  error instanceof Refusal
    ? error.message
    : `It broke off: ${error instanceof Error ? error.message : String(error)}. Nothing was stored; import the file again.`;

/**
 * Says how an import ended that stored nothing. Tried again when the connection is lost: the one that failed the import may be handed
 * out once more before its end is noticed. When the database cannot be told, its silence will: failStaleImports() says the rest.
 */
async function giveUp(ref: store.ImportRef, end: { state: "cancelled" | "failed"; cause: string | null }, { sql }: AudienceDeps): Promise<void> {
  for (let tries = 0; tries < GIVE_UP_TRIES; tries++) {
    try {
      await store.endUnstored(sql, ref, end);
      await store.dropStage(sql, store.stageOf(ref.id));
      return;
    } catch (error) {
      // The error that brought us here is the one to be thrown.
      if (!isConnectionLost(error)) return;
    }
  }
}
