import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { pause, resume, start } from "../../src/flow/campaign/control.ts";
import { type House, openHouse } from "../../src/house.ts";
import { readConfig } from "../../src/runtime/config.ts";
import { createLog } from "../../src/runtime/log.ts";
import { serve } from "../../src/serve.ts";
import { companyOf, firstNameOf, MESSAGE, type Place, phoneOf } from "../contender.ts";

export const APP_SECRET = "the app secret of this bench";

/** The product, opened as `campanile serve` opens it. */
export function houseAt({ databaseUrl, dir }: Place): Promise<House> {
  const config = readConfig({
    DATABASE_URL: databaseUrl,
    CAMPANILE_DATA_DIR: mkdtempSync(join(dir, "house-")), // one for each: a copied database has not been where its original went

    CAMPANILE_SECRET: "a secret of this bench only",
    META_APP_SECRET: APP_SECRET,
    META_VERIFY_TOKEN: "verify",
    PORT: "0",
    LOG_LEVEL: "warn",
  });
  return openHouse(config, createLog("warn", { write: note }));
}

const SHOWN_MAX = 3;
const errors: string[] = [];

function note(line: string): void {
  const isError = ["error", "fatal"].includes((JSON.parse(line) as { level: string }).level);
  if (isError) errors.push(line);
  if (!isError || errors.length <= SHOWN_MAX) process.stderr.write(line);
}

/** The engine goes on after an error, and may even do all of its work: that is no run to measure. */
export function assertNoErrors(): void {
  if (errors.length > 0) throw new Error(`${errors.length} errors were logged; the first: ${errors[0]}`);
}

export function* csvOf(rows: number): Generator<string> {
  let text = "phone,first name,company\n";
  for (let position = 1; position <= rows; position++) {
    text += `${phoneOf(position)},${firstNameOf(position)},${companyOf(position)}\n`;
    if (text.length < 65_536) continue;
    yield text;
    text = "";
  }
  yield text;
}

/** A planned campaign to `n` people, through the product's own doors: imported, planned, lots of 1,000, no pace, no cap; paused before anybody was written to. */
export async function plannedCampaign(house: House, senderId: string, n: number): Promise<void> {
  const { workspaceId } = house;
  // Only here: the process that sends holds what an engine holds.
  const { enlist } = await import("../../src/flow/audience/enlist.ts");
  const { importCsv } = await import("../../src/flow/audience/import/import.ts");
  const { namedList } = await import("../../src/flow/audience/lists.ts");
  const { createCampaign } = await import("../../src/flow/campaign/create.ts");
  const list = await namedList(workspaceId, "Everybody", house);
  const source = (async function* () {
    yield* csvOf(n);
  })();
  await importCsv({ workspaceId, listId: list.id, fileName: "bench.csv", source }, house);
  const campaign = await createCampaign(
    {
      workspaceId,
      surface: "engine",
      name: "Bench",
      senderId,
      message: { type: "text", text: MESSAGE },
      audience: { type: "list", listId: list.id },
      throttle: { messagesPerMinute: null, batchSize: null },
    },
    { ...house, enlist },
  );
  const { state } = await start({ workspaceId, id: campaign.id }, { atOnce: true }, house);
  if (state !== "running") throw new Error(`the campaign is ${state}, not running`);
  await pause({ workspaceId, id: campaign.id }, { reason: "Paused by the bench" }, house);
}

/** Its connections are open and its code has been read when it has looked for work so long. */
const SETTLE_MS = 500;

/** An always-on engine that has nothing to do yet. */
export async function idleEngine(house: House): Promise<() => Promise<void>> {
  const { stop } = await serve(house, { only: ["engine"] });
  await house.clock.sleep(SETTLE_MS);
  return stop;
}

/** The campaign goes on, until it is completed. */
export async function sendAll(house: House): Promise<void> {
  const { id } = await campaignIn(house);
  await resume({ workspaceId: house.workspaceId, id }, { atOnce: true }, house);
  await completion(house);
}

interface CampaignNow {
  readonly id: string;
  readonly state: string;
  readonly statement: { readonly recipients: number; readonly accepted: number } | null;
}

export async function campaignIn({ sql }: House): Promise<CampaignNow> {
  const [campaign] = await sql<CampaignNow[]>`select id, state, statement from campaign`;
  if (campaign === undefined) throw new Error("there is no campaign");
  return campaign;
}

const LOOK_MS = 1_000;

/** Resolves when the campaign is completed: every message has its row, and the statement is computed from them and stored. The database says so. */
async function completion(house: House): Promise<void> {
  let wake = () => {};
  const { unlisten } = await house.sql.listen("campanile", () => wake());
  for (;;) {
    const told = new Promise<void>((resolve) => (wake = resolve));
    const { state } = await campaignIn(house);
    if (state === "completed") return unlisten();
    if (state !== "running") throw new Error(`the campaign is ${state}`);
    await Promise.race([told, house.clock.sleep(LOOK_MS)]);
  }
}

/** Rows, counters and statement must say the same. */
export async function accepted(house: House): Promise<number> {
  assertNoErrors();
  const { id, statement } = await campaignIn(house);
  const [found] = await house.sql<{ rows: number; counted: number }[]>`
    select (select count(*) from message where campaign_id = ${id} and state = 'accepted' and provider_ref is not null) as rows,
      (select accepted from dispatch_count where campaign_id = ${id}) as counted`;
  const { rows, counted } = found ?? { rows: 0, counted: 0 };
  if (statement?.accepted !== rows || statement.recipients !== rows || counted !== rows) {
    throw new Error(`${rows} rows, ${counted} counted, and the statement says ${JSON.stringify(statement)}`);
  }
  return rows;
}
