import type { AddressInfo } from "node:net";
import { Agent, request } from "undici";
import { vendorClock } from "./clock.ts";
import { type Controls, vendorControls } from "./controls.ts";
import { type Post, type WebhookTarget, webhookDeliveries } from "./deliveries.ts";
import { openLedger } from "./ledger.ts";
import { vendorLimits } from "./limits.ts";
import { listen } from "./server.ts";
import { mergeSettings, Settings, type SettingsPatch } from "./settings.ts";
import { noStats, type VendorState } from "./state.ts";
import { DEFAULT_PHONE_NUMBER_ID, DEFAULT_TOKEN, defaultWorld } from "./world.ts";

export interface VendorOptions {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default: kept in memory. An existing file is appended to. */
  readonly ledgerPath?: string;
  /** false: accepted means written, not fsync'd. For benches only. Default true. */
  readonly fsync?: boolean;
  /** The access token that opens the account. */
  readonly token?: string;
  readonly settings?: SettingsPatch;
  /** Where webhooks go. Its handshake is the caller's to ask for (`setWebhook`, `verifyWebhook`): the receiver may start later. */
  readonly webhook?: WebhookTarget;
  /** A clock of the starter's: then webhooks wait for `deliverDue` or `drain`. */
  readonly clock?: { now(): Date };
  readonly keepAliveTimeoutMs?: number;
  /** Asked for on `/_control` when given. */
  readonly controlToken?: string;
}

export interface Vendor extends Controls {
  /** `http://127.0.0.1:<port>`: the base address in place of https://graph.facebook.com. */
  readonly url: string;
  readonly port: number;
  readonly ledgerPath: string | null;
  readonly token: string;
  readonly wabaId: string;
  readonly phoneNumberId: string;
  /** Closes every connection, waits for the ledger, leaves nothing behind. Webhooks not yet told are lost with it. */
  stop(): Promise<void>;
}

function httpPost(agent: Agent, settings: () => Settings["webhook"]): Post {
  return async (target, body, headers) => {
    const signal = AbortSignal.timeout(settings().timeoutMs);
    const answer = await request(target.url, { method: "POST", body, headers, dispatcher: agent, signal });
    await answer.body.dump();
    return answer.statusCode;
  };
}

/**
 * Starts a vendor: a server that speaks WhatsApp's Cloud API over HTTP. Rejects when the port is taken or the ledger cannot be opened.
 */
export async function startVendor(options: VendorOptions = {}): Promise<Vendor> {
  const token = options.token ?? DEFAULT_TOKEN;
  const settings = mergeSettings(Settings.parse({}), options.settings ?? {});
  const clock = vendorClock(options.clock);
  const agent = new Agent({ connections: 16, pipelining: 1 });
  const webhookSettings = () => state.settings.webhook;
  const state: VendorState = {
    settings,
    clock,
    world: defaultWorld(token),
    stats: noStats(),
    limits: vendorLimits(() => state.settings.limits),
    ledger: openLedger(options.ledgerPath ?? null, { fsync: options.fsync ?? true }),
    deliveries: webhookDeliveries({
      clock,
      wabaId: () => state.world.wabaId,
      settings: webhookSettings,
      post: httpPost(agent, webhookSettings),
    }),
    scripts: new Map(),
    throttled: new Map(),
    windows: new Map(),
    lastSent: { young: new Map(), old: new Map() },
  };
  if (options.webhook) state.deliveries.setTarget(options.webhook);
  const controls = vendorControls(state, { settings, token });
  const host = options.host ?? "127.0.0.1";
  const server = await listen(state, controls, {
    host,
    port: options.port ?? 0,
    keepAliveTimeoutMs: options.keepAliveTimeoutMs ?? 65_000,
    controlToken: options.controlToken ?? null,
  });
  const { port } = server.address() as AddressInfo;
  return {
    ...controls,
    url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`,
    port,
    ledgerPath: state.ledger.path,
    token,
    wabaId: state.world.wabaId,
    phoneNumberId: DEFAULT_PHONE_NUMBER_ID,
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await Promise.all([closed, state.deliveries.stop(), agent.destroy()]);
      await state.ledger.close();
    },
  };
}
