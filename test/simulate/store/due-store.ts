import type * as real from "../../../src/flow/dispatch/due-store.ts";
import { type Message, messageKey, recipientKey } from "../memory/schema.ts";
import type { Statement } from "../memory/server.ts";
import { ask, byPlace, changed, proofs, type Twin, tables } from "../memory/twin.ts";
import { endsAs } from "./message-store.ts";

const isProved = (q: Statement, m: Message) => proofs(q, m).length > 0;
const isDue = (q: Statement, m: Message) => m.state === "queued" && m.dueAt !== null && m.dueAt <= q.now();
const isForsaken = (q: Statement, m: Message, marginMs: number) =>
  m.state === "handing" && m.leaseUntil !== null && m.leaseUntil < q.now() - marginMs;

const campaignIds = (messages: readonly Message[], limit: number) =>
  [...new Set(messages.map(({ campaignId }) => campaignId))]
    .sort()
    .slice(0, limit)
    .map((campaignId) => ({ campaignId }));

export const nextDueCampaign: Twin<typeof real.nextDueCampaign> = (sql, by) =>
  ask(sql, "next due campaign", async (q) => {
    const found = q.all(tables.message).flatMap((m) => {
      const campaign = q.get(tables.campaign, m.campaignId);
      if (campaign?.state !== "running" || !(campaign.engine || by.anyDriver) || by.except.includes(campaign.senderId)) return [];
      if (m.state !== "queued" || m.dueAt === null || (by.among !== null && !by.among.includes(m.campaignId))) return [];
      return [{ campaignId: m.campaignId, senderId: campaign.senderId, dueAt: m.dueAt }];
    });
    const [first] = found.sort((a, b) => a.dueAt - b.dueAt);
    if (first === undefined) return [];
    const { dueAt, ...next } = first;
    return [{ ...next, inMs: Math.max(0, Math.ceil(dueAt - q.now())) }];
  });

export const lockDue: Twin<typeof real.lockDue> = (sql, campaignId, limit) =>
  ask(sql, "lock due", async (q) => {
    const wanted = (m: Message) => m.campaignId === campaignId && isDue(q, m) && !isProved(q, m);
    const order = (a: Message, b: Message) => (a.dueAt ?? 0) - (b.dueAt ?? 0) || a.position - b.position;
    const due = await q.lockAll(tables.message, wanted, { order, limit, skipLocked: true });
    return due
      .sort((a, b) => a.position - b.position)
      .flatMap(({ stage, position, attempt, delays }) => {
        const recipient = q.get(tables.recipient, recipientKey({ campaignId, position }));
        return recipient === undefined ? [] : [{ stage, position, attempt, delays, address: recipient.address, variables: recipient.variables }];
      });
  });

type Place = Pick<Message, "stage" | "position">;

async function changeEach(
  q: Statement,
  at: { campaignId: string; rows: readonly Place[] },
  by: { where: (m: Message) => boolean; to: (m: Message) => Message },
) {
  const after: Message[] = [];
  for (const { stage, position } of at.rows) {
    const m = await q.lock(tables.message, messageKey({ campaignId: at.campaignId, stage, position }), by.where);
    if (m === undefined) continue;
    const changedTo = by.to(m);
    q.put(tables.message, changedTo);
    after.push(changedTo);
  }
  return after;
}

const isQueued = ({ state }: Message) => state === "queued";

export const markHanding: Twin<typeof real.markHanding> = (sql, campaignId, { rows, token, leaseMs }) =>
  ask(sql, "mark handing", async (q) => {
    const to = (m: Message): Message => ({ ...m, state: "handing", token, leaseUntil: q.now() + leaseMs, dueAt: null });
    return changed((await changeEach(q, { campaignId, rows }, { where: isQueued, to })).length);
  });

export const unmarkHanding: Twin<typeof real.unmarkHanding> = (sql, campaignId, token) =>
  ask(sql, "unmark handing", async (q) => {
    const where = (m: Message) => m.state === "handing" && m.token === token;
    const rows = q.all(tables.message).filter((m) => m.campaignId === campaignId && where(m));
    const to = (m: Message): Message => ({ ...m, state: "queued", token: null, leaseUntil: null, dueAt: q.now() });
    return changed((await changeEach(q, { campaignId, rows }, { where, to })).length);
  });

