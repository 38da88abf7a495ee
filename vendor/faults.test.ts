import { request } from "undici";
import { describe, expect, test } from "vitest";
import { call, reference, send, sendOk, testVendor, textTo } from "../test/support/vendor.ts";
import { faultAnswer } from "./answer.ts";
import type { Vendor } from "./main.ts";
import type { FaultName } from "./settings.ts";

const TO = "+16505551234";
const withFault = (name: FaultName) => testVendor({ settings: { mix: { faults: { [name]: 1 } } } });

const attempt = async (vendor: Vendor, signal: AbortSignal | null): Promise<string> => {
  try {
    const answer = await request(`${vendor.url}/v23.0/${vendor.phoneNumberId}/messages`, {
      method: "POST",
      headers: { authorization: `Bearer ${vendor.token}`, "content-type": "application/json" },
      body: JSON.stringify(textTo(TO)),
      signal,
    });
    return `${answer.statusCode} ${/"id":"wamid/.test(await answer.body.text()) ? "with id" : "without id"}`;
  } catch (error) {
    const { name, code } = error as Error & { code?: string };
    return name === "AbortError" ? name : String(code);
  }
};

describe.each([
  ["reset", /^(ECONNRESET|UND_ERR_SOCKET)$/],
  ["unavailable", /^50[0234] without id$/],
  ["garbage", /^200 without id$/],
  ["missingId", /^200 without id$/],
] as const)("%s", (name, shown) => {
  test.each([
    [name, 0],
    [`${name}Accepted`, 1],
  ] as const)("%s: %i in the ledger", async (fault, accepted) => {
    const vendor = await withFault(fault);
    expect(await attempt(vendor, null)).toMatch(shown);
    expect(await vendor.ledger()).toMatchObject({ accepted });
    expect(vendor.stats().faults).toEqual({ [fault]: 1 });
    expect(vendor.pendingWebhooks()).toBe(0);
  });
});

test.each([
  ["timeout", 0],
  ["timeoutAccepted", 1],
] as const)("%s: silence for as long as the caller waits, %i in the ledger", async (fault, accepted) => {
  const vendor = await withFault(fault);
  const patience = new AbortController();
  let answered = false;
  const silent = attempt(vendor, patience.signal).finally(() => {
    answered = true;
  });
  while (vendor.stats().faults[fault] === undefined) await call(vendor, `/v23.0/${vendor.phoneNumberId}`);
  expect(await vendor.ledger()).toMatchObject({ accepted });
  expect(answered).toBe(false);
  patience.abort();
  expect(await silent).toBe("AbortError");
});

test("every face of every fault can be written, and none names a message", () => {
  for (const kind of ["unavailable", "garbage", "missingId", "flood"] as const) {
    for (let luck = 0; luck < 1; luck += 0.05) {
      const answer = faultAnswer({ kind, accepted: true, luck });
      expect(typeof answer).toBe("object");
      if (typeof answer === "string") continue;
      expect(answer.status >= 500).toBe(kind === "unavailable");
      expect(answer.body).not.toMatch(/"id":"wamid/);
      if (kind === "flood") expect(answer.body.length).toBe(10 * 1024 * 1024);
    }
  }
});

test("a flood arrives whole", async () => {
  const vendor = await withFault("flood");
  const answer = await send(vendor, textTo(TO));
  expect(answer.text.length).toBe(10 * 1024 * 1024);
});

test.each([
  ["rateLimit", 130429],
  ["pairLimit", 131056],
] as const)("%s: the same message is throttled a few times, then taken; others have their own count", async (fault, code) => {
  const vendor = await testVendor({ settings: { mix: { faults: { [fault]: 1 }, throttleTimesMax: 3 } } });
  const tries = async (position: number) => {
    for (let refused = 0; ; refused++) {
      const answer = await send(vendor, textTo(`+1650555${1000 + position}`, { biz_opaque_callback_data: reference(position) }));
      if (answer.status === 200) return refused;
      expect(answer).toMatchObject({ status: 400, json: { error: { code } } });
    }
  };
  const refusals = await Promise.all(Array.from({ length: 30 }, (_, position) => tries(position)));
  expect(new Set(refusals)).toEqual(new Set([1, 2, 3]));
  expect(await vendor.ledger()).toMatchObject({ accepted: 30, duplicates: 0 });
});

test("a slow answer was accepted before others overtake it", async () => {
  const vendor = await testVendor();
  vendor.script({ phone: TO, mix: { latencyMs: [50, 50] } });
  const order: string[] = [];
  const sent = (to: string) => sendOk(vendor, textTo(to)).then(() => order.push(to));
  const slow = sent(TO);
  while ((await vendor.ledger()).accepted === 0) await call(vendor, `/v23.0/${vendor.phoneNumberId}`);
  await sent("+16505550001");
  await slow;
  expect(order).toEqual(["+16505550001", TO]);
  expect(await vendor.ledgerLines()).toMatchObject([{ to: TO }, { to: "+16505550001" }]);
});

test("a connection the vendor closes while idle is closed without harm to the next call", async () => {
  const vendor = await testVendor({ keepAliveTimeoutMs: 1 });
  for (let i = 0; i < 5; i++) await sendOk(vendor, textTo(TO));
  expect(await vendor.ledger()).toMatchObject({ accepted: 5 });
});
