import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Answer } from "./answer.ts";
import { answerControl } from "./control.ts";
import type { Controls } from "./controls.ts";
import { graphFault } from "./errors.ts";
import { answerGraph } from "./graph.ts";
import type { VendorState } from "./state.ts";

const BODY_BYTES_MAX = 1024 * 1024;

export interface ServerOptions {
  readonly host: string;
  readonly port: number;
  /** How long an idle connection stays open; short ones provoke the race of a reused connection that is just closing. */
  readonly keepAliveTimeoutMs: number;
  /** Asked for on `/_control` when set. */
  readonly controlToken: string | null;
}

function write(response: ServerResponse, answer: Answer): void {
  if (answer === "hang" || response.destroyed) return;
  if (answer === "reset") {
    response.socket?.resetAndDestroy();
    return;
  }
  response.writeHead(answer.status, {
    "content-type": answer.type ?? "application/json; charset=UTF-8",
    "content-length": Buffer.byteLength(answer.body),
  });
  response.end(answer.body);
}

/** The whole body, in one piece without a copy when it came in one; nothing is called when the caller leaves before its end. */
function readBody(request: IncomingMessage, whole: (body: Buffer) => void, tooLarge: () => void): void {
  const chunks: Buffer[] = [];
  let size = 0;
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= BODY_BYTES_MAX) chunks.push(chunk);
  });
  request.on("end", () => {
    if (size > BODY_BYTES_MAX) tooLarge();
    else whole(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
  });
}

const isLoopback = (address: string | undefined) => address !== undefined && /^(::1$|(::ffff:)?127\.)/.test(address);

function handler(state: VendorState, controls: Controls, options: ServerOptions) {
  return (request: IncomingMessage, response: ServerResponse) => {
    const begunAt = state.clock.now();
    const { method = "GET", url: target = "/", headers } = request;
    const failed = (error: unknown) => write(response, graphFault(1, `The vendor itself failed: ${String(error)}`));
    request.on("error", () => response.destroy());
    readBody(
      request,
      (body) => {
        const answer = target.startsWith("/_control")
          ? answerControl(controls, {
              method,
              target,
              body,
              allowed: isLoopback(request.socket.remoteAddress),
              authorized: options.controlToken === null || headers.authorization === `Bearer ${options.controlToken}`,
            })
          : answerGraph(state, { method, target, body, begunAt, authorization: headers.authorization, host: headers.host ?? "localhost" });
        answer.then((ready) => write(response, ready), failed);
      },
      () => write(response, graphFault(100, `The request body is larger than ${BODY_BYTES_MAX} bytes.`)),
    );
  };
}

/** Listens; resolves once connections are accepted. */
export function listen(state: VendorState, controls: Controls, options: ServerOptions): Promise<Server> {
  const server = createServer({ keepAliveTimeout: options.keepAliveTimeoutMs, noDelay: true }, handler(state, controls, options));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => resolve(server));
  });
}
