import { Pool } from "undici";
import { SEND_TIMEOUT_MS } from "../../rules/limits.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Clock } from "../../runtime/clock.ts";
import { openDeadlines } from "../../runtime/deadlines.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { type CredentialKey, openCredentials } from "./credentials.ts";
import type { OpenProvider, Provider } from "./port.ts";
import { rehearsalProvider, type Script } from "./rehearsal.ts";
import { readSenderSecrets, type SenderSecrets } from "./store.ts";
import type { GraphDoor } from "./whatsapp/graph.ts";
import { whatsappProvider } from "./whatsapp/send.ts";

const DEFAULT_API_BASE = "https://graph.facebook.com";
const DEFAULT_API_VERSION = "v25.0";
/** Calls to one origin at a time; twice what one lot may have in flight. The rest waits for a connection, within its deadline. */
const CONNECTIONS_MAX = 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** The vendor closes idle connections at a time of its own; ours goes first, or a message meets a closing one. */
const KEEP_ALIVE_MS = 4_000;

export interface Providers {
  /** @throws {Refusal} `not_found` when the sender is gone, `not_available` when it has no credentials */
  readonly open: OpenProvider;
  /** For reading the account of a WhatsApp sender. */
  graph(sender: SenderSecrets): GraphDoor;
  /** The sender has changed: it is opened anew when it is next needed. */
  forget(senderId: string): void;
  /** Ends every connection; a call in flight is uncertain. */
  close(): Promise<void>;
}

export interface ProvidersDeps {
  readonly sql: Sql;
  readonly clock: Clock;
  /** The current key first, then those it replaced. */
  readonly keys: readonly CredentialKey[];
  /** What rehearsal senders do; they accept everything at once by default. */
  readonly rehearsal?: Omit<Script, "clock">;
}

/** How often a kept provider is compared with its row: another process may have changed the sender. */
const FRESH_MS = 5_000;

interface Kept {
  readonly provider: Provider;
  /** What it was made from. */
  readonly origin: string;
  checkedAt: number;
}

/** The doors of all senders to their vendors: one pool of connections per origin, one provider per sender, made when first needed. */
export function openProviders({ sql, clock, keys, rehearsal }: ProvidersDeps): Providers {
  const pools = new Map<string, Pool>();
  const kept = new Map<string, Kept>();
  const deadlines = openDeadlines(clock, SEND_TIMEOUT_MS);

  const graph = (sender: SenderSecrets): GraphDoor => {
    if (sender.credentials === null) throw new Refusal("not_available", { cause: `Sender ${sender.name} has no access token. Enter one.` });
    const { accessToken } = openCredentials(sender.credentials, { senderId: sender.id, keys });
    const base = new URL(sender.settings.apiBase ?? DEFAULT_API_BASE);
    const pool = pools.get(base.origin) ?? openPool(base.origin);
    pools.set(base.origin, pool);
    const path = `${base.pathname.replace(/\/$/, "")}/${sender.settings.apiVersion ?? DEFAULT_API_VERSION}`;
    return { pool, path, accessToken };
  };

  const providerOf = (sender: SenderSecrets): Provider => {
    if (sender.provider === "rehearsal") return rehearsalProvider({ ...rehearsal, clock });
    const { pool, path, accessToken } = graph(sender);
    return whatsappProvider({ pool, deadlines, accessToken, path: `${path}/${sender.externalId}/${sender.settings.path ?? "messages"}` });
  };

  return {
    graph,
    async open(senderId) {
      const known = kept.get(senderId);
      if (known && clock.monotonicMs() - known.checkedAt < FRESH_MS) return known.provider;
      const [sender] = await readSenderSecrets(sql, senderId);
      if (sender === undefined) throw new Refusal("not_found", { what: "sender", id: senderId });
      const origin = originOf(sender);
      const provider = known?.origin === origin ? known.provider : providerOf(sender);
      kept.set(senderId, { provider, origin, checkedAt: clock.monotonicMs() });
      return provider;
    },
    forget: (senderId) => void kept.delete(senderId),
    async close() {
      deadlines.close();
      kept.clear();
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
      pools.clear();
    },
  };
}

/** All that the provider of a sender depends on. */
const originOf = ({ provider, externalId, settings, credentials }: SenderSecrets) =>
  JSON.stringify([provider, externalId, settings.apiBase, settings.apiVersion, settings.path, Buffer.from(credentials ?? []).toString("base64")]);

/** Undici's own limits stand behind our deadline: it bounds each phase of a call, the deadline the whole. */
export function openPool(origin: string): Pool {
  return new Pool(origin, {
    connections: CONNECTIONS_MAX,
    pipelining: 1,
    allowH2: false,
    connectTimeout: CONNECT_TIMEOUT_MS,
    headersTimeout: SEND_TIMEOUT_MS,
    bodyTimeout: SEND_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
  });
}
