import { Command } from "commander";
import type { Api } from "./api.ts";
import type { Screen } from "./screen.ts";
import { apiCommand, type Common, withApi } from "./session.ts";
import { type CampaignSeen, sayCampaign, watchCampaign } from "./watch.ts";
import { Failed, type World, WrongUsage } from "./world.ts";

const pathOf = (id: string, action = ""): string => `/api/v1/campaigns/${encodeURIComponent(id)}${action === "" ? "" : `/${action}`}`;

export function campaignCommand(world: World): Command {
  const group = new Command("campaign").description("List, show, steer and watch campaigns.");
  group.addCommand(lsCommand(world));
  group.addCommand(showCommand(world));
  for (const [action, summary] of steering) group.addCommand(steerCommand(world, action, summary));
  group.addCommand(resendCommand(world));
  group.addCommand(
    apiCommand("watch", "Follow a campaign until it has ended.")
      .argument("<id>", idHint)
      .action((id: string, options: Common) =>
        withApi(world, options, async (api, screen) => {
          const campaign = await watchCampaign(api, await idOf(api, id), screen);
          screen.result(campaign);
        }),
      ),
  );
  return group;
}

const idHint = "the campaign's id, or how it begins";

const steering = [
  ["start", "Start a draft."],
  ["pause", "Mark nothing more; says how many messages may still be on their way."],
  ["resume", "Go on with a paused campaign."],
  ["stop", "End a campaign for good; whoever was not written to is skipped."],
  ["duplicate", "Make a new draft of it; nobody's state is copied."],
] as const;

const lsCommand = (world: World): Command =>
  apiCommand("ls", "List campaigns, the newest first.")
    .option("--limit <n>", "how many", "20")
    .action((options: Common & { limit: string }) =>
      withApi(world, options, async (api, screen) => {
        const { data } = await api.call<{ data: CampaignSeen[] }>({
          method: "GET",
          path: `/api/v1/campaigns?limit=${encodeURIComponent(options.limit)}`,
        });
        if (data.length === 0) screen.say("There is no campaign yet. Make one with: campanile send --csv people.csv --template <name>");
        else screen.table([["ID", "NAME", "STATUS", "RECIPIENTS", "ACCEPTED", "FAILED", "SKIPPED", "UNCERTAIN"], ...data.map(rowOf)]);
        screen.result(data);
      }),
    );

const rowOf = ({ id, name, status, totalRecipients, counts }: CampaignSeen) => [
  id,
  name.length > 32 ? `${name.slice(0, 31)}…` : name,
  status,
  totalRecipients ?? "–",
  counts.accepted,
  counts.failed,
  counts.skipped,
  counts.uncertain,
];

const showCommand = (world: World): Command =>
  apiCommand("show", "Show one campaign and its figures.")
    .argument("<id>", idHint)
    .action((id: string, options: Common) =>
      withApi(world, options, async (api, screen) => {
        const path = pathOf(await idOf(api, id));
        const { data: campaign } = await api.call<{ data: CampaignSeen }>({ method: "GET", path });
        const { data: stats } = await api.call<{ data: Parameters<typeof sayCampaign>[2] }>({ method: "GET", path: `${path}/stats` });
        sayCampaign(screen, campaign, stats);
        screen.result({ ...campaign, stats });
      }),
    );

const steerCommand = (world: World, action: (typeof steering)[number][0], summary: string): Command =>
  apiCommand(action, summary)
    .argument("<id>", idHint)
    .action((id: string, options: Common) =>
      withApi(world, options, async (api, screen) => {
        const answer = await api.call<{ message: string; data: { id: string; status: string; inFlight?: number } }>({
          method: "POST",
          path: pathOf(await idOf(api, id), action),
        });
        const flight = answer.data.inFlight === undefined ? "" : `; ${answer.data.inFlight} messages may still be on their way`;
        screen.say(`${answer.message} (${action === "duplicate" ? `${answer.data.id}, ` : ""}status ${answer.data.status}${flight}).`);
        screen.result(answer.data);
      }),
    );

