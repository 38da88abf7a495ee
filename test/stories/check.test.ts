import { afterAll, beforeAll, expect, describe as group, test } from "vitest";
import { check, describe, type Violation } from "../../src/flow/check/check.ts";
import { invariants } from "../../src/flow/check/invariants.ts";
import type { Provider } from "../../src/flow/provider/port.ts";
import { insertReceipts, lockCounts, type NewReceipt } from "../../src/flow/receipt/store.ts";
import type { Sql } from "../../src/runtime/postgres.ts";
import { type Town, type TownEngine, town } from "../support/town.ts";
import { workday } from "../support/workday.ts";

/** Ended, with one recipient of every fate: 1–4 accepted, 5 after a retry, 6 refused, 7 without an address, 8 in doubt. */
let ended: string;
/** In the middle: 1–10 are accepted, the lot 11–20 is free. */
let open: string;
/** In doubt for a moment, sent again, accepted at last. */
let resent: string;
let place: Town;
let engine: TownEngine;

const fates: Record<string, (calls: number) => "uncertain" | "refused" | "again" | undefined> = {
  "+919876500005": (calls) => (calls === 1 ? "again" : undefined),
  "+919876500006": () => "refused",
  "+919876500008": () => "uncertain",
  "+919876500201": (calls) => (calls === 1 ? "uncertain" : undefined),
};

function provider(): Provider {
  const calls = new Map<string, number>();
  return {
    name: "rehearsal",
    async send({ address, reference }) {
      const count = (calls.get(address) ?? 0) + 1;
      calls.set(address, count);
      const fate = fates[address]?.(count);
      if (fate === "uncertain") return { kind: "uncertain", code: "no_answer", cause: "The connection was reset." };
      if (fate === undefined) return { kind: "accepted", providerRef: `ref.${reference}` };
      return { kind: "rejected", code: "1", cause: "No.", remedy: fate === "again" ? "retry" : "fail" };
    },
  };
}

const phone = (base: number) => (position: number) => `+9198765${String(base + position).padStart(5, "0")}`;

beforeAll(async () => {
  place = await town({ cap: 100 });
  engine = place.engine(provider());
  const { sql, clock, campaign } = place;
  ended = await campaign({ recipients: 8, lotSize: 4, addressOf: (position) => (position === 7 ? null : phone(0)(position)) });
  await clock.until(workday(engine, () => isOver(ended)));
  resent = await campaign({ recipients: 1, onUncertain: "resend", addressOf: phone(200) });
  await clock.until(workday(engine, () => isOver(resent)));
  open = await campaign({ recipients: 20, lotSize: 10, addressOf: phone(100) });
  await sql`update lot set due_at = 'infinity' where campaign_id = ${open} and first = 11`;
  await clock.until(workday(engine, async () => (await engine.sql`select from lot where campaign_id = ${open}`).length === 1));
  const said = (position: number, kind: NewReceipt["kind"]): NewReceipt => ({
    campaignId: ended,
    stage: 1,
    position,
    attempt: 1,
    kind,
    at: clock.now().toISOString(),
    providerRef: null,
    code: null,
    cause: null,
  });
  await lockCounts(sql, [{ campaignId: ended, stage: 1 }]);
  await insertReceipts(sql, [said(1, "sent"), said(1, "delivered"), said(2, "read"), said(3, "failed"), said(4, "replied")]);
});

afterAll(async () => {
  await engine.kill();
  await place.close();
});

const isOver = async (id: string) => (await engine.sql`select from campaign where id = ${id} and state = 'completed'`).length === 1;

async function all(sql: Sql, scope = {}): Promise<Violation[]> {
  const violations: Violation[] = [];
  for await (const violation of check(sql, scope)) violations.push(violation);
  return violations;
}

class Undo extends Error {}

/** What is found after a corruption, which is undone. */
async function after(corrupt: (sql: Sql) => Promise<unknown>): Promise<Violation[]> {
  let violations: Violation[] = [];
  const undone = place.sql.begin(async (sql) => {
    await corrupt(sql);
    violations = await all(sql);
    throw new Undo();
  });
  await expect(undone).rejects.toThrow(Undo);
  return violations;
}

const withoutConstraint = async (sql: Sql, table: string, name: string) => {
  await sql`alter table ${sql(table)} drop constraint ${sql(name)}`;
};

