import { Readable } from "node:stream";
import iconv from "iconv-lite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FreshDatabase, freshDatabase } from "../../../../test/support/database.ts";
import { seedWorkspace } from "../../../../test/support/seed.ts";
import { Refusal } from "../../../rules/refusal.ts";
import type { Clock } from "../../../runtime/clock.ts";
import { seededLuck } from "../../../runtime/luck.ts";
import { connect, transaction } from "../../../runtime/postgres.ts";
import type { AudienceDeps } from "../deps.ts";
import { type ImportRequest, type ImportResult, importCsv } from "./import.ts";
import { rejects, rejectsCsv } from "./rejects.ts";
import { failStaleImports } from "./stale.ts";
import * as store from "./store.ts";

let database: FreshDatabase;
let deps: AudienceDeps;
const luck = seededLuck(7);

/** Time stands still: no beat comes unless a test lets it. */
const stopped: Clock = {
  now: () => new Date("2026-03-02T09:00:00Z"),
  monotonicMs: () => 0,
  sleep: (_ms, signal) => new Promise((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true })),
};

beforeAll(async () => {
  database = await freshDatabase();
  deps = { sql: database.sql, clock: stopped, luck };
});
afterAll(() => database.drop());

/** A workspace of one's own with an empty list. */
async function town() {
  const { sql } = database;
  const { workspaceId } = await seedWorkspace(sql);
  const listId = luck.uuid();
  await sql`insert into list (workspace_id, id, name) values (${workspaceId}, ${listId}, 'People')`;
  const load = (source: string | Buffer | ImportRequest["source"], options: Partial<ImportRequest> = {}): Promise<ImportResult> =>
    importCsv(
      {
        workspaceId,
        listId,
        fileName: "people.csv",
        source: typeof source === "string" || Buffer.isBuffer(source) ? Readable.from([Buffer.from(source as string)]) : source,
        ...options,
      },
      deps,
    );
  const people = () => sql<{ phone: string | null; email: string | null; firstName: string | null; attributes: unknown }[]>`
    select phone, email, first_name, attributes from contact where workspace_id = ${workspaceId} order by created_at, id`;
  const members = async () =>
    (
      await sql<{ address: string }[]>`
      select coalesce(c.phone, c.email) as address from list_member m join contact c on c.id = m.contact_id
      where m.list_id = ${listId} order by m.ordinal`
    ).map(({ address }) => address);
  const imports = () => sql<store.ImportRow[]>`select * from import where workspace_id = ${workspaceId} order by started_at, id`;
  const rejected = async (id: string) => {
    const rows = [];
    for await (const row of rejects(sql, { workspaceId, id })) rows.push(row);
    return rows;
  };
  const expectNothingStored = async (state: string) => {
    expect([await people(), await members()]).toEqual([[], []]);
    expect(await imports()).toMatchObject([{ state, rowCount: 0, stored: 0, merged: 0, rejected: 0 }]);
    expect(await stages()).toEqual([]);
  };
  return { workspaceId, listId, load, people, members, imports, rejected, expectNothingStored };
}

const stages = () => database.sql`select relname from pg_class where relname like 'import\_stage%'`;

const refusalOf = async (work: Promise<unknown>): Promise<Refusal> => {
  const outcome = await work.catch((error: unknown) => error);
  if (outcome instanceof Refusal) return outcome;
  throw new Error(`no refusal but ${outcome instanceof Error ? outcome.stack : JSON.stringify(outcome)}`);
};

test("a file becomes contacts and members of a list, in its order", async () => {
  const { load, people, members, imports } = await town();
  const result = await load("Phone,First name,City,__proto__\n+14155552671,Zoe,Reno,x\n+919876543210,Asha,Pune,\n,,,\n+447911123456,Müller,,\n");
  expect(result).toMatchObject({ state: "done", rows: 3, stored: 3, merged: 0, rejected: 0, inserted: 3 });
  expect(result.file).toEqual({ encoding: "UTF-8", delimiter: ",", hasHeader: true });
  expect(await people()).toMatchObject([
    { phone: "+14155552671", firstName: "Zoe", attributes: JSON.parse('{"City":"Reno","__proto__":"x"}') },
    { phone: "+919876543210", firstName: "Asha", attributes: { City: "Pune" } },
    { phone: "+447911123456", firstName: "Müller", attributes: {} },
  ]);
  expect(await members()).toEqual(["+14155552671", "+919876543210", "+447911123456"]);
  expect(await imports()).toMatchObject([
    { id: result.importId, fileName: "people.csv", state: "done", rowCount: 3, stored: 3, cause: null, bytes: result.bytes },
  ]);
  expect(await stages()).toEqual([]);
});

