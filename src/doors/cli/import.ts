import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Command } from "commander";
import type { Screen } from "./screen.ts";
import { apiCommand, type Common, withApi } from "./session.ts";
import { Failed, type World, WrongUsage } from "./world.ts";

interface ImportOptions extends Common {
  readonly country?: string;
  readonly list?: string;
  readonly map?: readonly string[];
}

/** What adding people to a draft answers. */
export interface Added {
  readonly inserted: number;
  readonly rejected: readonly { readonly line: number; readonly value: string; readonly reason: string }[];
  readonly rejectedCount: number;
}

const SHOWN_MAX = 5;
const counted = (count: number, one: string, many: string): string => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** Says how many came in, and why others did not. */
export function sayAdded(screen: Screen, { inserted, rejected, rejectedCount }: Added): void {
  screen.say(`${counted(inserted, "person", "people")}, ${counted(rejectedCount, "row", "rows")} rejected.`);
  for (const { line, value, reason } of rejected.slice(0, SHOWN_MAX)) screen.say(`  line ${line}: ${value}: ${reason}`);
  if (rejectedCount > SHOWN_MAX) screen.say(`  and ${rejectedCount - SHOWN_MAX} more`);
}

interface Import {
  readonly id: string;
  readonly state: string;
  readonly rows: number;
  readonly stored: number;
  readonly merged: number;
  readonly rejected: number;
  readonly cause: string | null;
}

export const importCommand = (world: World): Command =>
  apiCommand("import", "Import contacts from a CSV file of any encoding and delimiter.")
    .argument("<csv>", "the file")
    .option("--country <code>", "the country of numbers without a country code, such as IN")
    .option("--list <name>", "put everybody on this list; it is made when there is none")
    .option("--map <col=field...>", "which column is what, where the header does not say so: --map Handy=phone Firma=company")
    .action((csv: string, options: ImportOptions) =>
      withApi(world, options, async (api, screen) => {
        const file = await stat(csv).catch(() => null);
        if (!file?.isFile()) throw new Failed(`There is no file ${csv}.`);
        const bar = screen.bar({ total: file.size, format: "  {bar} {percentage} %  {value} of {total} bytes" });
        const stream = createReadStream(csv);
        stream.on("data", () => bar.at(stream.bytesRead));
        const path = `/api/v1/contacts/import?${queryOf(csv, options)}`;
        const { data } = await api.call<{ data: Import }>({ method: "POST", path, body: stream }).finally(() => bar.stop());
        screen.say(`${data.rows} rows: ${data.stored} stored, ${data.merged} merged (already there), ${data.rejected} rejected.`);
        if (data.rejected > 0) screen.say(`Why: GET /api/v1/imports/${data.id}/rejects.csv`);
        screen.result(data);
        if (data.state === "failed") throw new Failed(data.cause ?? "The import failed.");
      }),
    );

function queryOf(csv: string, { country, list, map = [] }: ImportOptions): string {
  const query = new URLSearchParams({ fileName: basename(csv) });
  if (country !== undefined) query.set("country", country);
  if (list !== undefined) query.set("list", list);
  for (const pair of map) {
    if (!/^.+=.+$/.test(pair)) throw new WrongUsage(`--map ${pair}: write it as column=field.`);
    query.append("map", pair);
  }
  return query.toString();
}
