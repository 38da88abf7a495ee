import { Pool } from "undici";
import { formatReference } from "../../src/rules/reference.ts";
import type { VendorAnswer, VendorQuestion } from "../beside/vendor.ts";
import { startBeside } from "../beside.ts";
import { type Contender, companyOf, firstNameOf, phoneOf, textFor } from "../contender.ts";

const CAMPAIGN = "00000000-0000-4000-8000-0000000000c1";

const bodyOf = (position: number) =>
  JSON.stringify({
    messaging_product: "whatsapp",
    recipient_type: "individual",
    to: phoneOf(position),
    type: "text",
    text: { preview_url: false, body: textFor(firstNameOf(position), companyOf(position)) },
    biz_opaque_callback_data: formatReference({ campaignId: CAMPAIGN, stage: 1, position, attempt: 1 }),
  });

/**
 * Nothing but HTTP: `undici.request` over `inFlight` connections, the same bodies to the same vendor, each answer read to its end. No
 * database, nothing recorded, nobody kept from being written to twice.
 */
export const contender: Contender = {
  async open({ n, options }) {
    const beside = startBeside<VendorQuestion, VendorAnswer>("vendor");
    const { url, token, phoneNumberId } = await beside.ask({ do: "start", latencyMs: options.latencyMs ?? 0 });
    const lanes = options.inFlight ?? 50;
    const pool = new Pool(url, { connections: lanes, pipelining: 1 });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const path = `/v25.0/${phoneNumberId}/messages`;
    let next = 1;
    const lane = async () => {
      for (let position = next++; position <= n; position = next++) {
        const { statusCode, body } = await pool.request({ method: "POST", path, headers, body: bodyOf(position) });
        await body.text();
        if (statusCode !== 200) throw new Error(`the vendor answered with ${statusCode}`);
      }
    };
    return {
      work: async () => void (await Promise.all(Array.from({ length: lanes }, lane))),
      async count() {
        const { accepted, duplicates } = await beside.ask({ do: "count" });
        if (duplicates > 0) throw new Error(`the vendor's ledger has ${duplicates} duplicates`);
        return accepted;
      },
      async close() {
        await pool.close();
        beside.end();
      },
    };
  },
};