const text = "phone\tname\tCity\n+919876543210\tJürgen Müller\tIt’s 5 €\n";
const asStored = { phone: "+919876543210", firstName: "Jürgen", attributes: { City: "It’s 5 €" } };

test.each<[name: string, bytes: Buffer, encoding: string]>([
  ["UTF-8", Buffer.from(text), "UTF-8"],
  ["UTF-8 with a byte order mark", Buffer.from(`\ufeff${text}`), "UTF-8"],
  ["UTF-16LE, Excel's Unicode text", iconv.encode(text, "utf-16le", { addBOM: true }), "UTF-16LE"],
  ["UTF-16BE without a byte order mark", iconv.encode(text, "utf-16be"), "UTF-16BE"],
  ["Windows-1252", iconv.encode(text, "win1252"), "Windows-1252"],
])("%s, byte by byte", async (_name, bytes, encoding) => {
  const { load, people } = await town();
  const result = await load(Readable.from([...bytes].map((byte) => Buffer.from([byte]))));
  expect(result.file).toEqual({ encoding, delimiter: "\t", hasHeader: true });
  expect(await people()).toMatchObject([asStored]);
});

test.each<[name: string, file: string, phones: string[]]>([
  ["no header", "+919876543210\n919876543211\n", ["+919876543210", "+919876543211"]],
  ["a header of its own", "recipients\n919876543210\n", ["+919876543210"]],
  ["CR only", "phone,name\r+919876543210,Asha\r+919876543211,Ravi\r", ["+919876543210", "+919876543211"]],
  ["sep=", "sep=;\r\nphone;name\r\n+919876543210;Rao, Asha\r\n", ["+919876543210"]],
  ["no line end at the end", "phone\n+919876543210", ["+919876543210"]],
  ["empty lines and columns", "\n\nphone,,\n,,\n+919876543210,,\n\n,,\n", ["+919876543210"]],
  ["quotes and line ends in them", 'phone,note\n"+919876543210","a ""b""\r\nc"\n+919876543211,x\n', ["+919876543210", "+919876543211"]],
])("%s", async (_name, file, phones) => {
  const { load, members } = await town();
  expect(await load(file)).toMatchObject({ rows: phones.length, stored: phones.length, rejected: 0 });
  expect(await members()).toEqual(phones);
});

test("text that could be taken for signs of COPY or JSON stays as it is", async () => {
  const { load, people, rejected } = await town();
  const odd = ["\\N", "\\.", "a\\tb", "a\tb", "a\nb\r\nc", '{"x":1}', "\\", "\u2028\u0001😀"];
  const quoted = odd.map((value) => `"${value.replaceAll('"', '""')}"`);
  await load(`phone;name;${odd.map((_, at) => `c${at}`).join(";")}\n+919876543210;\\N;${quoted.join(";")}\n`);
  const attributes = Object.fromEntries(odd.map((value, at) => [`c${at}`, value.replace("\u0001", "").trim()]));
  expect(await people()).toMatchObject([{ firstName: "\\N", attributes }]);
  const { importId } = await load('phone\n"a\\\tb\nc"\n\\N\n+919876543211\n');
  expect((await rejected(importId)).map(({ line, value }) => [line, value])).toEqual([
    [2, "a\\\tb\nc"],
    [4, "\\N"],
  ]);
});

