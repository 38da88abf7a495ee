/** The simulated WhatsApp of this repository, in a process of its own. It keeps its ledger in memory: what it costs is not what is measured. */
import { startVendor, type Vendor } from "../../vendor/main.ts";
import { answerAll } from "../beside.ts";

export type VendorQuestion = { readonly do: "start"; readonly latencyMs: number } | { readonly do: "count" };

export interface VendorAnswer {
  readonly url: string;
  readonly token: string;
  readonly phoneNumberId: string;
  readonly accepted: number;
  readonly duplicates: number;
}

let vendor: Vendor | undefined;

answerAll<VendorQuestion, VendorAnswer>(async (question) => {
  if (question.do === "start") {
    const latencyMs: [number, number] = [question.latencyMs, question.latencyMs];
    vendor = await startVendor({ settings: { limits: { throughput: null }, mix: { successRate: 1, latencyMs } } });
  }
  if (vendor === undefined) throw new Error("the vendor was asked before it was started");
  const { url, token, phoneNumberId } = vendor;
  const { accepted, duplicates } = await vendor.ledger();
  return { url, token, phoneNumberId, accepted, duplicates };
});
