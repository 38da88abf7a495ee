import type * as real from "../../../src/flow/dispatch/limits-store.ts";
import { HORIZON_MS } from "../../../src/rules/limits.ts";
import { PREFERENCE_SOURCE } from "../../../src/rules/receipt.ts";
import { openingKey, type Pace } from "../memory/schema.ts";
import type { Statement } from "../memory/server.ts";
import { ask, changed, date, dateOrNull, emitted, type Twin, tables } from "../memory/twin.ts";

/** Something is set at one of the doors. */
export const hasDoors = (q: Statement, ownerIds: readonly string[]): boolean =>
  ownerIds.some((ownerId) => {
    const door = q.get(tables.pace, ownerId);
    return door !== undefined && (door.perSecond !== null || door.currentPerSecond !== null || door.probing);
  });

export const readFacts: Twin<typeof real.readFacts> = (sql, campaignId) =>
  ask(sql, "read facts", async (q) => {
    const campaign = q.get(tables.campaign, campaignId);
    const sender = q.get(tables.sender, campaign?.senderId ?? "");
    const scope = q.get(tables.capScope, sender?.capScopeId ?? "");
    if (campaign === undefined || scope === undefined) return [];
    const { workspaceId, channel, senderId, variables, message, totalRecipients: recipients } = campaign;
    const [capped, unlimited] = [scope.cap !== null, scope.cap === null && !hasDoors(q, [campaignId, senderId])];
    return [{ campaignId, workspaceId, channel, senderId, scopeId: scope.id, capped, unlimited, recipients: recipients ?? 0, variables, message }];
  });

export const lockCampaign: Twin<typeof real.lockCampaign> = (sql, campaignId) =>
  ask(sql, "lock campaign", async (q) => {
    const campaign = await q.lock(tables.campaign, campaignId);
    const sender = q.get(tables.sender, campaign?.senderId ?? "");
    if (campaign === undefined || sender === undefined) return [];
    const { state, onDailyLimit, expiresAt } = campaign;
    return [{ state, onDailyLimit, expiresAt: dateOrNull(expiresAt), blockedReason: sender.blockedReason }];
  });

export const pauseCampaign: Twin<typeof real.pauseCampaign> = (sql, campaignId, reason) =>
  ask(sql, "pause campaign", async (q) => {
    const campaign = await q.lock(tables.campaign, campaignId, ({ state }) => state === "running");
    if (campaign === undefined) return changed(0);
    const paused = { ...campaign, state: "paused" as const, epoch: campaign.epoch + 1, pauseReason: reason, pausedAt: q.now() };
    q.put(tables.campaign, await emitted(q, paused, "campaign:paused", { campaignId, reason }));
    return changed(1);
  });

export const suppressedAmong: Twin<typeof real.suppressedAmong> = (sql, by, addresses) =>
  ask(sql, "suppressed among", async (q) =>
    q
      .all(tables.suppression)
      .filter((one) => one.workspaceId === by.workspaceId && one.channel === by.channel && addresses.includes(one.address))
      .map(({ address }) => ({ address })),
  );

export const suppressedBetween: Twin<typeof real.suppressedBetween> = (sql, { campaignId, workspaceId, channel }, from, to) =>
  ask(sql, "suppressed between", async (q) => {
    const rows = q.all(tables.suppression).filter((one) => one.workspaceId === workspaceId && one.channel === channel);
    const between = q.all(tables.recipient).filter((r) => r.campaignId === campaignId && r.position >= from && r.position <= to);
    return between.flatMap((r) => rows.flatMap(({ address }) => (address === r.address ? [{ address }] : [])));
  });

export const suppressAddresses: Twin<typeof real.suppressAddresses> = (sql, { workspaceId, channel }, reason, addresses) =>
  ask(sql, "suppress addresses", async (q) => {
    let inserted = 0;
    for (const address of [...new Set(addresses)].sort()) {
      const row = { workspaceId, channel, address, scope: "marketing" as const, reason, source: PREFERENCE_SOURCE };
      if (await q.insert(tables.suppression, row)) inserted++;
    }
    return changed(inserted);
  });

export const lockCap: Twin<typeof real.lockCap> = (sql, scopeId) =>
  ask(sql, "lock cap", async (q) => {
    const scope = await q.lock(tables.capScope, scopeId);
    return scope === undefined ? [] : [{ used: scope.used, cap: scope.cap }];
  });

export const openAmong: Twin<typeof real.openAmong> = (sql, scopeId, addresses) =>
  ask(sql, "open among", async (q) =>
    [...new Set(addresses)].flatMap((address) => (q.get(tables.opening, openingKey({ scopeId, address })) === undefined ? [] : [{ address }])),
  );

const DAY_MS = 86_400_000;

async function use(q: Statement, scopeId: string, change: number) {
  const scope = await q.lock(tables.capScope, scopeId);
  if (scope === undefined) return [];
  const used = scope.used + change;
  q.put(tables.capScope, { ...scope, used });
  return [{ used, cap: scope.cap }];
}

export const expireOpenings: Twin<typeof real.expireOpenings> = (sql, scopeId) =>
  ask(sql, "expire openings", async (q) => {
    const gone = await q.lockAll(tables.opening, (one) => one.scopeId === scopeId && one.lastAt <= q.now() - DAY_MS);
    for (const one of gone) q.remove(tables.opening, one);
    return use(q, scopeId, -gone.length);
  });

export const nextFreeAt: Twin<typeof real.nextFreeAt> = (sql, scopeId) =>
  ask(sql, "next free at", async (q) => {
    const lasts = q.all(tables.opening).flatMap((one) => (one.scopeId === scopeId ? [one.lastAt] : []));
    return [{ at: lasts.length === 0 ? null : date(Math.min(...lasts) + DAY_MS) }];
  });

