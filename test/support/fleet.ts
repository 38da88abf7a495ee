import { onTestFinished } from "vitest";
import { type EngineOptions, startEngine } from "../../src/flow/dispatch/engine.ts";
import { credentialKey } from "../../src/flow/provider/credentials.ts";
import { openProviders, type Providers } from "../../src/flow/provider/open.ts";
import type { OpenProvider, Parcel, Provider } from "../../src/flow/provider/port.ts";
import { connectSender, createSender, type SenderDeps } from "../../src/flow/provider/sender.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Running } from "../../src/runtime/loop.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import { startVendor, type Vendor } from "../../vendor/main.ts";
import type { SettingsPatch } from "../../vendor/settings.ts";
import type { Watcher } from "./effects.ts";
import { type Town, type TownEngine, town } from "./town.ts";

export interface FleetOptions {
  readonly engines?: number;
  readonly settings?: SettingsPatch;
  /** How long a call is on its way before the vendor hears it, by the town's clock; less than the call's time-out. */
  readonly wayMs?: (parcel: Parcel) => number;
  /** How often the loops look that settle, complete, and send due messages. A story of days looks seldom. */
  readonly sweepMs?: number;
  /** The clock of the n-th engine, where it is not the town's own. */
  readonly clockOf?: (clock: Clock, engine: number) => Clock;
  readonly limits?: Partial<EngineOptions>;
  /** Words of what the engines may log as an error. */
  readonly expected?: RegExp;
}

interface SenderOptions {
  readonly perSecond?: number | null;
  readonly cap?: number | null;
  readonly portfolio?: string;
  /** Something else that stands before the vendor. */
  readonly apiBase?: string;
}

/** One engine of the fleet: a process in all but name. */
interface Ship extends Running {
  /** The power goes: no further effect of it reaches the world, and its open transactions are undone. */
  sink(): Promise<void>;
}

/** Many engines that compete over one Postgres, and the vendor they send to over real HTTP; one clock moves all of them. */
export interface Fleet {
  readonly place: Town;
  readonly vendor: Vendor;
  readonly senders: SenderDeps;
  readonly ships: readonly Ship[];
  /** A connected WhatsApp sender with a phone number of its own. */
  sender(options?: SenderOptions): Promise<string>;
  /** The engines begin. */
  sail(): void;
  /** What a notification of Postgres does: nobody waits for a poll. */
  nudge(): void;
}

const keys = [credentialKey("a secret of this fleet only")] as const;
/** Nothing fails by itself. */
const calm = { throughput: null, pair: null, messaging: null };

/** It ends with its test: every invariant holds then, and no engine met an error that was not expected. */
export async function fleet(options: FleetOptions = {}): Promise<Fleet> {
  const { engines = 4, settings = {}, sweepMs = 5_000, expected } = options;
  const place = await town({ connections: 3 });
  const vendor = await startVendor({
    clock: place.clock,
    settings: { ...settings, limits: { ...calm, ...settings.limits }, mix: { successRate: 1, ...settings.mix } },
  });
  const open: Providers[] = [];
  const providersOf = (sql: Town["sql"]): Providers => {
    const providers = openProviders({ sql, clock: place.clock, keys });
    open.push(providers);
    return providers;
  };
  const senders: SenderDeps = { sql: place.sql, luck: systemLuck, keys, providers: providersOf(place.sql) };
  const ships: Ship[] = [];
  let numbers = 0;

  onTestFinished(async () => {
    await place.clock.until(Promise.all(ships.map((ship) => ship.stop())));
    await Promise.all(ships.map((ship) => ship.sink()));
    await Promise.all(open.map((providers) => providers.close()));
    await vendor.stop();
    await place.close();
    const errors = place.errors.filter((error) => !expected?.test(error));
    if (errors.length > 0) throw new Error(`the engines met errors:\n${errors.join("\n")}`);
  });
  return {
    place,
    vendor,
    senders,
    ships,
    async sender({ perSecond = null, cap = null, portfolio, apiBase = vendor.url } = {}) {
      const externalId = String(900_000 + ++numbers);
      vendor.putPhoneNumber({ id: externalId, displayPhoneNumber: `+1 555 ${externalId}` });
      const { workspaceId } = place;
      const given = { workspaceId, provider: "whatsapp_cloud", name: externalId, externalId, perSecond, cap, portfolio } as const;
      const { id } = await createSender({ ...given, settings: { apiBase }, accessToken: vendor.token }, senders);
      await connectSender({ workspaceId, id }, senders);
      return id;
    },
    sail() {
      for (let i = 0; i < engines; i++) {
        const limits = { campaignsMax: 5, lotsPerCampaign: 4, pollMs: Math.max(5_000, sweepMs), sweepMs, ...options.limits };
        ships.push(
          launch(place, { provider: (sql) => overTheWay(place, providersOf(sql), options.wayMs), limits, clock: options.clockOf, number: i }),
        );
      }
    },
    nudge: () => {
      for (const ship of ships) ship.nudge();
    },
  };
}

/** The product's own providers. Time stands still while the vendor is spoken to, but not while a call is on its way. */
function overTheWay(place: Town, providers: Providers, wayMs?: FleetOptions["wayMs"]): OpenProvider {
  return async (senderId) => {
    const real = await providers.open(senderId);
    return {
      name: "rehearsal",
      async send(parcel, signal) {
        const ms = wayMs?.(parcel) ?? 0;
        if (ms > 0) await place.clock.sleep(ms);
        return place.during(() => real.send(parcel, signal));
      },
    } satisfies Provider;
  };
}

interface Launch {
  readonly provider: (sql: Town["sql"]) => OpenProvider;
  readonly limits: EngineOptions;
  readonly clock: FleetOptions["clockOf"];
  readonly number: number;
}

function launch(place: Town, { provider, limits, clock, number }: Launch): Ship {
  let sunk = false;
  const halt = () => (sunk ? new Promise<never>(() => {}) : undefined);
  const watcher: Watcher = { before: halt, after: halt };
  const engine: TownEngine = place.engine(provider, watcher);
  const running = startEngine(clock === undefined ? engine : { ...engine, clock: clock(engine.clock, number) }, limits);
  return {
    nudge: () => running.nudge(),
    stop: () => (sunk ? Promise.resolve() : running.stop()),
    async sink() {
      if (sunk) return;
      sunk = true;
      engine.forget();
      await engine.kill();
    },
  };
}
