import { expect, test } from "vitest";
import { credentialKey } from "../../src/flow/provider/credentials.ts";
import { openProviders } from "../../src/flow/provider/open.ts";
import { type SenderDeps, updateSender } from "../../src/flow/provider/sender.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { busiest } from "../support/crew.ts";
import { phoneOf, type Town } from "../support/town.ts";
import { everybody, openTown, positionsOf, work } from "./scene.ts";

const DAY_MS = 86_400_000;

function setCap(place: Town, cap: number, senderId = place.senderId) {
  const keys = [credentialKey("a secret of this test only")] as const;
  const deps: SenderDeps = { sql: place.sql, luck: systemLuck, keys, providers: openProviders({ sql: place.sql, clock: place.clock, keys }) };
  return updateSender({ workspaceId: place.workspaceId, id: senderId }, { cap }, deps);
}
const usedOf = async (place: Town) => (await place.sql<{ used: number }[]>`select used from cap_scope`)[0]?.used;

test("a cap that is lowered below what is used lets nobody more through until enough of it is free again", { timeout: 60_000 }, async () => {
  const place = await openTown({ perSecond: 4, cap: 20 });
  await place.campaign({ recipients: 30 });
  const hands = work(place, { sweepMs: DAY_MS / 12 });
  await place.clock.pass(3_000);
  const before = hands.sent.length;
  expect(before).toBeGreaterThan(8);
  await setCap(place, 5);
  await place.clock.pass(DAY_MS / 2);
  expect(hands.sent.length).toBeLessThanOrEqual(before + 1);
  expect(await usedOf(place)).toBe(hands.sent.length);
  await place.clock.pass(DAY_MS);
  const later = hands.sent.slice(before + 1);
  expect(later.length).toBeGreaterThan(0);
  expect(busiest(later, DAY_MS)).toBeLessThanOrEqual(5);
  await place.sql`update cap_scope set cap = 20`; // for the check: it cannot know that the cap was higher when they were written to
});

test("a cap that is raised is used at once, by every sender that shares it, and by messages that were to be tried again", async () => {
  const place = await openTown({ cap: 5 });
  const refused = { kind: "rejected", code: "1", cause: "try again", remedy: "retry" } as const;
  const id = await place.campaign({ recipients: 12 });
  const hands = work(place, {
    sweepMs: 10_000,
    outcome: ({ campaignId, position, attempt }) => (campaignId === id && position === 3 && attempt === 1 ? refused : undefined),
  });
  await place.clock.pass(60_000);
  expect(positionsOf(hands)).toEqual(everybody(6));
  const other = crypto.randomUUID();
  await place.sql`insert into sender (workspace_id, id, channel, provider, name, external_id, cap_scope_id, connected_at)
    values (${place.workspaceId}, ${other}, 'whatsapp', 'rehearsal', 'other', ${other}, ${place.scopeId}, campanile.clock())`;
  await place.sql`insert into pace (owner_id, per_second, next_at) values (${other}, 20, campanile.clock())`;
  const theirs = await place.campaign({ recipients: 3, addressOf: (position) => phoneOf(100 + position) });
  await place.sql`update campaign set sender_id = ${other} where id = ${theirs}`;
  await place.clock.pass(20_000);
  expect(hands.sent).toHaveLength(6);

  await setCap(place, 100);
  await place.clock.pass(30_000);
  expect(hands.sent.filter(({ campaignId }) => campaignId === theirs)).toHaveLength(3);
  expect(positionsOf({ sent: hands.sent.filter(({ campaignId }) => campaignId !== theirs) })).toEqual([1, 2, 3, 3, ...everybody(12).slice(3)]);
  expect(await usedOf(place)).toBe(15);
});
