import { csvLine } from "../../../rules/csv-cell.ts";
import type { Sql } from "../../../runtime/postgres.ts";
import * as store from "./store.ts";

const PAGE_ROWS = 1_000;

/** Every rejected row of an import, by line, read page by page: no long snapshot, and no more than a page in memory. */
export async function* rejects(sql: Sql, ref: store.ImportRef): AsyncGenerator<store.Reject> {
  for (let after = 0; ; ) {
    const page = await store.listRejects(sql, ref, { after, limit: PAGE_ROWS });
    yield* page;
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE_ROWS) return;
    after = last.line;
  }
}

/** The same as the text of a CSV file, UTF-8 with the mark by which Excel knows it. No cell begins a formula. */
export async function* rejectsCsv(sql: Sql, ref: store.ImportRef): AsyncGenerator<string> {
  yield `\ufeff${csvLine(["line", "value", "reason"])}`;
  let lines = "";
  for await (const { line, value, reason } of rejects(sql, ref)) {
    lines += csvLine([line, value, reason]);
    if (lines.length < 65_536) continue;
    yield lines;
    lines = "";
  }
  if (lines !== "") yield lines;
}