describe("a row that cannot be used is rejected, and the others are not", () => {
  test("with its line, its value and the reason", async () => {
    const { load, members, rejected } = await town();
    const file = [
      "phone,email,name",
      "+919876543210,,Asha",
      "9.19877E+11,,Ravi",
      "9876543210,,Mira",
      '+919876543211,,"two',
      'lines"',
      ",,Nobody",
      "+919876543212,,Too,many",
      `+919876543213,,${"x".repeat(10_001)}`,
      'tel,,"a"b',
      "12345,asha@example.com,",
      ",ravi@example.com,Ravi",
      "=1+1,,x",
    ].join("\r\n");
    const result = await load(file);
    expect(result).toMatchObject({ rows: 11, stored: 3, merged: 0, rejected: 8, inserted: 3 });
    expect(await members()).toEqual(["+919876543210", "+919876543211", "ravi@example.com"]);
    expect((await rejected(result.importId)).map(({ line, value, reason }) => [line, value.slice(0, 20), reason])).toEqual([
      [3, "9.19877E+11", "9.19877E+11 is in Excel's scientific notation: its last digits are lost. Format the column as text and export again."],
      [4, "9876543210", expect.stringContaining("say which country the file is from")],
      [7, " |  | Nobody", "The row has neither a phone nor an e-mail address."],
      [8, "+919876543212 |  | T", expect.stringContaining("The row has 4 cells, the first row has 3.")],
      [9, "+919876543213 |  | x", "Cell 3 has 10001 characters; at most 10000 are stored."],
      [10, "tel |  | ab", expect.stringContaining("Cell 3 goes on after its closing quote.")],
      [11, "12345", expect.stringContaining("too short")],
      [13, "=1+1", "“=1+1” is not a phone number."],
    ]);
  });

  test("and the report is a file that no spreadsheet calculates", async () => {
    const { load, workspaceId } = await town();
    const { importId } = await load("phone\n=1+1\n+919876543210\n");
    let report = "";
    for await (const piece of rejectsCsv(database.sql, { workspaceId, id: importId })) report += piece;
    expect(report).toBe(`\ufeffline,value,reason\r\n2,"'=1+1",“=1+1” is not a phone number.\r\n`);
  });

  test("also when there are more than fit a page", async () => {
    const { load, rejected } = await town();
    const result = await load(`phone\n+919876543210\n${"x\n".repeat(2_500)}`);
    expect(result).toMatchObject({ rows: 2_501, stored: 1, rejected: 2_500 });
    expect((await rejected(result.importId)).map(({ line }) => line)).toEqual(Array.from({ length: 2_500 }, (_, at) => at + 3));
  });

  test("another workspace sees none of them", async () => {
    const [here, there] = [await town(), await town()];
    const { importId } = await here.load("phone\nx\n+919876543210\n");
    expect(await there.rejected(importId)).toEqual([]);
  });
});

describe("one person is one contact", () => {
  test("in every spelling within a file, a later row completing the earlier ones", async () => {
    const { load, people, members } = await town();
    const file = [
      "phone,first name,company,email,City,Age",
      "+919876543210,Asha,Acme,,Pune,41",
      "+5215512345678,Mia,,,,",
      "00919876543210,,Zenith,asha@example.com,,",
      "'+91 98765-43210,Asha R,,,Goa,",
      "52 55 1234 5678,,,,,7",
      "tel:+91-98765-43210,,,,,",
    ].join("\n");
    expect(await load(file)).toMatchObject({ rows: 6, stored: 2, merged: 4, rejected: 0, inserted: 2 });
    expect(await members()).toEqual(["+919876543210", "+525512345678"]);
    expect(await people()).toMatchObject([
      { phone: "+919876543210", firstName: "Asha R", email: "asha@example.com", attributes: { City: "Goa", Age: "41" } },
      { phone: "+525512345678", firstName: "Mia", attributes: { Age: "7" } },
    ]);
  });

  test("and in several files: what is said replaces, what is not said stays", async () => {
    const { load, people } = await town();
    await load("phone,first name,company,City\n+919876543210,Asha,Acme,Pune\n+919876543211,Ravi,,\n");
    const again = await load("phone,first name,company,State\n919876543210,,Zenith,MH\n+919876543211,Ravi,,\n+919876543212,Mira,,\n");
    expect(again).toMatchObject({ rows: 3, stored: 1, merged: 2, inserted: 1 });
    expect(await people()).toMatchObject([
      { phone: "+919876543210", firstName: "Asha", attributes: { City: "Pune", State: "MH" } },
      { phone: "+919876543211", firstName: "Ravi" },
      { phone: "+919876543212", firstName: "Mira" },
    ]);
  });

  test("a file has the effect of its rows, one file for each", async () => {
    const [whole, single] = [await town(), await town()];
    const header = "phone,email,first name,City";
    const rows = [
      "+919876543210,,Asha,",
      "+919876543210,a@example.com,,Pune",
      ",b@example.com,Bo,",
      "+919876543210,,A,Goa",
      ",B@example.com,,Ulm",
      "+14155552671,,,",
    ];
    await whole.load([header, ...rows].join("\n"));
    for (const row of rows) await single.load([header, row].join("\n"));
    const sorted = async (place: typeof whole) =>
      [...(await place.people())].sort((a, b) => (a.phone ?? a.email ?? "").localeCompare(b.phone ?? b.email ?? ""));
    expect(await sorted(whole)).toEqual(await sorted(single));
    expect(await whole.members()).toEqual(await single.members());
  });

  test("without a phone the e-mail tells who it is; a contact with a phone keeps its e-mail to itself", async () => {
    const { load, people } = await town();
    await load("email,first name\nAsha@example.com,Asha\nasha@EXAMPLE.com,\n");
    expect(await load("phone,email\n+919876543210,asha@example.com\n,asha@example.com\n", { channel: "email" })).toMatchObject({
      stored: 1,
      merged: 1,
    });
    expect(await people()).toMatchObject([
      { phone: null, email: "asha@example.com", firstName: "Asha" },
      { phone: "+919876543210", email: "asha@example.com" },
    ]);
  });

  test("a contact that already is as the file says is not written", async () => {
    const { load, workspaceId } = await town();
    const file = "phone,first name,City\n+919876543210,Asha,Pune\n";
    await load(file);
    const before = await database.sql`select xmin::text from contact where workspace_id = ${workspaceId}`;
    expect(await load(file)).toMatchObject({ stored: 0, merged: 1, inserted: 0 });
    expect(await database.sql`select xmin::text from contact where workspace_id = ${workspaceId}`).toEqual(before);
  });
});

