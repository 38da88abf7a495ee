import type * as real from "../../../src/flow/dispatch/lot-store.ts";
import { PgError } from "../memory/error.ts";
import { type Campaign, type Lot, lotKey, messageKey, type Pace, recipientKey } from "../memory/schema.ts";
import type { Statement } from "../memory/server.ts";
import { ask, changed, countBetween, date, dateOrNull, type Twin, tables } from "../memory/twin.ts";
import { hasDoors } from "./limits-store.ts";
import { acceptedOnce, countAccepted } from "./message-store.ts";

export const takeLot: Twin<typeof real.takeLot> = (sql, by) =>
  ask(sql, "take lot", async (q) => {
    const { leaseMs, marginMs, except, among } = by;
    const drivable = (lot: Lot) => isDriven(q, lot, by.anyDriver);
    const takes = new Set(q.all(tables.campaign).flatMap((campaign) => (hasRoom(q, campaign, by) ? [campaign.id] : [])));
    const wanted = (lot: Lot) =>
      ((lot.holder === null && lot.dueAt <= q.now() && drivable(lot) && takes.has(lot.campaignId)) ||
        (lot.leaseUntil !== null && lot.leaseUntil < q.now() - marginMs)) &&
      !except.includes(lot.campaignId) &&
      (among === null || among.includes(lot.campaignId));
    const [lot] = await q.lockAll(tables.lot, wanted, { order: bySlot(q), limit: 1, skipLocked: true });
    if (lot === undefined) return [];
    const token = lot.token + 1;
    q.put(tables.lot, { ...lot, holder: by.holder, token, leaseUntil: q.now() + leaseMs });
    const { campaignId, first, last, handed, dueAt } = lot;
    return [{ campaignId, first, last, handed, token, dueAt: date(dueAt), drivable: drivable(lot) }];
  });

const isDriven = (q: Statement, { campaignId }: Lot, anyDriver: boolean): boolean => {
  const campaign = q.get(tables.campaign, campaignId);
  return campaign?.state === "running" && (campaign.engine || anyDriver);
};

/** By the campaign's next slot, then by key. */
function bySlot(q: Statement): (a: Lot, b: Lot) => number {
  const slotOf = ({ campaignId }: Lot) => q.get(tables.pace, campaignId)?.nextAt ?? Number.MAX_VALUE;
  return (a, b) => slotOf(a) - slotOf(b) || (a.campaignId < b.campaignId ? -1 : a.campaignId > b.campaignId ? 1 : a.first - b.first);
}

/** The campaign has fewer holders that showed signs of life than it may have; one is enough where something limits it. */
function hasRoom(q: Statement, campaign: Campaign, { holdersMax, leaseMs, aliveMs }: Parameters<typeof real.takeLot>[1]): boolean {
  if (holdersMax === null) return true;
  const aliveUntil = q.now() + leaseMs - aliveMs;
  const holders = q.all(tables.lot).filter((lot) => lot.campaignId === campaign.id && lot.leaseUntil !== null && lot.leaseUntil > aliveUntil).length;
  const scope = q.get(tables.capScope, q.get(tables.sender, campaign.senderId)?.capScopeId ?? "");
  const isLimited = scope !== undefined && (scope.cap !== null || hasDoors(q, [campaign.id, campaign.senderId]));
  return holders < (isLimited ? 1 : holdersMax);
}

export const cutLot: Twin<typeof real.cutLot> = (sql, { campaignId, first, token }, last) =>
  ask(sql, "cut lot", async (q) => {
    const lot = await q.lock(tables.lot, lotKey({ campaignId, first }), (one) => one.token === token && one.last > last && one.handed <= last);
    if (lot === undefined) return changed(0);
    q.put(tables.lot, { ...lot, last });
    const rest = { campaignId, first: last + 1, last: lot.last, handed: last, dueAt: lot.dueAt, holder: null, token: 0, leaseUntil: null };
    await q.insert(tables.lot, rest);
    return changed(1);
  });

export const lockLot: Twin<typeof real.lockLot> = (sql, lot) =>
  ask(sql, "lock lot", async (q) => {
    const held = await q.lock(tables.lot, lotKey(lot), (one) => one.token === lot.token && one.holder !== null);
    return held === undefined ? [] : [{ handed: held.handed, last: held.last }];
  });

export const markLot: Twin<typeof real.markLot> = (sql, lot, leaseMs) =>
  ask(sql, "mark lot", async (q) => {
    const held = await q.lock(tables.lot, lotKey(lot));
    if (held !== undefined) q.put(tables.lot, { ...held, handed: lot.handed, leaseUntil: q.now() + leaseMs });
    return changed(held === undefined ? 0 : 1);
  });

export const freeLot: Twin<typeof real.freeLot> = (sql, lot, dueAt) =>
  ask(sql, "free lot", async (q) => {
    const held = await q.lock(tables.lot, lotKey(lot));
    if (held !== undefined) q.put(tables.lot, { ...held, handed: lot.handed, dueAt: dueAt.getTime(), holder: null, leaseUntil: null });
    return changed(held === undefined ? 0 : 1);
  });

export const closeLot: Twin<typeof real.closeLot> = (sql, { campaignId, first, last }) =>
  ask(sql, "close lot", async (q) => {
    const full = (one: Lot) => one.last - one.first + 1 === countBetween(q, campaignId, first, last);
    const lot = await q.lock(tables.lot, lotKey({ campaignId, first }), full);
    const campaign = q.get(tables.campaign, campaignId);
    if (lot === undefined || campaign === undefined) return [];
    q.remove(tables.lot, lot);
    const next = await q.lock(tables.lot, lotKey({ campaignId, first: lot.last + 1 }), (one) => one.dueAt === Number.POSITIVE_INFINITY);
    if (next !== undefined) q.put(tables.lot, { ...next, dueAt: q.now() + campaign.delayBetweenBatchesMs });
    return [{ last: lot.last }];
  });

