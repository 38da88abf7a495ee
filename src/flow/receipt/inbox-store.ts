import { isUtf8 } from "node:buffer";
import type { Sql } from "../../runtime/postgres.ts";

/**
 * Several webhooks at once: all bodies as one value, cut by their lengths. Each as an element of an array would be quoted here and
 * unquoted there, byte by byte. Text where they are text, as JSON is; else hexadecimal, twice as long.
 */
export function insertInbox(sql: Sql, source: string, rows: readonly { body: Buffer; senders: readonly string[] }[]) {
  const whole = Buffer.concat(rows.map(({ body }) => body));
  const isText = isUtf8(whole) && !whole.includes(0);
  const lengths = rows.map(({ body }) => body.length);
  let start = 1;
  const starts = lengths.map((length) => {
    start += length;
    return start - length;
  });
  return sql`
    with whole as materialized (select ${isText ? sql`convert_to(${whole.toString("utf8")}, 'UTF8')` : sql`decode(${whole.toString("hex")}, 'hex')`} as bytes)
    insert into inbox (source, body, senders)
    select ${source}, substring(whole.bytes from v.start for v.length), string_to_array(v.senders, ',')
    from whole, unnest(${starts}::int[], ${lengths}::int[], ${rows.map(({ senders }) => senders.join(","))}::text[]) as v (start, length, senders)`;
}