describe("a file that can only be misread stores nothing, and says where and why", () => {
  const good = Array.from({ length: 3_000 }, (_, n) => `+9198765${String(n).padStart(5, "0")},Asha\n`).join("");

  test.each<[name: string, file: Buffer | string, code: string, cause: string]>([
    ["an empty file", "", "file_empty", "The file is empty"],
    ["a byte order mark", "\ufeff", "file_empty", "The file is empty"],
    ["empty lines", "\r\n\r\n , ,\r\n", "file_empty", "The file is empty"],
    ["a header only", "phone,name\r\n", "file_empty", "The file is empty"],
    ["a header without an address", "foo,bar\n1,2\n", "import_unreadable", "No column is a phone or an e-mail address"],
    ["a header twice", "phone,a,A\n+919876543210,1,2\n", "import_unreadable", "The header has “A” twice"],
    ["a NUL", `phone,name\n${good}+919876543210,a\0b\n${good}`, "import_unreadable", "Line 3002 has a NUL character"],
    ["a line of 10 MB", `phone,name\n${good}${"x".repeat(10_000_000)}\n${good}`, "import_unreadable", "Line 3002 is longer than 1048576 characters"],
    [
      "an unclosed quote",
      `phone,name\n${good}+919876543210,"Asha\n${good}`,
      "import_unreadable",
      "The quote that opens on line 3002 is never closed",
    ],
    [
      "an unclosed quote closed by the next",
      `phone,name\n${good}+919876543210,"Asha\n${good}+919876543211,"Ravi"\n`,
      "import_unreadable",
      "closed in the middle of a cell on line 6003",
    ],
    [
      "two encodings",
      Buffer.concat([Buffer.from(`phone,name\n+919876543210,Müller\n${good}`), iconv.encode("+919876543211,Müller\n", "win1252")]),
      "import_unreadable",
      "Line 3003 has the byte 0xFC",
    ],
    ["an Excel workbook", Buffer.from("504b030414000600", "hex"), "import_unreadable", "Excel workbook"],
    ["more columns than can be", `phone${",x".repeat(1_000)}\n`, "import_unreadable", "Line 1: The row has 1001 cells"],
  ])("%s", async (_name, file, code, cause) => {
    const { load, expectNothingStored, imports } = await town();
    const refusal = await refusalOf(load(file));
    expect([refusal.code, refusal.message]).toEqual([code, expect.stringContaining(cause)]);
    await expectNothingStored("failed");
    expect(await imports()).toMatchObject([{ cause: refusal.message }]);
  });

  test("national numbers without a country, of which some look like other countries' numbers", async () => {
    const { load, expectNothingStored, people } = await town();
    const national = ["6591234567", ...Array.from({ length: 30 }, (_, n) => `98765432${10 + n}`)].join("\n");
    expect((await refusalOf(load(national))).message).toContain("30 of 31 rows have a phone without its country code");
    await expectNothingStored("failed");
    expect(await load(national, { country: "IN" })).toMatchObject({ stored: 31 });
    expect((await people()).map(({ phone }) => phone)).toContain("+916591234567");
  });

  test("too many bytes", async () => {
    const { load, expectNothingStored } = await town();
    expect((await refusalOf(load(`phone,name\n${good}`, { bytesMax: 10_000 }))).code).toBe("too_large");
    await expectNothingStored("failed");
  });

  test("a source that fails", async () => {
    const { load, expectNothingStored, imports } = await town();
    const broken = async function* () {
      yield Buffer.from(`phone,name\n${good}`);
      throw new Error("connection reset by the client");
    };
    await expect(load(broken())).rejects.toThrow("connection reset");
    await expectNothingStored("failed");
    expect((await imports())[0]?.cause).toContain("It broke off: connection reset by the client. Nothing was stored");
  });

  test("a batch that Postgres does not take", async () => {
    const { load, people, workspaceId } = await town();
    const { sql } = database;
    const source = async function* () {
      yield Buffer.from(`phone,name\n${good}`);
      const [stage] = await stages();
      await sql`alter table ${sql(String(stage?.["relname"]))} add check (line < 4000)`;
      for (let n = 0; n < 20; n++) yield Buffer.from(good);
    };
    await expect(load(source())).rejects.toThrow("violates check constraint");
    expect(await people()).toEqual([]);
    expect(await sql`select state from import where workspace_id = ${workspaceId}`).toEqual([{ state: "failed" }]);
  });

  test("connections that break, again and again", async () => {
    const admin = connect(database.url, { max: 1 });
    // A pool of its own: the driver hands a broken connection's last error on to a statement after it.
    const sql = connect(database.url, { max: 5 });
    for (let times = 0; times < 5; times++) {
      const { workspaceId, expectNothingStored } = await town();
      let [reading, broken] = [false, false];
      const source = async function* () {
        yield Buffer.from("phone,name\n");
        for (let n = 0; n < 2_000 && !broken; n++) {
          yield Buffer.from(good);
          reading = true;
        }
      };
      const breaking = async () => {
        while (!broken) {
          const ended = reading
            ? await admin`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query like 'copy%' and state = 'active'`
            : await new Promise<unknown[]>((resolve) => setImmediate(resolve, []));
          broken = ended.length > 0;
        }
      };
      const outcome = importCsv({ workspaceId, fileName: "f", source: source() }, { ...deps, sql });
      await Promise.all([breaking(), expect(outcome).rejects.toMatchObject({ code: expect.stringMatching(/CONNECTION|57P01|ECONNRESET|EPIPE/) })]);
      await expectNothingStored("failed");
    }
    await Promise.all([admin.end(), sql.end({ timeout: 1 })]);
  });

  test("a caller who does not let anybody in any more", async () => {
    const { load, expectNothingStored } = await town();
    const guard = async () => {
      throw new Refusal("not_a_draft", { state: "running" });
    };
    expect((await refusalOf(load(`phone,name\n${good}`, { guard }))).code).toBe("not_a_draft");
    await expectNothingStored("failed");
  });

  test("what is refused before a byte is read leaves no import", async () => {
    const { load, imports } = await town();
    expect((await refusalOf(load("phone\n", { country: "India" }))).message).toContain("India is not a country");
    expect((await refusalOf(load("phone\n", { listId: luck.uuid() }))).code).toBe("not_found");
    expect((await refusalOf(load("phone\n", { listId: (await town()).listId }))).code).toBe("not_found");
    expect(await imports()).toEqual([]);
  });
});

