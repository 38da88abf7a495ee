import type { Dice } from "./dice.ts";
import type { Tables } from "./memory/schema.ts";
import type { Server } from "./memory/server.ts";
import type { Plan } from "./plan.ts";
import { EPOCH } from "./time.ts";

export interface Populated {
  readonly workspaceId: string;
  readonly campaignIds: readonly string[];
  readonly senderIds: readonly string[];
}

/** Puts the plan's senders and campaigns into the tables: planned, running, nobody written to. */
export async function populate({ plan, dice, server }: { plan: Plan; dice: Dice; server: Server }, tables: Tables): Promise<Populated> {
  const workspaceId = dice.uuid();
  const scopeId = dice.uuid();
  const senderIds = plan.senders.map(() => dice.uuid());
  const campaignIds = plan.campaigns.map(() => dice.uuid());
  const door = { nextAt: EPOCH, currentPerSecond: null, holdUntil: null, holdReason: null, probing: false };
  await server.execute(
    server.open(),
    async (q) => {
      await q.insert(tables.capScope, { id: scopeId, workspaceId, cap: plan.cap, used: 0 });
      for (const [i, perSecond] of plan.senders.entries()) {
        const id = senderIds[i] ?? "";
        await q.insert(tables.sender, { id, workspaceId, capScopeId: scopeId, blockedReason: null });
        await q.insert(tables.pace, { ownerId: id, perSecond, ...door });
      }
      for (const [i, campaign] of plan.campaigns.entries()) {
        const { addresses, lacking, lotSize, perMinute, engine, onUncertain, onDailyLimit, expiresInMs, delayBetweenBatchesMs } = campaign;
        const id = campaignIds[i] ?? "";
        const unknown = { pauseReason: null, pausedAt: null, completedAt: null, statement: null, lastBatch: null };
        await q.insert(tables.campaign, {
          ...{ id, workspaceId, engine, state: "running", epoch: 0, senderId: senderIds[campaign.sender] ?? "", channel: "whatsapp", lastSeq: 0 },
          ...{ message: { type: "text", text: "Hi {{firstName}}" }, variables: {}, delayBetweenBatchesMs, onUncertain, onDailyLimit },
          ...{ expiresAt: expiresInMs === null ? null : EPOCH + expiresInMs, totalRecipients: addresses.length, ...unknown },
        });
        if (perMinute !== null) await q.insert(tables.pace, { ownerId: id, perSecond: perMinute / 60, ...door });
        for (const [at, address] of addresses.entries()) {
          const position = at + 1;
          const variables = lacking.includes(position) ? {} : { firstName: `N${position}` };
          await q.insert(tables.recipient, { campaignId: id, position, address, variables });
        }
        for (let first = 1; first <= addresses.length; first += lotSize) {
          const waits = first > 1 && delayBetweenBatchesMs > 0;
          const last = Math.min(addresses.length, first + lotSize - 1);
          const free = { holder: null, token: 0, leaseUntil: null };
          await q.insert(tables.lot, { campaignId: id, first, last, handed: first - 1, dueAt: waits ? Number.POSITIVE_INFINITY : EPOCH, ...free });
        }
      }
    },
    0,
  );
  return { workspaceId, campaignIds, senderIds };
}
