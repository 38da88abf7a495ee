import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { migrate } from "../../src/runtime/migrate.ts";
import { connect } from "../../src/runtime/postgres.ts";
import { asAdmin } from "../support/database.ts";
import { openProxy, type TcpProxy } from "../support/proxy.ts";
import { type Api, openApi } from "./api.ts";
import { freePort, openPostgres, type Postgres } from "./postgres.ts";
import { bundle, type Child, type LogBook, logBook, type Program, start } from "./program.ts";
import { openWitness, type Witness } from "./witness.ts";

/** Everything but the engines: a database, a vendor, a server with the API, and a line between each two of them. */
export interface World {
  readonly program: Program;
  readonly log: LogBook;
  readonly postgres: Postgres;
  readonly witness: Witness;
  readonly api: Api;
  readonly vendor: VendorProcess;
  readonly lines: Lines;
  /** What an engine, or the server, must be told: the database through this line, under this name. */
  envOf(line: TcpProxy, name: string): Readonly<Record<string, string>>;
  /** Ends the server and starts it again in the same place. */
  restartServer(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
  close(): Promise<void>;
}

interface Lines {
  /** From each engine's place to the database. */
  readonly engines: readonly TcpProxy[];
  readonly server: TcpProxy;
  readonly vendor: TcpProxy;
  readonly webhooks: TcpProxy;
}

interface VendorProcess {
  readonly url: string;
  readonly ledgerPath: string;
  readonly token: string;
  control<T>(method: "GET" | "PATCH" | "POST" | "PUT", path: string, body?: unknown): Promise<T>;
}

export interface WorldOptions {
  readonly seed: number;
  readonly engines: number;
  readonly database: "embedded" | "external";
  /** Which connections are hit, and how much jitter. */
  readonly luck: () => number;
}

const API_KEY = "chaos-key-of-this-run";
const APP_SECRET = "chaos-app-secret";
const DATABASE = "chaos";

export async function openWorld({ seed, engines, database, luck }: WorldOptions): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), "campanile-chaos-run-"));
  const endings: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })];
  const close = async () => {
    for (const end of endings.splice(0).reverse()) await end();
  };
  try {
    const program = await bundle();
    endings.push(program.remove);
    const log = logBook();
    const postgres = await openPostgres(database);
    endings.push(postgres.stop);
    await makeDatabase(postgres);
    const witness = await openWitness(postgres.url(DATABASE));
    endings.push(witness.close);
    const line = async (port: number, speaks?: "postgres") => {
      const proxy = await openProxy({ port }, { luck, ...(speaks === undefined ? {} : { speaks }) });
      endings.push(proxy.close);
      return proxy;
    };
    const vendor = await startVendorProcess(program, { seed, log, ledgerPath: join(dir, "ledger.jsonl"), endings });
    const serverPort = await freePort();
    const lines: Lines = {
      engines: await Promise.all(Array.from({ length: engines }, () => line(postgres.port, "postgres"))),
      server: await line(postgres.port, "postgres"),
      vendor: await line(Number(new URL(vendor.url).port)),
      webhooks: await line(serverPort),
    };
    const envOf = (to: TcpProxy, name: string) => ({
      DATABASE_URL: `postgres://campanile@127.0.0.1:${to.port}/${DATABASE}?application_name=${name}`,
      CAMPANILE_DATA_DIR: join(dir, "data"),
      CAMPANILE_SECRET: "chaos-secret-of-this-run",
    });
    const server = serverPlace(() =>
      start(program, ["serve", "--only", "api,receipts,scheduler", "--port", String(serverPort)], {
        env: { ...envOf(lines.server, "server"), CAMPANILE_API_KEY: API_KEY, META_APP_SECRET: APP_SECRET },
        log,
      }),
    );
    endings.push(server.end);
    await server.begin();
    await vendor.control("PUT", "/webhook", { url: `http://127.0.0.1:${lines.webhooks.port}/webhooks/whatsapp`, appSecret: APP_SECRET });
    let calls = 0;
    const api = openApi(
      () => `http://127.0.0.1:${serverPort}`,
      API_KEY,
      () => `chaos-${seed}-${++calls}`,
    );
    return { program, log, postgres, witness, api, vendor, lines, envOf, restartServer: server.restart, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makeDatabase(postgres: Postgres): Promise<void> {
  await asAdmin(postgres.url("postgres"), (sql) => sql`create database ${sql(DATABASE)} encoding 'UTF8' template template0`);
  const sql = connect(postgres.url(DATABASE), { max: 1 });
  await migrate(sql);
  await sql.end();
}

async function startVendorProcess(
  program: Program,
  { seed, log, ledgerPath, endings }: { seed: number; log: LogBook; ledgerPath: string; endings: (() => unknown)[] },
): Promise<VendorProcess> {
  const child = start(program, ["vendor", "--port", "0", "--ledger", ledgerPath, "--seed", String(seed)], { env: {}, log });
  endings.push(() => ended(child, "SIGTERM"));
  const { url, META_ACCESS_TOKEN: token } = await child.ready;
  return {
    url: String(url),
    token: String(token),
    ledgerPath,
    async control<T>(method: string, path: string, body?: unknown): Promise<T> {
      const answer = await fetch(`${url}/_control${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`the vendor refuses ${method} ${path}: ${answer.status} ${text}`);
      return JSON.parse(text) as T;
    },
  };
}

async function ended(child: Child, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  await child.ended;
}

/** The server's place: one server at a time, always at the same port. */
function serverPlace(launch: () => Child) {
  let child: Child | undefined;
  const begin = async () => {
    for (let tries = 1; ; tries++) {
      child = launch();
      try {
        await child.ready;
        return;
      } catch (error) {
        if (tries === 20) throw error; // the database is away for a second now and then
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
    }
  };
  const end = async (signal: NodeJS.Signals = "SIGTERM") => {
    if (child !== undefined) await ended(child, signal);
  };
  return {
    begin,
    end: () => end(),
    async restart(signal: NodeJS.Signals) {
      await end(signal);
      await begin();
    },
  };
}
