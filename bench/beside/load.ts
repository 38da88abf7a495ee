/** Who sends to the contender's door, in a process of its own. What can be made ready is made before the clock starts. */
import { createHmac } from "node:crypto";
import { createReadStream } from "node:fs";
import { Pool, request } from "undici";
import { formatReference } from "../../src/rules/reference.ts";
import { answerAll } from "../beside.ts";

export type LoadQuestion =
  | { readonly do: "sign"; readonly n: number; readonly secret: string }
  | { readonly do: "post"; readonly url: string }
  | { readonly do: "upload"; readonly url: string; readonly key: string; readonly path: string };

export interface LoadAnswer {
  /** Answered with 200 or 201. */
  readonly taken: number;
  readonly said: string;
}

const CONNECTIONS = 50;
const PATH = "/webhooks/whatsapp";
const CAMPAIGN = "00000000-0000-4000-8000-0000000000c1";
let signed: { readonly body: Buffer; readonly signature: string }[] = [];

/** One receipt of one message, as Meta tells it. */
const webhook = (position: number) => ({
  object: "whatsapp_business_account",
  entry: [{ id: "102290129340398", changes: [{ field: "messages", value: receiptOf(position) }] }],
});

const receiptOf = (position: number) => ({
  messaging_product: "whatsapp",
  metadata: { display_phone_number: "15550783881", phone_number_id: "106540352242922" },
  statuses: [
    {
      id: `wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI${String(position).padStart(12, "0")}AA==`,
      status: "delivered",
      timestamp: "1750258800",
      recipient_id: "919810000000",
      biz_opaque_callback_data: formatReference({ campaignId: CAMPAIGN, stage: 1, position, attempt: 1 }),
      pricing: { billable: true, pricing_model: "PMP", category: "marketing" },
    },
  ],
});

function sign(n: number, secret: string): void {
  signed = Array.from({ length: n }, (_, at) => {
    const body = Buffer.from(JSON.stringify(webhook(at + 1)));
    return { body, signature: `sha256=${createHmac("sha256", secret).update(body).digest("hex")}` };
  });
}

async function postAll(url: string): Promise<number> {
  const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1 });
  let [next, taken] = [0, 0];
  const lane = async () => {
    for (let one = signed[next++]; one !== undefined; one = signed[next++]) {
      const headers = { "content-type": "application/json", "x-hub-signature-256": one.signature };
      const { statusCode, body } = await pool.request({ method: "POST", path: PATH, headers, body: one.body });
      await body.dump();
      if (statusCode === 200) taken++;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  await pool.close();
  return taken;
}

answerAll<LoadQuestion, LoadAnswer>(async (question) => {
  if (question.do === "sign") sign(question.n, question.secret);
  if (question.do === "post") return { taken: await postAll(question.url), said: "" };
  if (question.do !== "upload") return { taken: 0, said: "" };
  const headers = { authorization: `Bearer ${question.key}`, "content-type": "text/csv" };
  const body = createReadStream(question.path, { highWaterMark: 262_144 });
  const answer = await request(question.url, { method: "POST", headers, body, headersTimeout: 0, bodyTimeout: 0 });
  return { taken: answer.statusCode === 201 ? 1 : 0, said: await answer.body.text() };
});
