import type { Readable } from "node:stream";
import type { FastifyRequest } from "fastify";
import type { z } from "zod";
import type { CsvQuery } from "../../contract/contact.ts";
import { REJECTED_SHOWN_MAX, type RecipientsAdded } from "../../contract/recipient.ts";
import { importCsv } from "../../flow/audience/import/import.ts";
import { listRejects } from "../../flow/audience/import/store.ts";
import { assertDraft } from "../../flow/campaign/control.ts";
import type { CampaignRef } from "../../flow/campaign/deps.ts";
import { readCampaign } from "../../flow/campaign/read.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Deps } from "./deps.ts";
import { type PeopleFile, peopleFile } from "./people-csv.ts";
import { isUpload, uploadOf } from "./upload.ts";

type Added = z.infer<typeof RecipientsAdded>;

/**
 * Adds the people of an upload to a draft's own list. Refused before a byte is read when it is no draft, and again within the storing
 * transaction, so nobody comes in once the campaign has been started.
 * @throws {Refusal} campaign_not_found, not_a_draft, malformed (its audience is no upload), and what importCsv throws
 */
export async function addRecipients(
  request: FastifyRequest,
  { ref, csv }: { ref: CampaignRef; csv: z.infer<typeof CsvQuery> },
  deps: Deps,
): Promise<Added> {
  const listId = await ownList(ref, deps);
  const { itemOf = same, ...file } = await fileOf(request);
  const { workspaceId } = ref;
  const guard = (tx: Parameters<typeof assertDraft>[0]) => assertDraft(tx, ref);
  const {
    importId: id,
    inserted,
    rejected: rejectedCount,
  } = await importCsv({ ...file, ...readingOf(csv), workspaceId, listId, bytesMax: deps.config.csvBytesMax, guard }, deps);
  const rejected = rejectedCount === 0 ? [] : await listRejects(deps.sql, { workspaceId, id }, { after: 0, limit: REJECTED_SHOWN_MAX });
  return { inserted, rejected: rejected.map((one) => ({ ...one, line: itemOf(one.line) })), rejectedCount };
}

/** The part of a query that says how a CSV file is to be read; what it does not say is not there. */
export function readingOf({ fileName, country, map }: z.infer<typeof CsvQuery>) {
  const fields = map?.map((pair): [string, string] => [pair.slice(0, pair.lastIndexOf("=")), pair.slice(pair.lastIndexOf("=") + 1)]);
  return {
    ...(fileName === undefined ? {} : { fileName }),
    ...(country === undefined ? {} : { country }),
    ...(fields === undefined ? {} : { map: Object.fromEntries(fields) }),
  };
}

const same = (line: number) => line;

async function fileOf(request: FastifyRequest): Promise<{ fileName: string; source: Readable } & Partial<PeopleFile>> {
  const takesJson = request.routeOptions.schema?.consumes?.includes("application/json") === true;
  const isJson = Array.isArray(request.body) || (takesJson && request.body !== undefined && !isUpload(request));
  if (isJson) return { fileName: "recipients.json", ...peopleFile(request.body) };
  const upload = await uploadOf(request);
  if (!upload) throw new Refusal("file_empty");
  return { fileName: upload.name, source: upload.bytes };
}

async function ownList(ref: CampaignRef, { sql }: Deps): Promise<string> {
  const { state, audienceType, audienceConfig } = await readCampaign(sql, ref);
  if (state !== "draft") throw new Refusal("not_a_draft", { state });
  if (audienceConfig.listId === undefined || (audienceType !== "csv" && audienceType !== "inline")) {
    throw new Refusal("malformed", { cause: `The audience of this campaign is ${audienceType}; recipients are uploaded to one of type csv.` });
  }
  return audienceConfig.listId;
}
