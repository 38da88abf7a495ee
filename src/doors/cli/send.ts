import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { createInterface } from "node:readline/promises";
import type { Command } from "commander";
import type { Api } from "./api.ts";
import { sayAdded } from "./import.ts";
import type { Screen } from "./screen.ts";
import { apiCommand, type Common, ownApi, withApi, withHouse } from "./session.ts";
import { addsUp, sayStatement, watchCampaign } from "./watch.ts";
import { Failed, type World, WrongUsage } from "./world.ts";

interface SendOptions extends Common {
  readonly csv: string;
  readonly template?: string;
  readonly language?: string;
  readonly text?: string;
  readonly sender?: string;
  readonly rate?: string;
  readonly name?: string;
  readonly country?: string;
  readonly body?: readonly string[];
  readonly var?: readonly string[];
  readonly yes?: boolean;
}

export const sendCommand = (world: World): Command =>
  apiCommand("send", "Send one campaign from a file, and watch it to its end.")
    .requiredOption("--csv <file>", "who: one row per person, with a phone column")
    .option("--template <name>", "what: an approved WhatsApp template")
    .option("--language <code>", "the template's language, such as en_US")
    .option("--text <text>", "what: a free text, for people who wrote within the last 24 hours")
    .option("--body <value...>", "the template's body values in order, each a text with variables: --body '{{firstName}}'")
    .option("--var <name=value...>", "values that everybody has: --var city=Pune")
    .option("--sender <id>", "from whom (default: the only sender)")
    .option("--rate <n>", "messages per minute (default: the sender's pace)")
    .option("--name <name>", "the campaign's name (default: the file's)")
    .option("--country <code>", "the country of numbers without a country code, such as IN")
    .option("--yes", "do not ask before sending")
    .action(async (options: SendOptions) => {
      if ((options.template === undefined) === (options.text === undefined)) throw new WrongUsage("Give either --template or --text.");
      if (options.url !== undefined) await withApi(world, options, (api, screen) => send(api, screen, options));
      else await sendHere(world, options);
    });

/** Here, the engine that sends runs in this process too, until the campaign has ended. */
async function sendHere(world: World, options: SendOptions): Promise<void> {
  await withHouse(world, options, async (house, screen) => {
    const serving = await world.serve(house, { only: ["engine", "scheduler", "receipts"] });
    try {
      await send(await ownApi(world, house), screen, options);
    } finally {
      await serving.stop();
    }
  });
}

async function send(api: Api, screen: Screen, options: SendOptions): Promise<void> {
  const file = await stat(options.csv).catch(() => null);
  if (!file?.isFile()) throw new Failed(`There is no file ${options.csv}.`);
  const { data: campaign } = await api.call<{ data: { id: string } }>({
    method: "POST",
    path: "/api/v1/campaigns",
    body: await bodyOf(api, options),
  });
  try {
    await sendDraft(api, screen, { options, id: campaign.id });
  } catch (error) {
    // A draft that was never started is of no use to anybody; one that was is not removed by this.
    await api.call({ method: "DELETE", path: `/api/v1/campaigns/${campaign.id}` }).catch(() => {});
    throw error;
  }
}

async function sendDraft(api: Api, screen: Screen, { options, id }: { options: SendOptions; id: string }): Promise<void> {
  const path = `/api/v1/campaigns/${id}`;
  const query = options.country === undefined ? "" : `?country=${encodeURIComponent(options.country)}`;
  const { data: added } = await api.call<{ data: Parameters<typeof sayAdded>[1] }>({
    method: "POST",
    path: `${path}/recipients${query}`,
    body: createReadStream(options.csv),
  });
  sayAdded(screen, added);
  if (added.inserted === 0) throw new Failed("Nobody is left to write to.");
  if (!(await agreed(screen, options, added.inserted))) throw new Failed("Nothing was sent.");
  await api.call({ method: "POST", path: `${path}/start` });
  const ended = await watchCampaign(api, id, screen);
  if (ended.statement !== null) sayStatement(screen, ended.statement);
  screen.result({ id, status: ended.status, statement: ended.statement });
  if (ended.status !== "completed") throw new Failed(`The campaign is ${ended.status}: ${ended.pauseReason ?? ended.failure ?? ""}`);
  if (ended.statement === null || !addsUp(ended.statement)) throw new Failed("The statement does not add up.");
}

async function bodyOf(api: Api, { template, language, text = "", sender, rate, name, csv, body, var: given = [] }: SendOptions): Promise<object> {
  if (rate !== undefined && !(Number(rate) > 0)) throw new WrongUsage(`--rate is ${rate}; it must be a number above 0, in messages per minute.`);
  const message =
    template === undefined
      ? { messageType: "text", messageContent: text }
      : {
          messageType: "template",
          template: { name: template, ...(language === undefined ? {} : { language }), ...(body === undefined ? {} : { components: { body } }) },
        };
  return {
    accountId: sender ?? (await onlySender(api)),
    name: name ?? basename(csv),
    ...message,
    audienceType: "csv",
    scheduleType: "manual",
    ...(given.length > 0 ? { templateVariables: variablesOf(given) } : {}),
    throttleConfig: { messagesPerMinute: rate === undefined ? null : Number(rate) },
  };
}

function variablesOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new WrongUsage(`--var ${pair}: write it as name=value.`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}

async function onlySender(api: Api): Promise<string> {
  const { data } = await api.call<{ data: { id: string; name: string }[] }>({ method: "GET", path: "/api/v1/senders" });
  const [only] = data;
  if (data.length === 1 && only !== undefined) return only.id;
  throw new WrongUsage(
    data.length === 0
      ? "There is no sender yet. Set META_ACCESS_TOKEN and META_PHONE_NUMBER_ID, or make one through the API."
      : `Which sender? Give --sender:\n${data.map(({ id, name }) => `  ${id}  ${name}`).join("\n")}`,
  );
}

async function agreed(screen: Screen, { yes, json }: SendOptions, people: number): Promise<boolean> {
  if (yes) return true;
  if (json || !process.stdin.isTTY) throw new WrongUsage("Add --yes to send without being asked.");
  const line = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await line.question(`Send to ${people.toLocaleString("en")} people now? [y/N] `);
  line.close();
  screen.say();
  return /^y(es)?$/i.test(answer.trim());
}
