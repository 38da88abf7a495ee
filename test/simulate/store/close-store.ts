import type * as real from "../../../src/flow/campaign/close-store.ts";
import { ATTEMPTS_MAX } from "../../../src/rules/limits.ts";
import { type Campaign, countKey, type Message, messageKey } from "../memory/schema.ts";
import type { Statement } from "../memory/server.ts";
import { statementOf } from "../memory/statement.ts";
import { ask, byPlace, changed, countBetween, type Twin, tables, wasInDoubt } from "../memory/twin.ts";

const isUnstated = (campaign: Campaign) => campaign.statement === null && (campaign.state === "stopped" || campaign.state === "failed");

export const readUnstated: Twin<typeof real.readUnstated> = (sql, limit) =>
  ask(sql, "read unstated", async (q) =>
    q
      .all(tables.campaign)
      .filter(isUnstated)
      .sort((a, b) => (a.completedAt ?? 0) - (b.completedAt ?? 0))
      .slice(0, limit)
      .map(({ id }) => ({ id })),
  );

function unstated(q: Statement, campaign: Campaign | undefined): real.Unstated[] {
  if (campaign === undefined || !isUnstated(campaign)) return [];
  const { id, state, totalRecipients } = campaign;
  const counts = q.get(tables.count, countKey({ campaignId: id, stage: 1 }));
  const accounted = counts === undefined ? 0 : counts.accepted + counts.failed + counts.skipped + counts.uncertain;
  return [{ id, state: state as "stopped" | "failed", totalRecipients: totalRecipients ?? 0, accounted }];
}

export const readOneUnstated: Twin<typeof real.readOneUnstated> = (sql, id) =>
  ask(sql, "read one unstated", async (q) => unstated(q, q.get(tables.campaign, id)));

export const lockUnstated: Twin<typeof real.lockUnstated> = (sql, id) =>
  ask(sql, "lock unstated", async (q) => unstated(q, await q.lock(tables.campaign, id, isUnstated)));

async function add(q: Statement, campaignId: string, stage: number, change: { skipped: number; uncertain: number }): Promise<void> {
  await q.upsert(tables.count, countKey({ campaignId, stage }), (before) => {
    const counts = before ?? { campaignId, stage, accepted: 0, failed: 0, skipped: 0, uncertain: 0 };
    return { ...counts, skipped: counts.skipped + change.skipped, uncertain: counts.uncertain + change.uncertain };
  });
}

export const skipUnmarked: Twin<typeof real.skipUnmarked> = (sql, id, by) =>
  ask(sql, "skip unmarked", async (q) => {
    const lots = q.all(tables.lot).filter(({ campaignId }) => campaignId === id);
    const firstLot = lots.length === 0 ? 1 : Math.min(...lots.map(({ first }) => first));
    const markOf = (position: number) => lots.filter(({ first }) => first <= position).sort((a, b) => b.first - a.first)[0]?.handed ?? 0;
    const key = (position: number) => ({ campaignId: id, stage: 1, position });
    const rest = q
      .all(tables.recipient)
      .filter((r) => r.campaignId === id && r.position > by.after && r.position >= firstLot && r.position > markOf(r.position))
      .filter((r) => q.get(tables.message, messageKey(key(r.position))) === undefined)
      .sort((a, b) => a.position - b.position)
      .slice(0, by.max);
    let skipped = 0;
    for (const { position } of rest) {
      const row = { state: "skipped" as const, code: by.code, cause: by.cause, providerRef: null, at: q.now(), dueAt: null, delays: 0 };
      if (await q.insert(tables.message, { ...key(position), attempt: 1, ...row, token: null, leaseUntil: null })) skipped++;
    }
    if (skipped > 0) await add(q, id, 1, { skipped, uncertain: 0 });
    return [{ reached: rest.at(-1)?.position ?? null }];
  });

export const skipQueued: Twin<typeof real.skipQueued> = (sql, id, by) =>
  ask(sql, "skip queued", async (q) => {
    const wanted = (m: Message) => m.campaignId === id && m.state === "queued";
    const due = await q.lockAll(tables.message, wanted, { order: byPlace, limit: by.max });
    const written = due.map((m): Message => {
      const end = wasInDoubt(q, m) ? { state: "uncertain" as const, attempt: Math.max(ATTEMPTS_MAX, m.attempt) } : { state: "skipped" as const };
      const after = { ...m, ...end, code: by.code, cause: by.cause, at: q.now(), dueAt: null };
      q.put(tables.message, after);
      return after;
    });
    for (const stage of [...new Set(written.map((m) => m.stage))].sort((a, b) => a - b)) {
      const of = (state: string) => written.filter((m) => m.stage === stage && m.state === state).length;
      await add(q, id, stage, { skipped: of("skipped"), uncertain: of("uncertain") });
    }
    return [{ skipped: written.length }];
  });

export const dropEmptyLots: Twin<typeof real.dropEmptyLots> = (sql, id) =>
  ask(sql, "drop empty lots", async (q) => {
    const empty = await q.lockAll(
      tables.lot,
      (lot) => lot.campaignId === id && lot.holder === null && lot.last - lot.first + 1 === countBetween(q, id, lot.first, lot.last),
      { order: (a, b) => a.first - b.first, skipLocked: true },
    );
    for (const lot of empty) q.remove(tables.lot, lot);
    return changed(empty.length);
  });

export const readStatement: Twin<typeof real.readStatement> = (sql, id) =>
  ask(sql, "read statement", async (q) => [{ statement: statementOf(q, id) }]);

export const storeStatement: Twin<typeof real.storeStatement> = (sql, id, statement) =>
  ask(sql, "store statement", async (q) => {
    const campaign = await q.lock(tables.campaign, id, (one) => one.statement === null);
    if (campaign !== undefined) q.put(tables.campaign, { ...campaign, statement });
    return changed(campaign === undefined ? 0 : 1);
  });