describe("cancelled, it stores nothing", () => {
  test("while the file is read", async () => {
    const { load, expectNothingStored } = await town();
    const cancel = new AbortController();
    let told = false;
    const endless = async function* () {
      try {
        for (let n = 0; ; n++) {
          if (n === 40) cancel.abort();
          yield Buffer.from(`+9198765${String(n).padStart(5, "0")},Asha\n`.repeat(2_000));
        }
      } finally {
        told = true;
      }
    };
    expect(await load(endless(), { signal: cancel.signal })).toMatchObject({ state: "cancelled", rows: 0, stored: 0, inserted: 0, file: null });
    await expectNothingStored("cancelled");
    expect(told).toBe(true);
  });

  test("while the source keeps us waiting", async () => {
    const { load, expectNothingStored } = await town();
    const cancel = new AbortController();
    const stuck = new Readable({ read: () => setImmediate(() => cancel.abort()) });
    expect(await load(stuck, { signal: cancel.signal })).toMatchObject({ state: "cancelled" });
    await expectNothingStored("cancelled");
    expect(stuck.destroyed).toBe(true);
  });

  test("while it is stored", async () => {
    const { load, expectNothingStored } = await town();
    const cancel = new AbortController();
    const guard = async () => cancel.abort();
    expect(await load("phone\n+919876543210\n", { signal: cancel.signal, guard })).toMatchObject({ state: "cancelled" });
    await expectNothingStored("cancelled");
  });
});

