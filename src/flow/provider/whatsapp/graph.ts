import type { Dispatcher } from "undici";
import { Refusal } from "../../../rules/refusal.ts";
import { whatsappCode } from "../../../rules/whatsapp-codes.ts";

/** A page of a hundred templates has some hundred kilobytes. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

/** Where the Graph API is asked about an account: `path` is `<base path>/<version>`. */
export interface GraphDoor {
  readonly pool: Dispatcher;
  readonly path: string;
  readonly accessToken: string;
}

export type Shape = Readonly<Record<string, unknown>>;

/**
 * Asks the Graph API; only for reading, nothing is repeated.
 * @throws {Refusal} `provider_refused` with what happened and what to do; `not_available` when there is no answer
 */
export async function askGraph(door: GraphDoor, path: string): Promise<Shape> {
  const { status, body } = await get(door, path);
  const answer = parse(body);
  const error = shapeOf(answer["error"]);
  if (error !== null) throw new Refusal("provider_refused", { cause: inWords(error) });
  if (status < 200 || status > 299)
    throw new Refusal("not_available", { cause: `The provider answered with status ${status} and nothing that can be read.` });
  return answer;
}

async function get({ pool, path: base, accessToken }: GraphDoor, path: string): Promise<{ status: number; body: string }> {
  try {
    const { statusCode, body } = await pool.request({ method: "GET", path: `${base}/${path}`, headers: { authorization: `Bearer ${accessToken}` } });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.byteLength;
      if (bytes > ANSWER_BYTES_MAX) throw new Error(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`);
      chunks.push(chunk);
    }
    return { status: statusCode, body: Buffer.concat(chunks).toString("utf8") };
  } catch (error) {
    const cause = error instanceof AggregateError ? error.errors.at(-1) : error;
    throw new Refusal("not_available", { cause: `The provider cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}.` });
  }
}

function parse(body: string): Shape {
  try {
    return shapeOf(JSON.parse(body)) ?? {};
  } catch {
    return {};
  }
}

export const shapeOf = (value: unknown): Shape | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Shape) : null;

/** An access token in Meta's words is masked. */
function inWords(error: Shape): string {
  const code = Number(error["code"]);
  const entry = whatsappCode(code);
  const said = String(error["message"] ?? "").replace(/\bEAA\w+/g, "EAA…");
  const isUnknownObject = code === 100 && Number(error["error_subcode"]) === 33;
  if (isUnknownObject) return `This phone number id or account id does not exist, or the token may not see it (${said}).`;
  return entry ? `${entry.sentence} ${entry.next} (Code ${code}: ${said})` : `${said} (code ${error["code"]})`;
}
