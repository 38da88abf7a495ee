import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A webhook as it came. */
export interface Received {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Undefined: no answer at all. */
type Script = (received: Received, number: number) => Answer | undefined;

/** A receiver of webhooks over real HTTP; it ends with its test. */
export interface Receiver {
  readonly url: string;
  readonly received: readonly Received[];
  /** What it answers from now on; 204 to all in the beginning. */
  answers(script: Script): void;
}

export async function openReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  let script: Script = () => ({});
  const server = createServer((request, response) => {
    void read(request).then((one) => {
      received.push(one);
      answer(response, script(one, received.length));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    answers(next) {
      script = next;
    },
  };
}

async function read(request: IncomingMessage): Promise<Received> {
  let body = "";
  for await (const chunk of request.setEncoding("utf8")) body += chunk;
  return { path: request.url ?? "", headers: request.headers as Record<string, string>, body };
}

function answer(response: ServerResponse, given: Answer | undefined): void {
  if (given !== undefined) response.writeHead(given.status ?? 204, given.headers).end(given.body);
}