test("two imports of the same people at once: each person once, nobody refused, no deadlock", async () => {
  const { workspaceId, people, load } = await town();
  const numbers = Array.from({ length: 5_000 }, (_, n) => `+9198765${String(n).padStart(5, "0")}`);
  const file = (order: readonly string[]) => `phone,City\n${order.map((phone) => `${phone},x\n`).join("")}`;
  const [one, other] = await Promise.all([load(file(numbers)), load(file([...numbers].reverse()), { listId: undefined })]);
  expect(one.stored + other.stored).toBe(5_000);
  expect(one.merged + other.merged).toBe(5_000);
  expect([one.rows, other.rows, one.rejected + other.rejected]).toEqual([5_000, 5_000, 0]);
  expect((await people()).length).toBe(5_000);
  expect(await database.sql`select count(*) from contact where workspace_id = ${workspaceId}`).toEqual([{ count: 5_000 }]);
});

test("somebody else stores one of its people at the same time: he is merged, and everybody joins the list in the file's order", async () => {
  const { workspaceId, people, members, load } = await town();
  const { sql } = database;
  const file = "phone,first name,City\n+919876543210,Asha,Pune\n+919876543211,Ravi,\n+919876543212,Mira,\n";
  const isWaited = async () => (await sql`select from pg_locks where locktype = 'transactionid' and not granted`).length > 0;
  const importing = await transaction(sql, async (tx) => {
    await tx`insert into contact (workspace_id, id, phone, first_name, company)
      values (${workspaceId}, ${luck.uuid()}, '+919876543211', 'Ravindra', 'Acme')`;
    let ended = false;
    const work = load(file).finally(() => {
      ended = true;
    });
    while (!ended && !(await isWaited())) await new Promise((resolve) => setImmediate(resolve));
    return () => work;
  });
  expect(await importing()).toMatchObject({ state: "done", rows: 3, stored: 2, merged: 1, rejected: 0, inserted: 3 });
  expect((await people()).map(({ phone, firstName }) => [phone, firstName]).sort()).toEqual([
    ["+919876543210", "Asha"],
    ["+919876543211", "Ravi"],
    ["+919876543212", "Mira"],
  ]);
  expect(await members()).toEqual(["+919876543210", "+919876543211", "+919876543212"]);
});

test("phones and e-mails that are all new join the list in the file's order, without the rejected and the repeated", async () => {
  const { load, members } = await town();
  const rows = ["+919876543210,", ",a@x.example", "n/a,", "+919876543211,b@x.example", "919876543210,", ",A@x.example", ",c@x.example"];
  expect(await load(`phone,email\n${rows.join("\n")}\n`)).toMatchObject({ rows: 7, stored: 4, merged: 2, rejected: 1, inserted: 4 });
  expect(await members()).toEqual(["+919876543210", "a@x.example", "+919876543211", "c@x.example"]);
});

test("repeated and overlapping uploads put nobody into a list twice, and say how many are new", async () => {
  const { load, members } = await town();
  expect((await load("+919876543210\n+919876543211\n")).inserted).toBe(2);
  expect((await load("+919876543210\n+919876543211\n")).inserted).toBe(0);
  expect((await load("+919876543212\n+919876543211\n+919876543212\n")).inserted).toBe(1);
  expect(await members()).toEqual(["+919876543210", "+919876543211", "+919876543212"]);
});

