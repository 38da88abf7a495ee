import { createHash, type Hash } from "node:crypto";
import { Readable } from "node:stream";
import multipart, { type Multipart } from "@fastify/multipart";
import type { FastifyRequest } from "fastify";
import { Refusal } from "../../rules/refusal.ts";
import type { App } from "./deps.ts";
import { unreadable } from "./problem.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Of the files read so far: what an upload said, whatever boundary its client drew. Null before the first. */
    uploadHash: Hash | null;
  }
}

/** One CSV file as it arrives. */
export interface Upload {
  readonly name: string;
  readonly bytes: Readable;
}

/** A value typed into a form field, without a file, is held in memory; a file never is. */
const FIELD_BYTES_MAX = 1024 * 1024;
const PARTS_MAX = 100;
/** An upload over a slow line, and the storing of what it brought. */
export const UPLOAD_TIMEOUT_MS = 30 * 60_000;

const types = ["text/csv", "text/plain", "application/csv", "application/octet-stream"];
/** How the OpenAPI document names what an upload may be. */
export const uploadTypes = ["multipart/form-data", "text/csv"];

/** Teaches the server to hand CSV bodies through as they come, unparsed and unbuffered. */
export async function acceptUploads(app: App, csvBytesMax: number): Promise<void> {
  app.decorateRequest("uploadHash", null);
  // One byte more than allowed comes through, so that whoever counts them sees that there were too many.
  const limits = { fileSize: csvBytesMax + 1, fieldSize: FIELD_BYTES_MAX, parts: PARTS_MAX };
  await app.register(multipart, { throwFileSizeLimit: false, limits });
  for (const type of types) app.addContentTypeParser(type, (_request, payload, done) => done(null, payload));
}

export const isUpload = (request: FastifyRequest): boolean => request.isMultipart() || request.body instanceof Readable;

/**
 * The CSV file of a request: its whole body, or the one file of a multipart form, under any field name; without one, what was typed into
 * the only field that is not empty. Undefined: the form has none. A form's file ends for its reader only once the whole form has ended
 * well, so whoever stores it then knows that there is no other file and that nothing was cut off.
 * @throws {Refusal} media_type for another body, too_large for a field that should be a file, malformed for a broken form or a second
 * file; the last two also while `bytes` is read
 */
export async function uploadOf(request: FastifyRequest): Promise<Upload | undefined> {
  const hash = createHash("sha256");
  request.uploadHash = hash;
  if (request.body instanceof Readable) return { name: "body.csv", bytes: Readable.from(hashed(request.body, hash)) };
  if (!request.isMultipart()) throw unreadable(request);
  const parts = partsOf(request);
  const typed: { name: string; text: string }[] = [];
  for (let part = await parts.next(); part.done !== true; part = await parts.next()) {
    const { value } = part;
    if (value.type === "file") return { name: value.filename || "upload.csv", bytes: Readable.from(hashed(wholeForm(value.file, parts), hash)) };
    if (typeof value.value !== "string" || value.value.trim() === "") continue;
    if (value.valueTruncated) throw tooLong(value.fieldname);
    typed.push({ name: value.fieldname, text: value.value });
  }
  const [only, second] = typed;
  if (second) throw oneOnly();
  return only && { name: only.name, bytes: Readable.from(hashed([Buffer.from(only.text)], hash)) };
}

const tooLong = (field: string) =>
  new Refusal("too_large", { what: `The field ${field}`, size: "larger", max: `${FIELD_BYTES_MAX} bytes in a field (send it as a file)` });

const oneOnly = () => new Refusal("malformed", { cause: "Send one file per request; this form has several. Nothing was stored." });

const broken = (error: unknown) =>
  error instanceof Refusal
    ? error
    : new Refusal("malformed", {
        cause: `The form cannot be read to its end: ${error instanceof Error ? error.message : String(error)}. Nothing was stored; send it again.`,
      });

/** The parts of a form; one that is broken is the sender's fault. */
async function* partsOf(request: FastifyRequest): AsyncGenerator<Multipart, void> {
  try {
    yield* request.parts();
  } catch (error) {
    throw broken(error);
  }
}

async function* wholeForm(file: Readable, parts: AsyncGenerator<Multipart, void>): AsyncGenerator<Buffer> {
  try {
    yield* file.iterator({ destroyOnReturn: false });
  } catch (error) {
    throw broken(error);
  }
  for (let part = await parts.next(); part.done !== true; part = await parts.next()) if (part.value.type === "file") throw oneOnly();
}

async function* hashed(source: AsyncIterable<Buffer> | Iterable<Buffer>, hash: Hash): AsyncGenerator<Buffer> {
  // Whoever stops reading still answers on the same socket, so a body is never destroyed here.
  for await (const chunk of source instanceof Readable ? source.iterator({ destroyOnReturn: false }) : source) {
    hash.update(chunk);
    yield chunk;
  }
}

/** Reads an upload to its end, for nothing but its hash. */
export async function digestUpload(request: FastifyRequest): Promise<void> {
  const upload = await uploadOf(request);
  if (upload) for await (const _chunk of upload.bytes);
}