type Corruption = readonly [invariants: readonly string[], what: string, corrupt: (sql: Sql) => Promise<unknown>];
const corruptions: readonly Corruption[] = [
  [
    ["positions-are-gapless", "messages-go-to-recipients", "the-statement-adds-up"],
    "a recipient is deleted",
    (sql) => sql`delete from recipient where campaign_id = ${ended} and position = 3`,
  ],
  [
    ["positions-are-gapless", "lots-are-legal"],
    "total_recipients is changed",
    (sql) => sql`update campaign set total_recipients = 19 where id = ${open}`,
  ],
  [
    ["everybody-has-an-outcome", "counters-equal-rows", "the-statement-adds-up"],
    "a message is deleted",
    (sql) => sql`delete from message where campaign_id = ${ended} and position = 2`,
  ],
  [["everybody-is-in-hand"], "a lot is deleted", (sql) => sql`delete from lot where campaign_id = ${open}`],
  [["a-free-lot-forgets-nobody"], "a mark is raised", (sql) => sql`update lot set handed = 12 where campaign_id = ${open}`],
  [
    ["nothing-is-beyond-the-mark", "counters-equal-rows", "the-cap-counts-everybody"],
    "an outcome appears beyond the mark",
    (sql) =>
      sql`insert into message (campaign_id, stage, position, attempt, state, provider_ref, at) values (${open}, 1, 15, 1, 'accepted', 'x', campanile.clock())`,
  ],
  [
    ["messages-go-to-recipients", "counters-equal-rows", "the-statement-adds-up"],
    "a message goes to a position that is not there",
    (sql) =>
      sql`insert into message (campaign_id, stage, position, attempt, state, provider_ref, at) values (${ended}, 1, 9, 1, 'accepted', 'x', campanile.clock())`,
  ],
  [
    ["messages-are-legal"],
    "an accepted message loses its reference",
    async (sql) => {
      await withoutConstraint(sql, "message", "accepted_has_ref");
      await sql`update message set provider_ref = null where campaign_id = ${ended} and position = 1`;
    },
  ],
  [
    ["messages-are-legal", "counters-equal-rows"],
    "a message is in no known state",
    async (sql) => {
      await withoutConstraint(sql, "message", "message_state_check");
      await sql`update message set state = 'lost' where campaign_id = ${open} and position = 1`;
    },
  ],
  [["attempts-are-kept"], "an attempt is deleted", (sql) => sql`delete from attempt where campaign_id = ${ended} and position = 5`],
  [
    ["nobody-is-sent-to-twice"],
    "a receipt speaks of another attempt",
    async (sql) => {
      await sql`update receipt set attempt = 2 where campaign_id = ${ended} and position = 1 and kind = 'delivered'`;
    },
  ],
  [
    ["nobody-is-sent-to-twice"],
    "a former attempt turns out to be accepted",
    (sql) => sql`update attempt set outcome = 'accepted', provider_ref = 'y' where campaign_id = ${ended} and position = 5`,
  ],
  [
    ["resent-and-arrived-twice"],
    "both attempts of a resend arrived",
    (sql) => sql`update attempt set outcome = 'accepted', provider_ref = 'y' where campaign_id = ${resent}`,
  ],
  [
    ["an-attempt-has-one-reference"],
    "a receipt has another reference",
    (sql) => sql`update receipt set provider_ref = 'y' where campaign_id = ${ended} and position = 1 and kind = 'sent'`,
  ],
  [
    ["a-reference-names-one-message"],
    "two messages have one reference",
    (sql) =>
      sql`update message set provider_ref = (select provider_ref from message where campaign_id = ${ended} and position = 1) where campaign_id = ${ended} and position = 2`,
  ],
  [
    ["a-reference-names-one-campaign"],
    "messages of two campaigns have one reference",
    (sql) =>
      sql`update message set provider_ref = (select provider_ref from message where campaign_id = ${ended} and position = 1) where campaign_id = ${open} and position = 1`,
  ],
  [
    ["the-suppressed-are-spared"],
    "a suppression is older than a message",
    (sql) => sql`insert into suppression (workspace_id, channel, address, reason, source, at)
      values (${place.workspaceId}, 'whatsapp', ${phone(0)(1)}, 'r', 'by hand', campanile.clock() - interval '2 hours')`,
  ],
  [
    ["the-opted-out-are-spared"],
    "an opt-out is older than a message",
    (sql) => sql`insert into suppression (workspace_id, channel, address, reason, source, at)
      values (${place.workspaceId}, 'whatsapp', ${phone(0)(1)}, 'r', 'reply', campanile.clock() - interval '2 hours')`,
  ],
  [["counters-equal-rows"], "a counter is raised", (sql) => sql`update dispatch_count set failed = failed + 1 where campaign_id = ${ended}`],
  [["counters-equal-rows"], "counters are deleted", (sql) => sql`delete from dispatch_count where campaign_id = ${open}`],
  [
    ["the-unsent-got-nothing", "counters-equal-rows", "the-statement-adds-up"],
    "an outcome is changed",
    (sql) => sql`update message set state = 'failed', code = '1' where campaign_id = ${ended} and position = 1`,
  ],
  [["receipt-counters-equal-rows"], "a receipt is deleted", (sql) => sql`delete from receipt where campaign_id = ${ended} and position = 2`],
  [
    ["receipt-counters-equal-rows", "read-implies-delivered"],
    "a count of receipts is lowered",
    (sql) => sql`update receipt_count set messages = 0 where campaign_id = ${ended} and kind = 'delivered'`,
  ],
  [
    ["the-statement-adds-up"],
    "the statement forgets somebody",
    (sql) => sql`update campaign set statement = jsonb_set(statement, '{uncertain}', '0') where id = ${ended}`,
  ],
  [
    ["the-statement-adds-up"],
    "the statement shifts a reason",
    (sql) => sql`update campaign set statement = jsonb_set(statement, '{skipped}', '{"stopped": 1}') where id = ${ended}`,
  ],
  [
    ["the-statement-adds-up"],
    "an amendment is made up",
    (sql) =>
      sql`update campaign set statement = jsonb_set(statement, '{amendments}', '[{"accepted": 1, "failed": 0, "uncertain": -1}]') where id = ${ended}`,
  ],
  [
    ["counters-equal-rows", "the-statement-adds-up", "the-end-is-the-end"],
    "a message of an ended campaign is due",
    (sql) => sql`update message set state = 'queued', due_at = campanile.clock() where campaign_id = ${ended} and position = 8`,
  ],
  [
    ["the-end-is-the-end"],
    "an ended campaign has a lot",
    (sql) => sql`insert into lot (campaign_id, first, last, handed, due_at) values (${ended}, 1, 8, 8, campanile.clock())`,
  ],
  [["events-are-gapless"], "an event is deleted", (sql) => sql`delete from event where campaign_id = ${ended}`],
  [
    ["the-history-is-legal"],
    "a completed campaign goes on",
    async (sql) => {
      await sql`
        with next as (update campaign set last_seq = last_seq + 1 where id = ${ended} returning id, last_seq)
        insert into event (campaign_id, seq, name, body) select id, last_seq, 'campaign:resumed', '{"state": "running"}' from next`;
    },
  ],
  [
    ["the-history-is-legal"],
    "a state changes behind the events' back",
    async (sql) => {
      await sql`update campaign set last_seq = 1, state = 'paused' where id = ${open}`;
      await sql`insert into event (campaign_id, seq, name, body) values (${open}, 1, 'campaign:started', '{}')`;
    },
  ],
  [
    ["lots-are-legal"],
    "two lots overlap",
    (sql) => sql`insert into lot (campaign_id, first, last, handed, due_at) values (${open}, 15, 20, 14, campanile.clock())`,
  ],
  [
    ["lots-are-legal"],
    "a lot is held without a lease",
    async (sql) => {
      await withoutConstraint(sql, "lot", "held_is_leased");
      await sql`update lot set holder = gen_random_uuid() where campaign_id = ${open}`;
    },
  ],
  [
    ["a-free-lot-forgets-nobody", "lots-are-legal"],
    "a mark is outside of its lot",
    async (sql) => {
      await withoutConstraint(sql, "lot", "in_range");
      await sql`update lot set handed = 21 where campaign_id = ${open}`;
    },
  ],
  [
    ["the-forsaken-are-recovered"],
    "a lease ran out long ago",
    (sql) => sql`update lot set holder = gen_random_uuid(), lease_until = campanile.clock() - interval '10 minutes' where campaign_id = ${open}`,
  ],
  [
    ["receipt-counters-equal-rows", "receipts-settle-doubts"],
    "a receipt of what is in doubt lies there",
    (sql) => sql`insert into receipt (campaign_id, stage, position, attempt, kind, at, provider_ref, received_at)
      values (${ended}, 1, 8, 1, 'sent', campanile.clock(), 'z', campanile.clock() - interval '2 minutes')`,
  ],
  [
    ["counters-equal-rows", "doubts-are-resent"],
    "a doubt is not sent again",
    async (sql) => {
      await sql`update campaign set on_uncertain = 'resend' where id = ${open}`;
      await sql`update message set state = 'uncertain', at = campanile.clock() - interval '1 hour' where campaign_id = ${open} and position = 1`;
    },
  ],
  [["the-cap-is-counted"], "a used place is lost", (sql) => sql`update cap_scope set used = used - 1`],
  [["the-cap-is-kept"], "more were written to than the cap allows", (sql) => sql`update cap_scope set cap = 16`],
  [
    ["the-cap-is-kept"],
    "more were written to than the cap allows in a calendar day",
    (sql) => sql`update cap_scope set cap = 16, calendar_zone = 'Asia/Kolkata'`,
  ],
  [
    ["the-cap-counts-everybody"],
    "an opening is lost",
    async (sql) => {
      await sql`delete from opening where address = ${phone(0)(1)}`;
      await sql`update cap_scope set used = used - 1`;
    },
  ],
  [
    ["everything-belongs-to-somebody"],
    "a message is of no campaign",
    (sql) => sql`insert into message (campaign_id, stage, position, attempt, state, provider_ref, at)
      values (gen_random_uuid(), 1, 1, 1, 'accepted', 'x', campanile.clock())`,
  ],
  [
    ["everything-belongs-to-somebody"],
    "receipts are counted for no campaign",
    (sql) => sql`insert into receipt_count (campaign_id, stage, kind, messages) values (gen_random_uuid(), 1, 'sent', 1)`,
  ],
  [
    ["everything-belongs-to-somebody"],
    "a pace is nobody's",
    (sql) => sql`insert into pace (owner_id, next_at) values (gen_random_uuid(), campanile.clock())`,
  ],
  [
    ["no-receipt-outruns-the-mark"],
    "somebody received what nobody sent",
    async (sql) => {
      await sql`insert into receipt (campaign_id, stage, position, attempt, kind, at, provider_ref) values (${open}, 1, 15, 1, 'sent', campanile.clock(), 'x')`;
      await sql`insert into receipt_count as c (campaign_id, stage, kind, messages) values (${open}, 1, 'sent', 1)
        on conflict (campaign_id, stage, kind) do update set messages = c.messages + 1`;
    },
  ],
  [
    ["nothing-runs-that-was-stopped"],
    "the database has gone back",
    (sql) => sql`insert into regression (what, noticed_at) values ('An older backup was restored.', campanile.clock())`,
  ],
  [
    ["webhooks-are-read"],
    "a webhook lies there",
    (sql) => sql`insert into inbox (source, body, senders, received_at) values ('whatsapp', '{}', '{}', campanile.clock() - interval '6 minutes')`,
  ],
];

