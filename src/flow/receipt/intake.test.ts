import { createHmac } from "node:crypto";
import { setImmediate as tick } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../test/support/database.ts";
import { status, webhook } from "../../../test/support/receipts.ts";
import { connect, transaction } from "../../runtime/postgres.ts";
import { createIntake, type IntakeOptions } from "./intake.ts";

let db: FreshDatabase;
beforeAll(async () => {
  db = await freshDatabase();
});
afterAll(() => db.drop());
beforeEach(() => db.sql`truncate inbox, unmatched`);

const secrets: Record<string, string> = { own: "own secret", same: "own secret" };
const open = (options: Partial<IntakeOptions> = {}) =>
  createIntake({ sql: db.sql, appSecretOf: async (id) => secrets[id] ?? null, defaultAppSecret: "default secret", ...options });
const sign = (body: Buffer, secret: string) => `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`;
const bodyOf = (...phoneNumberIds: string[]) =>
  Buffer.from(JSON.stringify({ entry: phoneNumberIds.flatMap((id) => webhook(id, { statuses: [status("wamid.1", "sent")] }).entry) }));
const stored = () => db.sql<{ body: Buffer; senders: string[]; state: string }[]>`select body, senders, state from inbox order by id`;

describe("whose secret counts", () => {
  test.each([
    ["that of the sender", ["own"], "own secret", ["own"]],
    ["the default one, when the sender has none", ["plain"], "default secret", ["plain"]],
    ["that of the first; others count when theirs is the same", ["own", "plain", "same", "own"], "own secret", ["own", "same"]],
    ["the default one, when nobody is named", [], "default secret", []],
  ])("%s", async (_, ids, secret, senders) => {
    const body = bodyOf(...ids);
    expect(await open().takeIn(body, sign(body, secret))).toBe("stored");
    expect(await stored()).toEqual([{ body, senders, state: "new" }]);
  });

  test.each([
    ["that is quoted in a text", { text: { body: '{"phone_number_id":"own"}' } }],
    ["with blanks between, as others write JSON", null],
  ])("a sender %s", async (_, message) => {
    const written = JSON.stringify(webhook("own", { messages: [message] }));
    const [text, secret, senders] =
      message === null
        ? [JSON.stringify(JSON.parse(written), null, 1), "own secret", ["own"]]
        : [written.replace('"phone_number_id":"own"}', '"phone_number_id":"plain"}'), "default secret", ["plain"]];
    const body = Buffer.from(text);
    expect(await open().takeIn(body, sign(body, secret))).toBe("stored");
    expect(await stored()).toMatchObject([{ senders }]);
  });

  test.each([
    ["the default one does not, when the sender has its own", ["own"], "default secret"],
    ["another sender's does not", ["plain", "own"], "own secret"],
  ])("%s", async (_, ids, secret) => {
    const body = bodyOf(...ids);
    expect(await open().takeIn(body, sign(body, secret))).toBe("forged");
    expect(await stored()).toEqual([]);
  });

  test("without any secret nothing is believed", async () => {
    const body = bodyOf("plain");
    expect(await open({ defaultAppSecret: null }).takeIn(body, sign(body, ""))).toBe("forged");
  });

  test("one secret is asked for before the signature is known to be good, however many senders a forger names", async () => {
    const asked: string[] = [];
    const body = bodyOf(...Array.from({ length: 50 }, (_, i) => `id-${i}`));
    const appSecretOf = async (id: string) => {
      asked.push(id);
      return null;
    };
    const intake = open({ appSecretOf });
    expect(await intake.takeIn(body, sign(body, "guess"))).toBe("forged");
    expect(asked).toEqual(["id-0"]);
  });
});

test("bytes are kept as they came, JSON or not, one by one and together", async () => {
  const bodies = ['{"t":"caf\\u00e9 \\ud83d\\ude00"}', "no JSON", '{"entry":"\\"","a":"\\\\x00,{}"}', "\u0000 \ufffd", ""].map((text) =>
    Buffer.from(text),
  );
  bodies.push(Buffer.from([0, 255, 128, 92, 34, 10]), Buffer.from("\ufeffé\ud83d\ude00"), Buffer.from([0xc3]), Buffer.from([0xa9]));
  const intake = open();
  for (const body of bodies) expect(await intake.takeIn(body, sign(body, "default secret"))).toBe("stored");
  await Promise.all(bodies.map((body) => intake.takeIn(body, sign(body, "default secret"))));
  expect((await stored()).map(({ body }) => body.toString("hex"))).toEqual([...bodies, ...bodies].map((body) => body.toString("hex")));
});

