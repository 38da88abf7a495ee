import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";
import { onTestFinished } from "vitest";
import { formatReference } from "../../src/rules/reference.ts";
import { startVendor, type Vendor, type VendorOptions } from "../../vendor/main.ts";

export const START = new Date("2026-11-22T08:00:00.000Z");
export const CAMPAIGN = "12345678-1234-4321-8765-123456789abc";

/** A clock that stands still until it is passed by hand. */
export function stoppedClock() {
  let at = START.getTime();
  return {
    now: () => new Date(at),
    pass(ms: number) {
      at += ms;
    },
  };
}

/** A vendor that ends with its test: a clock that stands still, no limits, everybody answers the phone. */
export async function testVendor(options: VendorOptions = {}): Promise<Vendor> {
  const { settings = {}, ...rest } = options;
  const vendor = await startVendor({
    clock: { now: () => START },
    ...rest,
    settings: { ...settings, limits: { throughput: null, ...settings.limits }, mix: { successRate: 1, ...settings.mix } },
  });
  onTestFinished(() => vendor.stop());
  return vendor;
}

export const reference = (position: number, { stage = 1, attempt = 1 } = {}) => formatReference({ campaignId: CAMPAIGN, stage, position, attempt });

export const textTo = (to: string, extra: Readonly<Record<string, unknown>> = {}) => ({
  messaging_product: "whatsapp",
  recipient_type: "individual",
  to,
  type: "text",
  text: { body: "Hello" },
  ...extra,
});

export const bodyOf = (...values: string[]) => ({ type: "body", parameters: values.map((text) => ({ type: "text", text })) });

export const templateTo = (to: string, template: Readonly<Record<string, unknown>> = {}, extra: Readonly<Record<string, unknown>> = {}) => ({
  messaging_product: "whatsapp",
  recipient_type: "individual",
  to,
  type: "template",
  template: { name: "hello_campanile", language: { code: "en_US" }, components: [bodyOf("Ada")], ...template },
  ...extra,
});

export interface Called {
  readonly status: number;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test reads whatever the wire brought, and says so in its expectation
  readonly json: any;
}

interface Calling {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly body?: unknown;
  readonly token?: string | null;
}

/** One call of the wire, Graph or control. A string is sent as it is. */
export async function call(vendor: Pick<Vendor, "url" | "token">, path: string, calling: Calling = {}): Promise<Called> {
  const { method = calling.body === undefined ? "GET" : "POST", body, token = vendor.token } = calling;
  const answer = await request(`${vendor.url}${path}`, {
    method,
    headers: { "content-type": "application/json", ...(token === null ? {} : { authorization: `Bearer ${token}` }) },
    body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
  });
  const text = await answer.body.text();
  try {
    return { status: answer.statusCode, text, json: JSON.parse(text) };
  } catch {
    return { status: answer.statusCode, text, json: undefined };
  }
}

export const send = (vendor: Vendor, body: unknown) => call(vendor, `/v23.0/${vendor.phoneNumberId}/messages`, { body });

/** The message id of an accepted send. */
export async function sendOk(vendor: Vendor, body: unknown): Promise<string> {
  const answer = await send(vendor, body);
  if (answer.status !== 200) throw new Error(`Refused: ${answer.status} ${answer.text}`);
  return String(answer.json.messages[0].id);
}

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly raw: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: see Called
  readonly json: any;
}

/** A webhook receiver that keeps what it got. It answers 200, or what `answer` says. */
export async function receiver(answer: (received: Received, count: number) => number | Promise<number> = () => 200) {
  const received: Received[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", async () => {
      const url = new URL(incoming.url ?? "/", "http://receiver");
      if (incoming.method === "GET") {
        response.end(url.searchParams.get("hub.verify_token") === "verify-me" ? url.searchParams.get("hub.challenge") : "no");
        return;
      }
      const raw = Buffer.concat(chunks);
      const got = { headers: incoming.headers, raw, json: JSON.parse(raw.toString()) };
      received.push(got);
      response.statusCode = await answer(got, received.length);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const values = () => received.flatMap(({ json }) => json.entry.flatMap((entry: { changes: unknown[] }) => entry.changes));
  return {
    target: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhooks/whatsapp`, appSecret: "app_secret" },
    received,
    /** Every `changes[]` element, in the order they came. */
    changes: values,
    statuses: () => values().flatMap(({ value }) => value.statuses ?? []),
    messages: () => values().flatMap(({ value }) => value.messages ?? []),
  };
}
