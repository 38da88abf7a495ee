import { readPerson } from "../../rules/person.ts";
import { phoneVariants } from "../../rules/phone-variants.ts";
import { Refusal } from "../../rules/refusal.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { countryOf, faulty } from "./given.ts";
import { limitOf, type Page, type PageQuery, pageOf, unknownCursor } from "./page.ts";
import * as store from "./suppression-store.ts";

export interface GivenSuppression {
  readonly channel: store.Channel;
  /** In any spelling. */
  readonly address: string;
  /** Where a phone without a country code is from. */
  readonly country?: string | undefined;
  /** `all` unless given. */
  readonly scope?: store.SuppressionScope | undefined;
  readonly reason: string;
  readonly source: string;
}

/** Whoever has this address is not written to any more, from the next turn on. @throws {Refusal} malformed */
export async function suppress(
  sql: Sql,
  workspaceId: string,
  given: GivenSuppression,
): Promise<{ readonly address: string; readonly created: boolean }> {
  const { channel, scope = "all", reason, source } = given;
  const address = addressOf(given);
  const made = await store.insertSuppression(sql, workspaceId, { channel, address, scope, reason, source });
  return { address, created: made.length === 1 };
}

/** Lifts a suppression, of one scope or of both. @throws {Refusal} not_found, malformed */
export async function lift(
  sql: Sql,
  workspaceId: string,
  { scope, ...given }: Pick<GivenSuppression, "channel" | "address" | "country"> & { scope?: store.SuppressionScope | undefined },
): Promise<void> {
  const addresses = spellings(given.channel, addressOf(given));
  const gone = await store.deleteSuppressions(sql, workspaceId, { channel: given.channel, addresses, scope: scope ?? null });
  if (gone.length === 0) throw new Refusal("not_found", { what: "suppression of", id: given.address.slice(0, 100) });
}

/** A page of suppressions, by channel and address. @throws {Refusal} malformed (cursor) */
export async function listSuppressions(
  sql: Sql,
  workspaceId: string,
  { cursor, limit, channel }: PageQuery & { channel?: store.Channel | undefined },
): Promise<Page<store.Suppression>> {
  const [a = "", b = "", c = "", ...more] = cursor?.split(" ") ?? [];
  if (more.length > 0 || (cursor !== null && c === "")) throw unknownCursor(cursor ?? "");
  const rows = await store.listSuppressions(sql, workspaceId, { channel: channel ?? null, after: [a, b, c], limit: limitOf(limit) + 1 });
  return pageOf(rows, limitOf(limit), (row) => `${row.channel} ${row.address} ${row.scope}`);
}

/**
 * Which of `addresses` (in their stored spelling) must not be written to, and why; asked for by all spellings a person's number has been
 * suppressed under. `all` goes before `marketing` when both hold.
 */
export async function suppressedAmong(
  sql: Sql,
  workspaceId: string,
  { channel, addresses }: { channel: store.Channel; addresses: readonly string[] },
): Promise<ReadonlyMap<string, store.Suppression>> {
  const asked = new Map(addresses.flatMap((address) => spellings(channel, address).map((spelling) => [spelling, address] as const)));
  const found = new Map<string, store.Suppression>();
  for (const row of await store.readSuppressions(sql, workspaceId, { channel, addresses: [...asked.keys()] })) {
    const address = asked.get(row.address);
    if (address !== undefined && found.get(address)?.scope !== "all") found.set(address, row);
  }
  return found;
}

const spellings = (channel: store.Channel, address: string): string[] => (channel === "whatsapp" ? phoneVariants(address) : [address]);

function addressOf({ channel, address, country }: Pick<GivenSuppression, "channel" | "address" | "country">): string {
  const field = channel === "whatsapp" ? "phone" : "email";
  const { person, faults } = readPerson({ [field]: address }, countryOf(country));
  const normal = person[field];
  if (typeof normal === "string") return normal;
  throw faulty([{ path: "address", message: faults[0]?.message ?? "The address is empty." }]);
}
