import { expect, test } from "vitest";
import { resume } from "../../src/flow/campaign/control.ts";
import { connectSender } from "../../src/flow/provider/sender.ts";
import { HORIZON_MS } from "../../src/rules/limits.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { fleet } from "../support/fleet.ts";
import { campaignOf, SECOND_MS, statesOf } from "./judge.ts";

const PER_SECOND = 20;
const WAY_MS = 200;
/** What can be on its way, marked, or just coming back when the first refusal is known: and nothing after that. */
const CALLS_MAX = Math.ceil((PER_SECOND * (HORIZON_MS + 2 * WAY_MS)) / 1_000);

test("a sender that the vendor blocks: its four campaigns pause with the reason, nobody fails, and all goes on when it is mended", async () => {
  const { place, vendor, sender, senders, sail, nudge } = await fleet({
    engines: 4,
    wayMs: () => WAY_MS,
    expected: /refuses this sender/,
  });
  const senderId = await sender({ perSecond: PER_SECOND });
  const ids: string[] = [];
  for (let i = 0; i < 4; i++) ids.push(await place.campaign({ senderId, recipients: 40, lotSize: 20 }));
  sail();
  const blocks = [
    {
      code: "190",
      reason: /Access token has expired/,
      block: () => vendor.setToken(vendor.token, "expired"),
      mend: () => vendor.setToken(vendor.token, "valid"),
    },
    { code: "131031", reason: /Account has been locked/, block: () => vendor.block(131031), mend: () => vendor.block(null) },
    { code: "368", reason: /Temporarily blocked/, block: () => vendor.block(368), mend: () => vendor.block(null) },
  ];
  for (const { code, reason, block, mend } of blocks) {
    await place.clock.pass(1.2 * SECOND_MS);
    const accepted = vendor.stats().accepted;
    block();
    await place.clock.pass(10 * SECOND_MS);
    for (const id of ids) expect(await campaignOf(place, id)).toMatchObject({ state: "paused", pauseReason: expect.stringMatching(reason) });
    expect(vendor.stats().accepted).toBe(accepted);
    expect(vendor.stats().refused[code]).toBeGreaterThan(0);
    expect(vendor.stats().refused[code]).toBeLessThanOrEqual(CALLS_MAX);
    const { accepted: told, queued, ...others } = await statesOf(place, ids);
    expect({ told, others }).toEqual({ told: accepted, others: {} });
    expect(queued).toBeGreaterThanOrEqual(vendor.stats().refused[code] ?? 0);

    mend();
    await connectSender({ workspaceId: place.workspaceId, id: senderId }, senders);
    for (const id of ids)
      await resume({ workspaceId: place.workspaceId, id }, { atOnce: false }, { sql: place.sql, clock: place.clock, luck: systemLuck });
    nudge();
  }
  await place.clock.pass(20 * SECOND_MS);
  for (const id of ids)
    expect(await campaignOf(place, id)).toMatchObject({ state: "completed", statement: { accepted: 40, failed: 0, uncertain: 0 } });
  expect(await vendor.ledger()).toMatchObject({ accepted: 160, duplicates: 0 });
  expect((await vendor.ledgerLines()).every(({ attempt }) => attempt === 1)).toBe(true);
});
