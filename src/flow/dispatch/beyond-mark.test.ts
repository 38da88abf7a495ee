import { afterEach, beforeEach, expect, test } from "vitest";
import { crew } from "../../../test/support/crew.ts";
import { type Town, town } from "../../../test/support/town.ts";
import { formatReference } from "../../rules/reference.ts";
import { believeReceipts } from "./beyond-mark.ts";

let place: Town;
let said: string[];
beforeEach(async () => {
  place = await town();
  said = [];
});
afterEach(() => place.close());

const believe = () => believeReceipts(async (what) => void said.push(what), { sql: place.sql });

async function receive(id: string, position: number, kind = "delivered"): Promise<void> {
  const ref = `rehearsal.${formatReference({ campaignId: id, stage: 1, position, attempt: 1 })}`;
  await place.sql`insert into receipt (campaign_id, stage, position, attempt, kind, at, provider_ref) values (${id}, 1, ${position}, 1, ${kind}, campanile.clock(), ${ref})`;
  for (const counted of kind === "delivered" ? ["sent", "delivered"] : ["sent", "delivered", kind])
    await place.sql`insert into receipt_count as c (campaign_id, stage, kind, messages) values (${id}, 1, ${counted}, 1)
      on conflict (campaign_id, stage, kind) do update set messages = c.messages + 1`;
}

const states = async (id: string) =>
  place.sql<{ state: string; positions: number[] }[]>`
    select state, array_agg(position order by position) as positions from message where campaign_id = ${id} group by state order by state`;

test("receipts for people beyond the mark stop everything; they, and those before them in their lot, are not written to again", async () => {
  const id = await place.campaign({ recipients: 60, lotSize: 30 });
  await place.sql`update campaign set state = 'paused' where id = ${id}`;
  await receive(id, 12);
  await receive(id, 9);
  expect(await believe()).toBe(12);
  expect(said).toEqual([expect.stringContaining(`position 12 of campaign ${id}`)]);
  expect(await states(id)).toEqual([
    { state: "accepted", positions: [9, 12] },
    { state: "uncertain", positions: [1, 2, 3, 4, 5, 6, 7, 8, 10, 11] },
  ]);
  expect(await believe()).toBe(0);
  expect(said.length).toBe(1);

  await place.sql`update campaign set state = 'running' where id = ${id}`;
  const hands = crew(place);
  await place.clock.pass(5_000);
  await hands.stop();
  expect(hands.sent.map(({ position }) => position).sort((a, b) => a - b)).toEqual(Array.from({ length: 48 }, (_, i) => i + 13));
});

test("once it was accepted that the database went back, receipts that come later are believed, and stop nothing", async () => {
  const id = await place.campaign({ recipients: 30 });
  await place.sql`insert into regression (what, noticed_at, accepted_at) values ('an older backup', campanile.clock(), campanile.clock())`;
  await receive(id, 5);
  expect(await believe()).toBe(5);
  expect(said).toEqual([]);
});

test("a lot that somebody holds is left to its holder; everything stops all the same", async () => {
  const id = await place.campaign({ recipients: 30 });
  await place.sql`update lot set holder = gen_random_uuid(), lease_until = campanile.clock() + interval '20 seconds', handed = 2 where campaign_id = ${id}`;
  await receive(id, 5);
  expect(await believe()).toBe(0);
  expect(said.length).toBe(1);
  await place.sql`update lot set holder = null, lease_until = null, handed = 0 where campaign_id = ${id}`;
  expect(await believe()).toBe(5);
});

test("receipts up to the mark, before our own record or after the end, prove nothing; nor do replies", async () => {
  const id = await place.campaign({ recipients: 30 });
  await receive(id, 20, "replied");
  const hands = crew(place, { latencyMs: 300 });
  await place.clock.pass(100);
  expect(hands.sent.length).toBe(10);
  for (const { position } of hands.sent) await receive(id, position); // before our own record
  expect(await believe()).toBe(0);
  await place.clock.pass(10_000);
  await hands.stop();
  expect(await believe()).toBe(0);
  expect(said).toEqual([]);
});
