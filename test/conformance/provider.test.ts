import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Parcel } from "../../src/flow/provider/port.ts";
import { SEND_TIMEOUT_MS } from "../../src/rules/limits.ts";
import { formatReference } from "../../src/rules/reference.ts";
import { type Fate, rehearsalRig, type World, whatsappRig } from "./rigs.ts";

const campaignId = randomUUID();
let positions = 0;

function parcel(): Parcel {
  const position = ++positions;
  return {
    reference: formatReference({ campaignId, stage: 1, position, attempt: 1 }),
    address: `+9198765${String(position).padStart(5, "0")}`,
    message: {
      type: "template",
      name: "hello_campanile",
      language: "en_US",
      components: [{ type: "body", parameters: [{ type: "text", text: "Ana" }] }],
    },
  };
}

const never = new AbortController().signal;

for (const rig of [whatsappRig, rehearsalRig]) {
  describe(`${rig.name} keeps the promises of a provider`, () => {
    let world: World;
    beforeAll(async () => {
      world = await rig.start();
    });
    afterAll(() => world.stop());

    const sent = async (one: Parcel) => (await world.left()).filter((reference) => reference === one.reference).length;
    const decided = (fate: Fate): Parcel => {
      const one = parcel();
      world.decide(one.address, fate);
      return one;
    };

    test("an accepted message has the vendor's name for it, and the vendor has our reference", async () => {
      const one = decided("accept");
      expect(await world.provider.send(one, never)).toMatchObject({ kind: "accepted", providerRef: expect.stringMatching(/.{8,}/) });
      expect(await sent(one)).toBe(1);
    });

    test("a refused message is known not to have been sent", async () => {
      const one = decided("refuse");
      expect(await world.provider.send(one, never)).toMatchObject({ kind: "rejected", code: "131026", remedy: "fail" });
      expect(await sent(one)).toBe(0);
    });

    test.each([
      ["throttle", "sender"],
      ["throttlePair", "recipient"],
    ] as const)("being limited (%s) slows the %s and is known not to have been sent", async (fate, scope) => {
      const one = decided(fate);
      expect(await world.provider.send(one, never)).toMatchObject({ kind: "throttled", scope, retryAfterMs: expect.any(Number) });
      expect(await sent(one)).toBe(0);
    });

    test.each(["unavailable", "reset", "garbage", "missingId", "flood"] as const)(
      "%s is uncertain, whether it was accepted or not, and nothing is sent again",
      async (fault) => {
        for (const [fate, times] of [
          [fault, 0],
          [`${fault}Accepted`, 1],
        ] as const) {
          const one = decided(fate);
          expect(await world.provider.send(one, never)).toMatchObject({ kind: "uncertain" });
          expect(await sent(one)).toBe(times);
        }
      },
    );

    test.each(["timeout", "timeoutAccepted"] as const)("a hang (%s) is uncertain, never a throw", async (fate) => {
      const one = decided(fate);
      const abort = new AbortController();
      const outcome = world.provider.send(one, abort.signal);
      await begun(world, one, fate);
      abort.abort();
      expect(await outcome).toMatchObject({ kind: "uncertain" });
      expect(await sent(one)).toBe(fate === "timeout" ? 0 : 1);
    });

    test("an abort before the first byte is known not to have been sent", async () => {
      const one = decided("accept");
      expect(await world.provider.send(one, AbortSignal.abort())).toMatchObject({ kind: "throttled", code: "aborted", scope: "sender" });
      expect(await sent(one)).toBe(0);
    });

    test("fifty at once are fifty, each once", async () => {
      const parcels = Array.from({ length: 50 }, parcel);
      const outcomes = await Promise.all(parcels.map((one) => world.provider.send(one, never)));
      expect(outcomes.filter((outcome) => outcome.kind === "accepted")).toHaveLength(50);
      expect(new Set(outcomes.map((outcome) => (outcome.kind === "accepted" ? outcome.providerRef : ""))).size).toBe(50);
      const left = await world.left();
      for (const one of parcels) expect(left.filter((reference) => reference === one.reference)).toHaveLength(1);
    });
  });
}

/** Until the vendor has the message: in its ledger, or, when it takes none, one other message has made the way and back. */
async function begun(world: World, one: Parcel, fate: Fate): Promise<void> {
  if (fate === "timeout") await world.provider.send(parcel(), never);
  else while (!(await world.left()).includes(one.reference)) await new Promise((resolve) => setImmediate(resolve));
}

test("an answer that does not come within the limit is uncertain, by the clock", async () => {
  const world = await whatsappRig.start();
  try {
    const one = parcel();
    world.decide(one.address, "timeoutAccepted");
    const outcome = world.provider.send(one, never);
    await begun(world, one, "timeoutAccepted");
    await world.clock.pass(SEND_TIMEOUT_MS - 1);
    expect(await Promise.race([outcome, "still waiting"])).toBe("still waiting");
    await world.clock.pass(1);
    expect(await outcome).toEqual({ kind: "uncertain", code: "no_answer", cause: "No answer within 10000 ms." });
  } finally {
    await world.stop();
  }
});
