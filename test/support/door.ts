import type { InjectOptions } from "fastify";
import type { Right } from "../../src/contract/key.ts";
import type { App, Deps } from "../../src/doors/http/deps.ts";
import { buildServer } from "../../src/doors/http/server.ts";
import { chosenBy } from "../../src/flow/audience/chosen-store.ts";
import { enlist } from "../../src/flow/audience/enlist.ts";
import { createBreaker } from "../../src/flow/dispatch/breaker.ts";
import type { DispatchDeps } from "../../src/flow/dispatch/deps.ts";
import { executeBatch } from "../../src/flow/dispatch/execute-batch.ts";
import { credentialKey } from "../../src/flow/provider/credentials.ts";
import { openProviders } from "../../src/flow/provider/open.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { readConfig } from "../../src/runtime/config.ts";
import { createKey, ensureDefaultWorkspace } from "../../src/runtime/keys.ts";
import { createLog } from "../../src/runtime/log.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { createMetrics } from "../../src/runtime/metrics.ts";
import { type FreshDatabase, freshDatabase } from "./database.ts";

export interface Door {
  readonly app: App;
  readonly database: FreshDatabase;
  readonly workspaceId: string;
  /** All rights in the default workspace. */
  readonly key: string;
  /** Every line the log wrote. */
  readonly lines: string[];
  /** A key of one's own: for other rights, for another workspace. */
  newKey(rights: readonly Right[], workspaceId?: string): Promise<string>;
  newWorkspace(): Promise<string>;
  /** Asks with the key of all rights, unless told otherwise. */
  ask(
    method: NonNullable<InjectOptions["method"]>,
    url: string,
    options?: Pick<InjectOptions, "payload" | "headers"> & { key?: string | null },
  ): ReturnType<typeof ask>;
  close(): Promise<void>;
}

const ask = (app: App, options: InjectOptions) => app.inject(options);

/** The HTTP door over a database of its own, asked without a socket. */
export async function openDoor(changes: Partial<Deps> = {}): Promise<Door> {
  const database = await freshDatabase({ max: 10 });
  const { sql } = database;
  const lines: string[] = [];
  const log = createLog("trace", { write: (line) => lines.push(line) });
  const workspaceId = await ensureDefaultWorkspace(sql);
  const newKey = async (rights: readonly Right[], workspace = workspaceId) =>
    (await createKey(sql, systemLuck, { workspaceId: workspace, name: "test", rights })).key;
  const key = await newKey(["read", "write", "send", "admin"]);
  const deps = { sql, clock: systemClock, luck: systemLuck, log };
  const keys = [credentialKey("a secret of this test only")] as const;
  const providers = openProviders({ ...deps, keys });
  const engine: DispatchDeps = {
    ...deps,
    openProvider: providers.open,
    breaker: createBreaker(),
    lead: { ms: 0 },
    engineId: systemLuck.uuid(),
    signal: new AbortController().signal,
  };
  const config = { ...readConfig({}), csvBytesMax: 10_000_000 };
  const app = await buildServer({
    ...deps,
    prompt: sql,
    metrics: createMetrics(),
    config,
    keys,
    providers,
    enlist,
    chosenBy,
    executeBatch: (ref) => executeBatch(ref, engine),
    ...changes,
  });
  return {
    app,
    database,
    workspaceId,
    key,
    lines,
    newKey,
    async newWorkspace() {
      const id = systemLuck.uuid();
      await sql`insert into workspace (id, name) values (${id}, 'other')`;
      return id;
    },
    ask: (method, url, { key: other = key, headers, ...rest } = {}) =>
      ask(app, { method, url, headers: { ...(other === null ? {} : { authorization: `Bearer ${other}` }), ...headers }, ...rest }),
    async close() {
      await app.close();
      await providers.close();
      await database.drop();
    },
  };
}
