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
import { uploadsOf } from "./upload.ts";

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
  let added: Added | undefined;
  for await (const file of filesOf(request)) {
    const { workspaceId } = ref;
    const guard = (tx: Parameters<typeof assertDraft>[0]) => assertDraft(tx, ref);
    const {
      importId: id,
      inserted,
      rejected: rejectedCount,
    } = await importCsv({ ...file, ...readingOf(csv), workspaceId, listId, bytesMax: deps.config.csvBytesMax, guard }, deps);
    const rejected = rejectedCount === 0 ? [] : await listRejects(deps.sql, { workspaceId, id }, { after: 0, limit: REJECTED_SHOWN_MAX });
    added = plus(added, { inserted, rejected: [...rejected], rejectedCount });
  }
  if (!added) throw new Refusal("file_empty");
  return added;
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

async function* filesOf(request: FastifyRequest): AsyncGenerator<{ fileName: string; source: Readable; map?: PeopleFile["map"] }> {
  if (Array.isArray(request.body)) yield { fileName: "recipients.json", ...peopleFile(request.body) };
  else for await (const { name: fileName, bytes: source } of uploadsOf(request)) yield { fileName, source };
}

async function ownList(ref: CampaignRef, { sql }: Deps): Promise<string> {
  const { state, audienceType, audienceConfig } = await readCampaign(sql, ref);
  if (state !== "draft") throw new Refusal("not_a_draft", { state });
  if (audienceConfig.listId === undefined || (audienceType !== "csv" && audienceType !== "inline")) {
    throw new Refusal("malformed", { cause: `The audience of this campaign is ${audienceType}; recipients are uploaded to one of type csv.` });
  }
  return audienceConfig.listId;
}

const plus = (sum: Added | undefined, one: Added): Added =>
  sum === undefined
    ? one
    : {
        inserted: sum.inserted + one.inserted,
        rejected: [...sum.rejected, ...one.rejected].slice(0, REJECTED_SHOWN_MAX),
        rejectedCount: sum.rejectedCount + one.rejectedCount,
      };