test("nothing is found in campaigns with every fate, ended and in the middle, and nothing is written", async () => {
  const [fates] = await place.sql`select campanile.statement(${ended}) as statement`;
  expect(fates?.["statement"]).toMatchObject({ accepted: 5, failed: 1, skipped: { invalid: 1 }, uncertain: 1 });
  await place.sql.begin("read only", async (sql) => expect((await all(sql)).map(describe)).toEqual([]));
});

group("a corruption is reported", () => {
  test.each(corruptions)("as %s when %s", async (names, _, corrupt) => {
    const found = await after(corrupt);
    expect([...new Set(found.map(({ invariant }) => invariant))]).toEqual(names);
    for (const violation of found) {
      expect(violation).toMatchObject({ count: expect.any(Number), examples: [expect.any(String), ...violation.examples.slice(1)] });
      expect(describe(violation)).toContain(violation.examples[0]);
    }
  });

  test("by every invariant there is", () => {
    expect([...new Set(corruptions.flatMap(([names]) => names))].sort()).toEqual(invariants.map(({ name }) => name).sort());
  });
});

test("a cap counts nobody twice within 24 hours, and nobody for longer", async () => {
  const earlier = async (sql: Sql, hours: number) => {
    await sql`update cap_scope set cap = 16`;
    await sql`update message set at = at - ${hours} * interval '1 hour' where campaign_id = ${open}`;
  };
  expect(await after((sql) => earlier(sql, 25))).toEqual([]);
  expect((await after((sql) => earlier(sql, 23))).map(({ invariant }) => invariant)).toEqual(["the-cap-is-kept"]);
  const again = async (sql: Sql) => {
    await sql`update cap_scope set cap = 17`;
    await sql`insert into attempt (campaign_id, stage, position, attempt, outcome, at)
      select campaign_id, stage, position, 0, 'uncertain', at - interval '1 hour' from message where campaign_id = ${open}`;
  };
  expect(await after(again)).toEqual([]);
});

test("one campaign, or one workspace, is looked at alone", async () => {
  await expect(
    place.sql.begin(async (sql) => {
      await sql`update dispatch_count set failed = failed + 1`;
      await sql`update cap_scope set used = used + 1`;
      expect((await all(sql, { campaignId: open })).map(({ campaignId, severity }) => [campaignId, severity])).toEqual([[open, "violation"]]);
      expect(await all(sql, { workspaceId: place.workspaceId })).toHaveLength(4);
      expect(await all(sql, { workspaceId: crypto.randomUUID() })).toEqual([]);
      throw new Undo();
    }),
  ).rejects.toThrow(Undo);
});
