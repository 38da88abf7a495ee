import { Readable } from "node:stream";
import type { App } from "../http/deps.ts";
import { Failed, WrongUsage } from "./world.ts";

interface Call {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  /** Sent as JSON; a stream is sent as a CSV file. */
  readonly body?: object | Readable;
}

/** The REST API, as commands use it: over the network, or without one in a house of our own. The same words either way. */
export interface Api {
  /** @throws {Failed} with the server's own sentence when it refuses */
  call<T>(call: Call): Promise<T>;
}

const headersOf = (body: Call["body"], key: string) => ({
  authorization: `Bearer ${key}`,
  ...(body === undefined ? {} : { "content-type": body instanceof Readable ? "text/csv" : "application/json" }),
});

/** The API of a server elsewhere. */
export function remoteApi(url: string, key: string): Api {
  if (!URL.canParse(url)) throw new WrongUsage(`--url is ${url}; it must be an address such as http://127.0.0.1:8080.`);
  return {
    async call<T>({ method, path, body }: Call): Promise<T> {
      const sent =
        body === undefined ? {} : body instanceof Readable ? { body: Readable.toWeb(body), duplex: "half" } : { body: JSON.stringify(body) };
      const answer = await fetch(new URL(path, url), { method, headers: headersOf(body, key), ...sent } as RequestInit).catch((error: unknown) => {
        throw new Failed(`${url} does not answer: ${causeOf(error)}. Is the server running there?`);
      });
      return read<T>(answer.status, await answer.text());
    },
  };
}

/** The API of this very process. */
export function localApi(app: App, key: string): Api {
  return {
    async call<T>({ method, path, body }: Call): Promise<T> {
      const payload = body === undefined ? {} : { payload: body instanceof Readable ? body : JSON.stringify(body) };
      const answer = await app.inject({ method, url: path, headers: headersOf(body, key), ...payload });
      return read<T>(answer.statusCode, answer.payload);
    },
  };
}

function read<T>(status: number, text: string): T {
  const answer = parse(text);
  if (status >= 400) throw new Failed(sentenceOf(answer) ?? `The server answered ${status}: ${text.slice(0, 200)}`);
  return answer as T;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

interface Problem {
  readonly detail?: string;
  readonly errors?: readonly { readonly path: string; readonly message: string }[];
}

function sentenceOf(answer: unknown): string | undefined {
  if (typeof answer !== "object" || answer === null) return undefined;
  const { detail, errors = [] } = answer as Problem;
  if (detail === undefined) return undefined;
  const more = errors.map(({ path, message }) => `${path}: ${message}`).filter((line) => !detail.includes(line));
  return [detail, ...more.map((line) => `  ${line}`)].join("\n");
}

const causeOf = (error: unknown): string => {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message || ("code" in cause ? String(cause.code) : cause.name) : String(cause);
};