async function open(q: Statement, scopeId: string, addresses: readonly string[], lastAt: number) {
  let fresh = 0;
  for (const address of [...addresses].sort())
    await q.upsert(tables.opening, openingKey({ scopeId, address }), (before) => {
      if (before === null) fresh++;
      return { scopeId, address, lastAt: Math.max(before?.lastAt ?? lastAt, lastAt) };
    });
  return changed((await use(q, scopeId, fresh)).length);
}

export const openAddresses: Twin<typeof real.openAddresses> = (sql, scopeId, addresses, lastAt) =>
  ask(sql, "open addresses", (q) => open(q, scopeId, addresses, lastAt.getTime()));

export const releaseOpenings: Twin<typeof real.releaseOpenings> = (sql, scopeId, made) =>
  ask(sql, "release openings", async (q) => {
    let gone = 0;
    for (const { address, lastAt } of made) {
      const opening = await q.lock(tables.opening, openingKey({ scopeId, address }), (one) => one.lastAt === lastAt.getTime());
      if (opening === undefined) continue;
      q.remove(tables.opening, opening);
      gone++;
    }
    return use(q, scopeId, -gone);
  });

export const prolongOpenings: Twin<typeof real.prolongOpenings> = (sql, scopeId, addresses, marginMs) =>
  ask(sql, "prolong openings", (q) => open(q, scopeId, addresses, q.now() + marginMs));

export const lockDoors: Twin<typeof real.lockDoors> = (sql, ownerIds) =>
  ask(sql, "lock doors", async (q) => {
    const order = (a: { ownerId: string }, b: { ownerId: string }) => (a.ownerId < b.ownerId ? -1 : 1);
    const rows = await q.lockAll(tables.pace, ({ ownerId }) => ownerIds.includes(ownerId), { order });
    return rows.map(({ currentPerSecond, ...row }) => ({ ...row, loweredTo: currentPerSecond }));
  });

export const moveDoors: Twin<typeof real.moveDoors> = (sql, doors) =>
  ask(sql, "move doors", async (q) => {
    for (const { ownerId, nextAt } of doors) {
      const row = await q.lock(tables.pace, ownerId);
      if (row !== undefined) q.put(tables.pace, { ...row, nextAt });
    }
    return changed(doors.length);
  });

export const rivalsOf: Twin<typeof real.rivalsOf> = (sql, { campaignId, senderId, isLot }) =>
  ask(sql, "rivals of", async (q) => {
    const soon = q.now() + HORIZON_MS;
    const isDue = (id: string) =>
      q.all(tables.message).some((m) => m.campaignId === id && m.state === "queued" && m.dueAt !== null && m.dueAt <= soon);
    const asks = (id: string) => isDue(id) || q.all(tables.lot).some((lot) => lot.campaignId === id && (lot.holder !== null || lot.dueAt <= soon));
    const own = isLot && isDue(campaignId) ? 1 : 0;
    const rivals = q.all(tables.campaign).flatMap((campaign) => {
      const pace = q.get(tables.pace, campaign.id);
      const isRival = campaign.senderId === senderId && campaign.state === "running" && campaign.id !== campaignId && asks(campaign.id);
      return isRival && pace !== undefined ? [pace] : [];
    });
    const mine = q.get(tables.pace, campaignId);
    if (mine === undefined) return [{ all: own, before: own }];
    const isBefore = (pace: Pace) => pace.nextAt < mine.nextAt || (pace.nextAt === mine.nextAt && pace.ownerId < mine.ownerId);
    return [{ all: rivals.length + own, before: rivals.filter(isBefore).length + own }];
  });

export const slowDown: Twin<typeof real.slowDown> = (sql, senderId, by) =>
  ask(sql, "slow down", async (q) => {
    const row = await q.lock(tables.pace, senderId);
    if (row === undefined) return changed(0);
    const holdUntil = Math.max(row.holdUntil ?? 0, q.now() + by.restMs);
    q.put(tables.pace, { ...row, currentPerSecond: by.perSecond, holdUntil, holdReason: by.reason });
    return changed(1);
  });

export const holdSender: Twin<typeof real.holdSender> = (sql, senderId, by) =>
  ask(sql, "hold sender", async (q) => {
    const row = await q.lock(tables.pace, senderId);
    if (row === undefined) return changed(0);
    q.put(tables.pace, { ...row, holdUntil: Math.max(row.holdUntil ?? 0, q.now() + by.forMs), holdReason: by.reason, probing: true });
    return changed(1);
  });

export const endProbing: Twin<typeof real.endProbing> = (sql, senderId) =>
  ask(sql, "end probing", async (q) => {
    const row = await q.lock(tables.pace, senderId, ({ probing }) => probing);
    if (row === undefined) return changed(0);
    q.put(tables.pace, { ...row, probing: false, holdReason: null });
    return changed(1);
  });

export const endSlowing: Twin<typeof real.endSlowing> = (sql, senderId) =>
  ask(sql, "end slowing", async (q) => {
    const row = await q.lock(tables.pace, senderId);
    if (row === undefined) return changed(0);
    q.put(tables.pace, { ...row, currentPerSecond: null, holdReason: null });
    return changed(1);
  });

export const blockSender: Twin<typeof real.blockSender> = (sql, senderId, reason) =>
  ask(sql, "block sender", async (q) => {
    const sender = await q.lock(tables.sender, senderId, ({ blockedReason }) => blockedReason === null);
    if (sender === undefined) return changed(0);
    q.put(tables.sender, { ...sender, blockedReason: reason });
    return changed(1);
  });

export const readClock: Twin<typeof real.readClock> = (sql) => ask(sql, "read clock", async (q) => date(q.now()));
