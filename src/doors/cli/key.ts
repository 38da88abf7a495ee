import { Command } from "commander";
import type { Common } from "./session.ts";
import { apiCommand, withApi } from "./session.ts";
import type { World } from "./world.ts";

interface Key {
  readonly id: string;
  readonly name: string;
  readonly prefix: string;
  readonly rights: readonly string[];
  readonly createdAt: string;
  readonly lastUsedAt: string | null;
  readonly revokedAt: string | null;
}

export function keyCommand(world: World): Command {
  const group = new Command("key").description("Make, list and revoke API keys.");
  group.addCommand(
    apiCommand("create", "Make a key; it is shown this once.")
      .argument("<name>", "what the key is for")
      .option("--rights <rights>", "what it allows: read, write, send, admin (a comma list)", "read,write,send")
      .action((name: string, options: Common & { rights: string }) =>
        withApi(world, options, async (api, screen) => {
          const body = { name, rights: options.rights.split(",").map((right) => right.trim()) };
          const { data } = await api.call<{ data: Key & { key: string } }>({ method: "POST", path: "/api/v1/keys", body });
          screen.say(`Key ${data.name} (${data.rights.join(", ")}), shown this once: ${data.key}`);
          screen.result(data);
        }),
      ),
  );
  group.addCommand(
    apiCommand("ls", "List the keys.").action((options: Common) =>
      withApi(world, options, async (api, screen) => {
        const { data } = await api.call<{ data: Key[] }>({ method: "GET", path: "/api/v1/keys" });
        screen.table([["ID", "NAME", "BEGINS WITH", "RIGHTS", "LAST USED", ""], ...data.map(rowOf)]);
        screen.result(data);
      }),
    ),
  );
  group.addCommand(
    apiCommand("revoke", "Revoke a key; it opens nothing from now on.")
      .argument("<id>")
      .action((id: string, options: Common) =>
        withApi(world, options, async (api, screen) => {
          const answer = await api.call({ method: "DELETE", path: `/api/v1/keys/${encodeURIComponent(id)}` });
          screen.say(`Key ${id} is revoked.`);
          screen.result(answer);
        }),
      ),
  );
  return group;
}

const rowOf = (key: Key) => [key.id, key.name, key.prefix, key.rights.join(" "), key.lastUsedAt ?? "never", key.revokedAt === null ? "" : "revoked"];