/** campanile.turn_at_full_speed(): each `q.next()` is one statement of it. */
export const turnAtFullSpeed: Twin<typeof real.turnAtFullSpeed> = (sql, lot, accepted, { next: asking, ends, onward, leaseMs }) =>
  ask(sql, "turn at full speed", async (q) => {
    const { campaignId } = lot;
    const began = q.now();
    const held = await q.lock(tables.lot, lotKey(lot), ({ token, holder }) => token === lot.token && holder !== null);
    if (held === undefined) return [{ turned: { held: false, goneOn: null, waitedMs: null, next: null } }];
    await acceptedOnce(q.next(), campaignId, accepted);
    let at = q.next();
    const campaign = await at.lock(tables.campaign, campaignId);
    const sender = at.get(tables.sender, campaign?.senderId ?? "");
    const scope = await q.next().lock(tables.capScope, sender?.capScopeId ?? "");
    if (campaign === undefined || sender === undefined || scope === undefined) throw new PgError("P0002", "query returned no rows");
    at = q.next();
    const order = (a: Pace, b: Pace) => (a.ownerId < b.ownerId ? -1 : 1);
    const doors = await at.lockAll(tables.pace, ({ ownerId }) => ownerId === campaignId || ownerId === sender.id, { order });
    const isClosed = (door: Pace) => door.perSecond !== null || door.currentPerSecond !== null || door.probing || (door.holdUntil ?? 0) > at.now();
    at = q.next();
    const now = at.now();
    const isOpen =
      campaign.state === "running" &&
      sender.blockedReason === null &&
      scope.cap === null &&
      !doors.some(isClosed) &&
      (campaign.expiresAt === null || campaign.expiresAt > now);
    let goneOn: boolean;
    let next: real.NextLot | null = null;
    if (ends) {
      const isFull = held.last - held.first + 1 === countBetween(at, campaignId, held.first, held.last);
      goneOn = campaign.delayBetweenBatchesMs === 0 && isFull;
      if (goneOn) at.remove(tables.lot, held);
      if (goneOn && isOpen && onward !== null) next = await takeNext(q.next(), { campaignId, holder: onward, now, leaseMs });
    } else {
      const asked = asking === null ? [] : recipientsBetween(at, { campaignId, ...asking });
      goneOn = isOpen && !asked.some(({ address }) => isSuppressed(at, campaign, address));
      if (goneOn) at.put(tables.lot, { ...held, handed: asking?.to ?? held.handed, leaseUntil: now + leaseMs });
    }
    if (accepted.positions.length > 0) await countAccepted(at.next(), campaignId, accepted.positions.length);
    return [{ turned: { held: true, goneOn, waitedMs: now - began, next } }];
  });

async function takeNext(q: Statement, by: { campaignId: string; holder: string; now: number; leaseMs: number }): Promise<real.NextLot | null> {
  const isFree = (lot: Lot) => lot.campaignId === by.campaignId && lot.holder === null && lot.token === 0 && lot.dueAt <= by.now;
  const [lot] = await q.lockAll(tables.lot, isFree, { order: (a, b) => a.first - b.first, limit: 1, skipLocked: true });
  if (lot === undefined) return null;
  q.put(tables.lot, { ...lot, holder: by.holder, token: 1, leaseUntil: by.now + by.leaseMs });
  return { first: lot.first, last: lot.last, token: 1 };
}

const isSuppressed = (q: Statement, { workspaceId, channel }: Campaign, address: string | null): boolean =>
  q.all(tables.suppression).some((one) => one.workspaceId === workspaceId && one.channel === channel && one.address === address);

function recipientsBetween(q: Statement, { campaignId, from, to }: { campaignId: string; from: number; to: number }): real.RecipientRow[] {
  const rows: real.RecipientRow[] = [];
  for (let position = from; position <= to; position++) {
    const recipient = q.get(tables.recipient, recipientKey({ campaignId, position }));
    if (recipient !== undefined) rows.push({ position, address: recipient.address, variables: recipient.variables });
  }
  return rows;
}

export const readRecipients: Twin<typeof real.readRecipients> = (sql, by) =>
  ask(sql, "read recipients", async (q) => {
    return recipientsBetween(q, by);
  });

export const readUnwritten: Twin<typeof real.readUnwritten> = (sql, by) =>
  ask(sql, "read unwritten", async (q) => {
    return recipientsBetween(q, by).filter(
      ({ position }) => q.get(tables.message, messageKey({ campaignId: by.campaignId, stage: 1, position })) === undefined,
    );
  });

export const nextDueAt: Twin<typeof real.nextDueAt> = (sql, marginMs) =>
  ask(sql, "next due at", async (q) => {
    const now = q.now();
    const isDue = ({ campaignId, holder, dueAt }: Lot) => {
      const campaign = q.get(tables.campaign, campaignId);
      return holder === null && campaign?.state === "running" && campaign.engine && dueAt > now && dueAt < Number.POSITIVE_INFINITY;
    };
    const lots = q.all(tables.lot);
    const ends = lots.flatMap(({ leaseUntil }) => (leaseUntil !== null && leaseUntil > now - marginMs ? [leaseUntil + marginMs] : []));
    const at = Math.min(...lots.filter(isDue).map(({ dueAt }) => dueAt), ...ends);
    return [{ now: date(now), at: dateOrNull(at === Number.POSITIVE_INFINITY ? null : at) }];
  });
