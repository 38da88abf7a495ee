import type * as real from "../../../src/flow/dispatch/complete-store.ts";
import { ATTEMPTS_MAX } from "../../../src/rules/limits.ts";
import type { Campaign } from "../memory/schema.ts";
import type { Statement } from "../memory/server.ts";
import { statementOf } from "../memory/statement.ts";
import { ask, changed, emitted, type Twin, tables } from "../memory/twin.ts";

function isOver(q: Statement, { id, state, onUncertain }: Campaign): boolean {
  const messages = q.all(tables.message).filter(({ campaignId }) => campaignId === id);
  return (
    state === "running" &&
    !q.all(tables.lot).some(({ campaignId }) => campaignId === id) &&
    !messages.some((m) => m.state === "queued" || m.state === "handing") &&
    (onUncertain === "hold" || !messages.some((m) => m.state === "uncertain" && m.attempt < ATTEMPTS_MAX))
  );
}

export const overCampaigns: Twin<typeof real.overCampaigns> = (sql, limit) =>
  ask(sql, "over campaigns", async (q) =>
    q
      .all(tables.campaign)
      .filter((one) => one.engine && isOver(q, one))
      .slice(0, limit)
      .map(({ id }) => ({ id })),
  );

export const lockForGood: Twin<typeof real.lockForGood> = (sql, campaignId) =>
  ask(sql, "lock for good", async (q) => changed((await q.lock(tables.campaign, campaignId)) === undefined ? 0 : 1));

export const lockOver: Twin<typeof real.lockOver> = (sql, campaignId) =>
  ask(sql, "lock over", async (q) => {
    const campaign = q.get(tables.campaign, campaignId);
    return campaign !== undefined && isOver(q, campaign) ? [{ statement: statementOf(q, campaignId) }] : [];
  });

/** Events are for those who listen; nothing of the engine depends on them. */
export const tellProgress: Twin<typeof real.tellProgress> = (sql) => ask(sql, "tell progress", async () => []);

export const completeCampaign: Twin<typeof real.completeCampaign> = (sql, campaignId, statement) =>
  ask(sql, "complete campaign", async (q) => {
    const campaign = await q.lock(tables.campaign, campaignId, ({ state }) => state === "running");
    if (campaign === undefined) return changed(0);
    const completed = { ...campaign, state: "completed" as const, completedAt: q.now(), statement };
    q.put(tables.campaign, await emitted(q, completed, "campaign:completed", { campaignId, statement }));
    return changed(1);
  });
