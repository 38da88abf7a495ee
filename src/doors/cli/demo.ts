import { createReadStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { startVendor, type Vendor } from "../../../vendor/main.ts";
import type { House } from "../../house.ts";
import type { Config } from "../../runtime/config.ts";
import { createKey } from "../../runtime/keys.ts";
import type { Api } from "./api.ts";
import { borrowDatabase } from "./demo-store.ts";
import { type Added, sayAdded } from "./import.ts";
import { createScreen, type Screen } from "./screen.ts";
import { untilTold } from "./serve.ts";
import { type Common, command, ownApi } from "./session.ts";
import { addsUp, type CampaignSeen, type Statement, type Stats, sayCampaign, watchCampaign } from "./watch.ts";
import { type World, WrongUsage } from "./world.ts";

interface DemoOptions extends Common {
  readonly once?: boolean;
  readonly recipients?: string;
  readonly seed: string;
}

/** The sender's pace: what a WhatsApp number may send by default. */
const PER_SECOND = 80;
const CAP = 100_000;
const APP_SECRET = "demo-app-secret";
const VERIFY_TOKEN = "demo-verify-token";
/** Receipts that are still on their way when the campaign has ended are waited for so long. */
const RECEIPTS_MAX_MS = 6_000;
const RECIPIENTS_MAX = 100_000;

export const demoCommand = (world: World, exit: (code: number) => void): Command =>
  command("demo", "Send a campaign through the simulated WhatsApp, and show what became of everybody.")
    .option("--once", "end afterwards; exit code 0 only when the statement adds up and the vendor's ledger agrees")
    .option("--recipients <n>", "write to so many made-up people instead of those in examples/audience.csv")
    .option("--seed <n>", "what decides the fate of each message", "1")
    .action(async (options: DemoOptions) => {
      const people = options.recipients === undefined ? null : peopleOf(options.recipients);
      const screen = createScreen(options.json ?? options.once ?? false);
      const told = new AbortController();
      void untilTold().then(() => told.abort());
      const dataDir = mkdtempSync(join(tmpdir(), "campanile-demo-"));
      const vendor = await startVendor({
        ledgerPath: join(dataDir, "ledger.jsonl"),
        settings: { seed: Number(options.seed), limits: { throughput: PER_SECOND } },
      });
      const { databaseUrl: server } = world.readConfig();
      const borrowed = server === undefined ? null : await borrowDatabase(server, `campanile_demo_${process.pid}`);
      try {
        exit(await demo(world, { options, people, screen, dataDir, vendor, databaseUrl: borrowed?.url, told: told.signal }));
      } finally {
        await borrowed?.giveBack();
        await vendor.stop();
        rmSync(dataDir, { recursive: true, force: true });
      }
    });

function peopleOf(text: string): number {
  const people = Number(text);
  if (!Number.isInteger(people) || people < 1 || people > RECIPIENTS_MAX)
    throw new WrongUsage(`--recipients is ${text}; it must be a whole number from 1 to ${RECIPIENTS_MAX}.`);
  return people;
}

interface Stage {
  readonly options: DemoOptions;
  readonly people: number | null;
  readonly screen: Screen;
  readonly dataDir: string;
  readonly vendor: Vendor;
  /** On the server that DATABASE_URL names; undefined: an embedded one. */
  readonly databaseUrl: string | undefined;
  /** Aborted by Ctrl-C: everything that was started is ended. */
  readonly told: AbortSignal;
}

async function demo(world: World, stage: Stage): Promise<number> {
  const { options, screen, vendor } = stage;
  const startedAt = performance.now();
  const config = configOf(world.readConfig(), stage);
  screen.say("Campanile demo: a real Postgres, a simulated WhatsApp over real HTTP, signed webhooks.");
  screen.say();
  const house = await world.openHouse(config, world.createLog(options.verbose ? "info" : "error"));
  try {
    const serving = await world.serve(house, { port: options.once ? 0 : config.port });
    try {
      await vendor.setWebhook({ url: `${serving.url}/webhooks/whatsapp`, appSecret: APP_SECRET, verifyToken: VERIFY_TOKEN });
      const api = await ownApi(world, house);
      const { campaign, agrees, ledger } = await campaignThrough(api, stage);
      const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
      screen.result({ statement: campaign.statement === null ? null : shortOf(campaign.statement), ledger, seconds });
      if (!options.once) await showOff(house, { screen, url: serving.url ?? "", told: stage.told });
      return agrees ? 0 : 1;
    } finally {
      await serving.stop();
    }
  } finally {
    await house.close();
  }
}

/** The demo's own world: a data directory of its own, and the simulated vendor instead of Meta. */
const configOf = (config: Config, { dataDir, vendor, databaseUrl }: Stage): Config => ({
  ...config,
  dataDir,
  databaseUrl,
  defaultSender: { accessToken: vendor.token, phoneNumberId: vendor.phoneNumberId, wabaId: vendor.wabaId },
  apiBase: vendor.url,
  appSecret: APP_SECRET,
  verifyToken: VERIFY_TOKEN,
  dailyCap: CAP,
});

async function campaignThrough(
  api: Api,
  stage: Stage,
): Promise<{ campaign: CampaignSeen; agrees: boolean; ledger: { accepted: number; duplicates: number } }> {
  const { screen, vendor } = stage;
  const { data: senders } = await api.call<{ data: { id: string }[] }>({ method: "GET", path: "/api/v1/senders" });
  const { data: draft } = await api.call<{ data: { id: string } }>({ method: "POST", path: "/api/v1/campaigns", body: campaignOf(senders[0]?.id) });
  const path = `/api/v1/campaigns/${draft.id}`;
  screen.say(stage.people === null ? "Importing examples/audience.csv" : `Importing ${stage.people.toLocaleString("en")} made-up people`);
  const { data: added } = await api.call<{ data: Added }>({ method: "POST", path: `${path}/recipients?country=IN`, body: csvOf(stage.people) });
  sayAdded(screen, added);
  screen.say();
  screen.say(`Sending at ${PER_SECOND} messages per second, what WhatsApp allows a number`);
  await api.call({ method: "POST", path: `${path}/start` });
  const campaign = await watchCampaign(api, draft.id, screen, stage.told);
  await receiptsIn(vendor);
  const { data: stats } = await api.call<{ data: Stats }>({ method: "GET", path: `${path}/stats` });
  const { accepted, duplicates } = await vendor.ledger(draft.id);
  screen.say();
  sayCampaign(screen, campaign, stats);
  const agrees = sayVerdict(screen, campaign.statement, { accepted, duplicates });
  return { campaign, agrees, ledger: { accepted, duplicates } };
}

const campaignOf = (accountId: string | undefined) => ({
  accountId,
  name: "Spring at the bell tower",
  messageType: "template",
  template: { name: "hello_campanile", components: { body: ['{{ firstName | default: "there" }}'] } },
  audienceType: "csv",
  scheduleType: "manual",
  throttleConfig: { messagesPerMinute: null, batchSize: null },
});

/** The example file, or made-up people: the same number of them is always the same people. */
function csvOf(people: number | null): Readable {
  if (people === null) return createReadStream(fileURLToPath(new URL("../../../examples/audience.csv", import.meta.url)));
  return Readable.from(rowsOf(people));
}

const FIRST_NAMES = ["Asha", "Bruno", "Chiara", "Deepak", "Elena", "Farid", "Grace", "Hiro", "Ines", "Jonas", "Kavya", "Liam"];

function* rowsOf(people: number): Generator<string> {
  yield "phone,first name\n";
  for (let i = 0; i < people; i++) yield `+9198${String(10_000_000 + i)},${FIRST_NAMES[i % FIRST_NAMES.length]}\n`;
}

/** Most receipts come within seconds; the demo waits for those the vendor still holds. */
async function receiptsIn(vendor: Vendor): Promise<void> {
  const until = performance.now() + RECEIPTS_MAX_MS;
  while (vendor.pendingWebhooks() > 0 && performance.now() < until) await pause(100);
  await pause(500);
}

function sayVerdict(screen: Screen, statement: Statement | null, ledger: { accepted: number; duplicates: number }): boolean {
  const sums = statement !== null && addsUp(statement);
  const same = statement !== null && ledger.accepted >= statement.accepted && ledger.accepted <= statement.accepted + statement.uncertain;
  screen.say();
  screen.say(sums ? "The statement adds up: everybody is accounted for." : "The statement does NOT add up.");
  screen.say(
    `The vendor's own ledger: ${ledger.accepted.toLocaleString("en")} messages accepted, ${ledger.duplicates} duplicates. ${same && ledger.duplicates === 0 ? "It agrees." : "It does NOT agree."}`,
  );
  return sums && same && ledger.duplicates === 0;
}

/** The part of a statement that is the same whenever the demo is run with the same seed. */
const shortOf = ({ recipients, accepted, failed, skipped, uncertain }: Statement): Statement => ({
  recipients,
  accepted,
  failed,
  skipped,
  uncertain,
});

async function showOff({ sql, luck, workspaceId }: House, { screen, url, told }: { screen: Screen; url: string; told: AbortSignal }): Promise<void> {
  const { key } = await createKey(sql, luck, { workspaceId, name: "demo", rights: ["read", "write", "send", "admin"] });
  screen.say();
  screen.say(`Look around:  ${url}/whatsapp-admin`);
  screen.say(`      API:    ${url}/docs`);
  screen.say(`      key:    ${key}`);
  screen.say();
  screen.say("Ctrl-C ends the demo and forgets everything.");
  while (!told.aborted) await pause(100);
  screen.say("Gone.");
}
