import { expect, onTestFinished, test } from "vitest";
import { freshDatabase } from "./support/database.ts";
import { dumpSchema } from "./support/schema-dump.ts";

const head = "-- What the migrations make, for reading. Written by `npm run schema`; to change it, add a migration.";

test("db/schema.sql is what the migrations make", async () => {
  const { sql, drop } = await freshDatabase();
  onTestFinished(drop);
  await expect(`${head}\n\n${await dumpSchema(sql)}\n`).toMatchFileSnapshot("../db/schema.sql");
});

test("the dump shows every kind of change", async () => {
  const { sql, drop } = await freshDatabase();
  onTestFinished(drop);
  let before = await dumpSchema(sql);
  for (const change of [
    "alter table lease alter column term drop not null",
    "alter table lease add column note text",
    "alter table lease add constraint noted check (note <> '')",
    "create index lease_note on lease (note)",
    "alter table lease alter column note set default 'none'",
    "alter table lease set (fillfactor = 50)",
    "create or replace function campanile.clock() returns timestamptz language sql volatile as $$ select 'epoch'::timestamptz $$",
    "create trigger lease_locked before delete on lease for each row execute function campanile.legal_transition()",
    "create view leased as select name from lease",
    "create table town (name text)",
  ]) {
    await sql.unsafe(change);
    const after = await dumpSchema(sql);
    expect(after, change).not.toBe(before);
    before = after;
  }
});