test("contacts of two workspaces have nothing to do with each other", async () => {
  const [here, there] = [await town(), await town()];
  await here.load("phone,name\n+919876543210,Asha\n");
  expect(await there.load("phone,name\n+919876543210,Ravi\n")).toMatchObject({ stored: 1, merged: 0 });
  expect(await here.people()).toMatchObject([{ firstName: "Asha" }]);
});

test("while it runs, it says how far it is, and that it lives", async () => {
  const { workspaceId, listId } = await town();
  const seen: unknown[] = [];
  let beat = () => {};
  let elapsed = 0;
  const clock: Clock = {
    ...stopped,
    monotonicMs: () => elapsed,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        beat = resolve;
        signal?.addEventListener("abort", () => resolve());
      }),
  };
  const { sql } = database;
  const row = () => sql<{ state: string; rowCount: number; alive: boolean }[]>`
    select state, row_count, heard_at > started_at as alive from import where workspace_id = ${workspaceId}`;
  const source = async function* () {
    yield Buffer.from(`phone\n${"+919876543210\n".repeat(10_000)}`);
    yield Buffer.from(`${"+919876543211\n".repeat(10_000)}`);
    elapsed = 1_000;
    beat();
    const isTold = (told: { alive: boolean; rowCount: number } | undefined) => told?.alive === true && told.rowCount > 10_000;
    while (!isTold((await row())[0])) {
      await new Promise((resolve) => setImmediate(resolve));
      beat();
    }
    expect((await row())[0]).toMatchObject({ state: "running" });
  };
  const result = await importCsv(
    { workspaceId, listId, fileName: "f", source: source(), onProgress: (progress) => seen.push(progress) },
    { ...deps, clock },
  );
  expect(result).toMatchObject({ rows: 20_000, stored: 2, merged: 19_998 });
  expect(seen).toMatchObject([
    { phase: "reading", rejected: 0, rowsPerSecond: expect.any(Number) },
    { phase: "storing", rows: 20_000, bytes: result.bytes, rowsPerSecond: 20_000 },
    { phase: "ended", rows: 20_000 },
  ]);
});

describe("an import whose process died", () => {
  test("is shown as failed after a minute of silence, and what it staged is dropped", async () => {
    const { workspaceId, imports } = await town();
    const { sql } = database;
    const [dead, living] = [luck.uuid(), luck.uuid()];
    for (const id of [dead, living]) {
      await store.insertImport(sql, { workspaceId, id }, { listId: null, fileName: id === dead ? "dead" : "living" });
      await store.createStage(sql, store.stageOf(id));
    }
    await sql`update import set heard_at = heard_at - interval '61 seconds', row_count = 7 where id = ${dead}`;
    expect(await failStaleImports(deps)).toBe(1);
    const after = await imports();
    expect(after.find(({ fileName }) => fileName === "dead")).toMatchObject({
      state: "failed",
      rowCount: 0,
      cause: expect.stringContaining("The process that ran this import ended"),
    });
    expect(after.find(({ fileName }) => fileName === "living")).toMatchObject({ state: "running" });
    expect(await stages()).toEqual([{ relname: store.stageOf(living) }]);
    await sql`update import set state = 'cancelled' where id = ${living}`;
    expect(await failStaleImports(deps)).toBe(0);
    expect(await stages()).toEqual([]);
  });

  test("stores nothing when it was only asleep and wakes up", async () => {
    const { load, people, workspaceId } = await town();
    const sleeping = async function* () {
      yield Buffer.from("phone\n+919876543210\n");
      await database.sql`update import set heard_at = heard_at - interval '61 seconds' where workspace_id = ${workspaceId}`;
      await failStaleImports(deps);
    };
    await expect(load(sleeping())).rejects.toThrow();
    expect(await people()).toEqual([]);
  });

  test("stores nothing when Postgres lost what was staged", async () => {
    const { load, people, imports } = await town();
    const source = async function* () {
      yield Buffer.from(`phone\n${"+919876543210\n".repeat(80_000)}`);
      const [stage] = await stages();
      await database.sql`truncate ${database.sql(String(stage?.["relname"]))}`;
    };
    expect((await refusalOf(load(source()))).message).toContain("Postgres restarted while the file was read");
    expect([await people(), (await imports())[0]?.state]).toEqual([[], "failed"]);
  });
});