interface ResendOptions extends Common {
  readonly failed?: string | true;
  readonly uncertain?: true;
  readonly notDelivered?: string;
}

const resendCommand = (world: World): Command =>
  apiCommand("resend", "Make a new draft for those whom an ended campaign did not reach.")
    .argument("<id>", idHint)
    .option("--failed [codes]", "who failed; with codes such as 131026,130472, for these reasons only")
    .option("--uncertain", "who may have got it or not")
    .option("--not-delivered <minutes>", "who was sent it so long ago, and of whom nothing was heard since")
    .action((id: string, options: ResendOptions) =>
      withApi(world, options, async (api, screen) => {
        const { data } = await api.call<{ data: { id: string; name: string; total_recipients: number } }>({
          method: "POST",
          path: pathOf(await idOf(api, id), "resend"),
          body: { scope: scopeOf(options) },
        });
        const people = `${data.total_recipients.toLocaleString("en")} ${data.total_recipients === 1 ? "person" : "people"}`;
        screen.say(`"${data.name}" is a draft for ${people}. Send it with: campanile campaign start ${data.id}`);
        screen.result(data);
      }),
    );

function scopeOf({ failed, uncertain, notDelivered }: ResendOptions): object {
  const scopes = [
    ...(failed === undefined ? [] : [{ of: "failed", ...(failed === true ? {} : { codes: failed.split(",").map((code) => code.trim()) }) }]),
    ...(uncertain === undefined ? [] : [{ of: "uncertain" }]),
    ...(notDelivered === undefined ? [] : [{ of: "not_delivered", afterMinutes: Number(notDelivered) }]),
  ];
  const [only] = scopes;
  if (scopes.length === 1 && only !== undefined) return only;
  throw new WrongUsage("Say to whom, with one of: --failed [codes], --uncertain, --not-delivered <minutes>.");
}

export const executeBatchCommand = (world: World): Command =>
  apiCommand("execute-batch", "Send to the next 25 recipients of a campaign at most, then end.")
    .argument("<id>", idHint)
    .action((id: string, options: Common) =>
      withApi(world, options, async (api, screen) => {
        const path = `/api/campaigns/${encodeURIComponent(await idOf(api, id))}/execute-batch`;
        const { result } = await api.call<{ result: Record<string, number | string | boolean> }>({ method: "POST", path });
        sayBatch(screen, result);
        screen.result(result);
      }),
    );

function sayBatch(screen: Screen, result: Readonly<Record<string, number | string | boolean>>): void {
  const { processed, sent, failed, skipped, uncertain, deferred, paused, completed, pauseReason } = result;
  screen.say(`Processed ${processed}: ${sent} sent, ${failed} failed, ${skipped} skipped, ${uncertain} uncertain, ${deferred} to be tried again.`);
  if (pauseReason !== undefined) screen.say(String(pauseReason));
  screen.say(completed ? "The campaign is completed." : paused ? "The campaign is paused." : "The campaign goes on.");
}

/** A whole id as it is; the beginning of one is looked up among the newest campaigns. */
async function idOf(api: Api, id: string): Promise<string> {
  if (id.replace(/^cmp_/, "").length >= 36) return id;
  const { data } = await api.call<{ data: CampaignSeen[] }>({ method: "GET", path: "/api/v1/campaigns?limit=100" });
  const found = data.filter((campaign) => campaign.id.startsWith(id.replace(/^cmp_/, "")));
  const [only] = found;
  if (found.length === 1 && only !== undefined) return only.id;
  throw new Failed(
    found.length === 0
      ? `No campaign's id begins with ${id}. 'campanile campaign ls' lists them.`
      : `${found.length} campaigns' ids begin with ${id}: give more of it.`,
  );
}
