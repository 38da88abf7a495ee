import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import {
  BEGIN,
  deliver,
  makeCampaign,
  makeSender,
  recorded,
  referenceTo,
  type SentCampaign,
  status,
  webhook,
} from "../../../test/support/receipts.ts";
import { implied, type ReceiptKind } from "../../rules/receipt.ts";
import { connect, type Database } from "../../runtime/postgres.ts";
import { applyReceipts } from "./apply.ts";

let db: FreshDatabase;
let other: Database;

beforeAll(async () => {
  db = await freshDatabase();
  other = connect(db.url, { max: 3 });
});
afterAll(async () => {
  await other.end({ timeout: 1 });
  await db.drop();
});

interface Fact {
  readonly position: number;
  readonly attempt: number;
  readonly kind: Exclude<ReceiptKind, "replied">;
  readonly after: number;
}

const fact: fc.Arbitrary<Fact> = fc.record({
  position: fc.integer({ min: 1, max: 3 }),
  attempt: fc.integer({ min: 1, max: 2 }),
  kind: fc.constantFrom("sent", "delivered", "read", "failed"),
  after: fc.integer({ min: 0, max: 50 }),
});

/** Some facts, and a history in which each of them is reported at least once, in any order, in webhooks of any size. */
const history = fc.array(fact, { minLength: 1, maxLength: 14 }).chain((facts) =>
  fc.record({
    facts: fc.constant(facts),
    reports: fc
      .array(fc.nat(facts.length - 1), { maxLength: 30 })
      .chain((repeated) => fc.shuffledSubarray([...facts.keys(), ...repeated], { minLength: facts.length + repeated.length })),
    cuts: fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 10 }),
    limit: fc.integer({ min: 1, max: 5 }),
  }),
);

/** What must stand there, computed the plain way. */
function expectation(facts: readonly Fact[]) {
  const first = new Map<string, Fact>();
  for (const one of facts) {
    const key = `${one.position}/${one.attempt} ${one.kind}`;
    if (one.after <= (first.get(key)?.after ?? Number.POSITIVE_INFINITY)) first.set(key, one);
  }
  const rows = [...first.entries()].map(([key, { after }]) => `${key} +${after}`);
  const counts: Record<string, number> = {};
  for (const kind of ["delivered", "failed", "read", "sent"] as const) {
    const messages = new Set(facts.filter((one) => implied[one.kind].includes(kind)).map(({ position }) => position));
    if (messages.size > 0) counts[kind] = messages.size;
  }
  return { receipts: rows.sort(), counts };
}

async function applyBy(sql: Database, limit: number) {
  while ((await applyReceipts(sql, limit)) > 0);
}

const sorted = ({ receipts, counts }: { receipts: string[]; counts: Record<string, number> }) => ({ receipts: [...receipts].sort(), counts });

const statusOf = (campaign: SentCampaign, { position, attempt, kind, after }: Fact) =>
  status(`wamid.${position}.${attempt}`, kind, { after, biz_opaque_callback_data: referenceTo(campaign, position, attempt) });

test("any order and any repetition, by two appliers at once, give the same receipts and counts", { timeout: 60_000 }, async () => {
  const sender = await makeSender(db.sql, "phone-1");
  await fc.assert(
    fc.asyncProperty(history, async ({ facts, reports, cuts, limit }) => {
      const campaign = await makeCampaign(db.sql, sender, ["+16505551231", "+16505551232", "+16505551233"]);
      const left = reports.flatMap((index) => facts[index] ?? []);
      for (let i = 0; left.length > 0; i++) {
        const statuses = left.splice(0, cuts[i % cuts.length]).map((one) => statusOf(campaign, one));
        await deliver(db.sql, [sender.phoneNumberId], webhook(sender.phoneNumberId, { statuses }));
        if (i % 4 === 3) await applyReceipts(db.sql, limit);
      }
      await Promise.all([applyBy(db.sql, limit), applyBy(other, limit)]);
      expect(sorted(await recorded(db.sql, campaign))).toEqual(expectation(facts));
    }),
    { numRuns: 40 },
  );
});

test("four appliers race for 200 webhooks that speak of the same 50 messages of two campaigns", { timeout: 30_000 }, async () => {
  const senders = [await makeSender(db.sql, "phone-2"), await makeSender(db.sql, "phone-3")];
  const addresses = Array.from({ length: 50 }, (_, i) => `+16505552${String(i).padStart(3, "0")}`);
  const campaigns = await Promise.all(senders.map((sender) => makeCampaign(db.sql, sender, addresses)));
  const kinds = ["read", "sent", "delivered", "failed"] as const;
  const statusesOf = (campaign: SentCampaign, i: number) =>
    addresses.map((_, p) =>
      statusOf(campaign, { position: ((p + i) % 50) + 1, attempt: (i % 3) + 1, kind: kinds[(i + 2 * p) % 4] ?? "sent", after: i + p }),
    );
  const webhooks = Array.from({ length: 200 }, (_, i) => {
    const parts = campaigns.map((campaign) => webhook(campaign.phoneNumberId, { statuses: statusesOf(campaign, i) }).entry);
    return { entry: (i % 2 === 0 ? parts : parts.reverse()).flat() };
  });
  await deliver(db.sql, ["phone-2", "phone-3"], ...webhooks);
  await Promise.all([applyBy(db.sql, 7), applyBy(other, 3), applyBy(db.sql, 5), applyBy(other, 11)]);
  for (const campaign of campaigns) {
    expect((await recorded(db.sql, campaign)).counts).toEqual({ sent: 50, delivered: 50, read: 50, failed: 50 });
    const [rows] = await db.sql<{ count: number; first: number }[]>`
      select count(*)::int, min(extract(epoch from at) - ${BEGIN})::int as first from receipt where campaign_id = ${campaign.campaignId}`;
    expect(rows).toEqual({ count: 600, first: 0 });
  }
  expect(await db.sql`select state, count(*)::int from inbox group by state`).toEqual([{ state: "done", count: expect.any(Number) }]);
});