test("webhooks that come together share few commits, and each is durable when it is acknowledged", async () => {
  const intake = open();
  const body = bodyOf("plain");
  const commits = async () => (await db.sql<{ xid: number }[]>`select distinct xmin::text::bigint as xid from inbox`).length;
  const seen = await Promise.all(
    Array.from({ length: 300 }, async (_, i) => {
      const own = Buffer.concat([body, Buffer.from(" ".repeat(i))]);
      await intake.takeIn(own, sign(own, "default secret"));
      const [row] = await db.sql<{ count: number }[]>`select count(*)::int from inbox where octet_length(body) = ${own.length}`;
      return row?.count;
    }),
  );
  expect(seen).toEqual(seen.map(() => 1));
  expect(await commits()).toBeLessThan(20);
});

test("while an insert is slow, many who came after it are stored by a second one, and no more than two are under way", async () => {
  const intake = open();
  const body = bodyOf("plain");
  const come = (count: number) => Array.from({ length: count }, () => intake.takeIn(body, sign(body, "default secret")));
  const turns = async () => {
    for (let turn = 0; turn < 5; turn++) await tick();
  };
  const underWay = async () => {
    const [row] = await db.sql<{ count: number }[]>`
      select count(*)::int from pg_locks where relation = 'inbox'::regclass and not granted
        and database = (select oid from pg_database where datname = current_database())`;
    return row?.count;
  };
  const answers = await transaction(db.sql, async (tx) => {
    await tx`lock table inbox in exclusive mode`;
    const first = come(1);
    while ((await underWay()) !== 1) await tick();
    const few = come(31);
    await turns();
    const many = come(41);
    while ((await underWay()) !== 2) await tick();
    const more = come(40);
    await turns();
    more.push(...come(40));
    return () => Promise.all([...first, ...few, ...many, ...more]);
  });
  expect(await answers()).toEqual(Array.from({ length: 153 }, () => "stored"));
  const batches = await db.sql<{ rows: number }[]>`select count(*)::int as rows from inbox group by xmin::text order by min(id)`;
  expect(batches.map(({ rows }) => rows).sort((a, b) => a - b)).toEqual([1, 72, 80]);
});

test("no more than so many wait, in number and in bytes; after that there is room again", async () => {
  const body = bodyOf("plain");
  for (const limits of [{ waitingMax: 10 }, { waitingBytesMax: body.length * 9 + 1 }]) {
    const intake = open(limits);
    const flood = () => Promise.all(Array.from({ length: 25 }, () => intake.takeIn(body, sign(body, "default secret"))));
    for (let i = 0; i < 2; i++) {
      const answers = await flood();
      expect(answers.filter((answer) => answer === "stored")).toHaveLength(10);
      expect(answers.filter((answer) => answer === "full")).toHaveLength(15);
    }
  }
  expect(await stored()).toHaveLength(40);
});

test("when the database is away everybody who waits is told so, and the next one is tried afresh", async () => {
  const away = connect("postgres://root@127.0.0.1:1/none", { max: 1 });
  const body = bodyOf("plain");
  const intake = open({ sql: away });
  for (let i = 0; i < 2; i++) {
    const results = await Promise.allSettled([1, 2, 3].map(() => intake.takeIn(body, sign(body, "default secret"))));
    expect(results.map((result) => result.status)).toEqual(["rejected", "rejected", "rejected"]);
  }
  await away.end({ timeout: 1 });
});

test("large webhooks are stored in several inserts", async () => {
  const intake = open();
  const body = Buffer.alloc(3_000_000, "x");
  const answers = await Promise.all(Array.from({ length: 4 }, () => intake.takeIn(body, sign(body, "default secret"))));
  expect(answers).toEqual(answers.map(() => "stored"));
  expect(await db.sql`select count(*)::int, sum(octet_length(body))::bigint as bytes from inbox`).toEqual([{ count: 4, bytes: 12_000_000 }]);
});