export const postpone: Twin<typeof real.postpone> = (sql, campaignId, rows, dueAt) =>
  ask(sql, "postpone", async (q) => {
    const to = (m: Message): Message => ({ ...m, dueAt: dueAt.getTime() });
    return changed((await changeEach(q, { campaignId, rows }, { where: isQueued, to })).length);
  });

export const skipQueued: Twin<typeof real.skipQueued> = (sql, campaignId, rows) =>
  ask(sql, "skip queued", async (q) => {
    const reasons = new Map(rows.map((row) => [`${row.stage} ${row.position}`, row]));
    const to = (m: Message): Message => {
      const row = reasons.get(`${m.stage} ${m.position}`);
      return { ...m, code: row?.code ?? null, cause: row?.cause ?? null, dueAt: null, at: q.now(), ...endsAs(q, m, "skipped") };
    };
    const skipped = await changeEach(q, { campaignId, rows }, { where: isQueued, to });
    return skipped.map(({ stage, position, state }) => ({ stage, position, state: state as "skipped" | "uncertain" }));
  });

export const doubtHanding: Twin<typeof real.doubtHanding> = (sql, campaignId, { marginMs, limit }) =>
  ask(sql, "doubt handing", async (q) => {
    const wanted = (m: Message) => m.campaignId === campaignId && isForsaken(q, m, marginMs);
    const forsaken = await q.lockAll(tables.message, wanted, { order: byPlace, limit, skipLocked: true });
    return forsaken.flatMap((m) => {
      q.put(tables.message, { ...m, state: "uncertain", code: "lease_expired", token: null, leaseUntil: null, at: q.now(), cause: "" });
      const recipient = q.get(tables.recipient, recipientKey(m));
      const { stage, position } = m;
      return recipient === undefined ? [] : [{ stage, position, state: "uncertain" as const, address: recipient.address }];
    });
  });

export const forsakenCampaigns: Twin<typeof real.forsakenCampaigns> = (sql, { marginMs, limit }) =>
  ask(sql, "forsaken campaigns", async (q) =>
    campaignIds(
      q.all(tables.message).filter((m) => isForsaken(q, m, marginMs)),
      limit,
    ),
  );

type Overdue = Parameters<typeof real.lockDoubts>[2];

const isOverdue = (q: Statement, m: Message, { afterMs, attemptsMax }: Overdue) =>
  m.state === "uncertain" && m.attempt < attemptsMax && m.at <= q.now() - afterMs && !isProved(q, m);

export const campaignsToResend: Twin<typeof real.campaignsToResend> = (sql, by) =>
  ask(sql, "campaigns to resend", async (q) => {
    const resends = ({ campaignId }: Message) => {
      const campaign = q.get(tables.campaign, campaignId);
      return campaign?.onUncertain === "resend" && campaign.state === "running";
    };
    return campaignIds(
      q.all(tables.message).filter((m) => isOverdue(q, m, by) && resends(m)),
      by.limit,
    );
  });

export const lockDoubts: Twin<typeof real.lockDoubts> = (sql, campaignId, by) =>
  ask(sql, "lock doubts", async (q) => {
    const wanted = (m: Message) => m.campaignId === campaignId && isOverdue(q, m, by);
    const rows = await q.lockAll(tables.message, wanted, { order: byPlace, limit: by.limit, skipLocked: true });
    return rows.map(({ stage, position }) => ({ stage, position }));
  });

export const resendDoubts: Twin<typeof real.resendDoubts> = (sql, campaignId, rows) =>
  ask(sql, "resend doubts", async (q) => {
    const where = ({ state }: Message) => state === "uncertain";
    const doubted = rows.flatMap((row) => {
      const m = q.get(tables.message, messageKey({ campaignId, ...row }));
      return m !== undefined && where(m) ? [m] : [];
    });
    for (const { stage, position, attempt, code, cause, at } of doubted)
      await q.insert(tables.attempt, { campaignId, stage, position, attempt, outcome: "uncertain", code, cause, at });
    const to = (m: Message): Message => ({ ...m, state: "queued", attempt: m.attempt + 1, dueAt: q.now(), delays: 0 });
    return (await changeEach(q, { campaignId, rows: doubted }, { where, to })).map(({ stage }) => ({ stage }));
  });

export const provedCampaigns: Twin<typeof real.provedCampaigns> = (sql, limit) =>
  ask(sql, "proved campaigns", async (q) =>
    campaignIds(
      q.all(tables.message).filter((m) => ["uncertain", "queued"].includes(m.state) && isProved(q, m)),
      limit,
    ),
  );
