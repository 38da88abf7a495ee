import { createHash, type Hash } from "node:crypto";
import { Readable, Transform } from "node:stream";
import multipart from "@fastify/multipart";
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

/** One CSV file as it arrives. `bytes` must be read to its end, or destroyed, before the next one comes. */
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
 * The CSV files of a request: its whole body, or each file of a multipart form, under any field name; without one, what was typed
 * into the fields.
 * @throws {Refusal} media_type for another body, too_large for a field that should be a file, malformed for a broken form
 */
export async function* uploadsOf(request: FastifyRequest): AsyncGenerator<Upload> {
  const hash = createHash("sha256");
  request.uploadHash = hash;
  if (request.body instanceof Readable) {
    yield { name: "body.csv", bytes: hashed(request.body, hash) };
    return;
  }
  if (!request.isMultipart()) throw unreadable(request);
  const typed: Upload[] = [];
  let files = 0;
  for await (const part of request.parts()) {
    if (part.type === "file") {
      files++;
      yield { name: part.filename || "upload.csv", bytes: hashed(part.file, hash) };
    } else if (typeof part.value === "string" && part.value.trim() !== "") {
      if (part.valueTruncated) throw tooLong(part.fieldname);
      typed.push({ name: part.fieldname, bytes: hashed(Readable.from([Buffer.from(part.value)]), hash) });
    }
  }
  if (files === 0) yield* typed;
}

const tooLong = (field: string) =>
  new Refusal("too_large", { what: `The field ${field}`, size: "larger", max: `${FIELD_BYTES_MAX} bytes in a field (send it as a file)` });

function hashed(source: Readable, hash: Hash): Readable {
  const passed = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  passed.on("error", () => {}); // whoever reads is told; when nobody reads any more, nobody needs to be
  source.on("error", (error) => passed.destroy(error));
  passed.on("close", () => source.unpipe(passed));
  return source.pipe(passed);
}

/** Reads an upload to its end, for nothing but its hash. */
export async function digestUpload(request: FastifyRequest): Promise<void> {
  for await (const { bytes } of uploadsOf(request)) {
    for await (const _chunk of bytes);
  }
}
