import type { Accepted } from "../../../src/flow/dispatch/lot-store.ts";
import type * as real from "../../../src/flow/dispatch/message-store.ts";
import { ATTEMPTS_MAX } from "../../../src/rules/limits.ts";
import { PgError } from "../memory/error.ts";
import { countKey, type Message, messageKey, recipientKey } from "../memory/schema.ts";
import type { Statement } from "../memory/server.ts";
import { ask, byPlace, changed, proofs, type Twin, tables, wasInDoubt } from "../memory/twin.ts";

type Outcome = real.MessageRow;

const written = ({ stage, position, state }: { stage: number; position: number; state: Message["state"] }): real.Written => {
  if (state === "handing") throw new Error("an outcome is never handing");
  return { stage, position, state };
};

/** The columns that every outcome writes. */
const columns = (q: Statement, row: Outcome) => ({
  state: row.state,
  code: row.code,
  cause: row.cause,
  providerRef: row.providerRef,
  at: q.now(),
  dueAt: row.state === "queued" ? q.now() + (row.delayMs ?? 0) : null,
  delays: row.delays,
  token: null,
  leaseUntil: null,
});
const nextAttempt = ({ attempt, ended }: Outcome) => attempt + (ended ? 1 : 0);

export const insertMessages: Twin<typeof real.insertMessages> = (sql, campaignId, rows) =>
  ask(sql, "insert messages", async (q) => {
    const inserted: real.Written[] = [];
    for (const row of [...rows].sort(byPlace)) {
      const { stage, position } = row;
      if (await q.insert(tables.message, { campaignId, stage, position, attempt: nextAttempt(row), ...columns(q, row) })) inserted.push(written(row));
    }
    return inserted;
  });

/** Accepted at their first attempt. Refused when one has a row. */
export async function acceptedOnce(q: Statement, campaignId: string, { positions, refs }: Accepted): Promise<void> {
  for (const [i, position] of positions.entries()) {
    const key = { campaignId, stage: 1, position };
    const none = { code: null, cause: null, dueAt: null, delays: 0, token: null, leaseUntil: null };
    const accepted = { ...none, state: "accepted" as const, providerRef: refs[i] ?? null, at: q.now() };
    if (!(await q.insert(tables.message, { ...key, attempt: 1, ...accepted })))
      throw new PgError("23505", `duplicate key value violates unique constraint "message_pkey": ${messageKey(key)}`);
  }
}

export const insertAccepted: Twin<typeof real.insertAccepted> = (sql, campaignId, rows) =>
  ask(sql, "insert accepted", async (q) => {
    const refs = rows.map(({ providerRef }) => providerRef as string);
    await acceptedOnce(q, campaignId, { positions: rows.map(({ position }) => position), refs });
    return changed(rows.length);
  });

/** How a message ends that was sent again: in doubt for good, when nothing came of it and an earlier attempt is in doubt. */
export function endsAs(q: Statement, m: Message, state: Message["state"], attempt = m.attempt): Pick<Message, "state" | "attempt"> {
  if (!["failed", "skipped"].includes(state) || !wasInDoubt(q, m)) return { state, attempt };
  return { state: "uncertain", attempt: Math.max(ATTEMPTS_MAX, m.attempt) };
}

export const settleHanding: Twin<typeof real.settleHanding> = (sql, campaignId, token, rows) =>
  ask(sql, "settle handing", async (q) => {
    const settled: real.Written[] = [];
    for (const row of rows) {
      const m = await q.lock(tables.message, messageKey({ campaignId, ...row }), (one) => one.state === "handing" && one.token === token);
      if (m === undefined) continue;
      const after = { ...m, ...columns(q, row), ...endsAs(q, m, row.state, nextAttempt(row)) };
      q.put(tables.message, after);
      settled.push(written(after));
    }
    return settled;
  });

export const insertAttempts: Twin<typeof real.insertAttempts> = (sql, campaignId, rows) =>
  ask(sql, "insert attempts", async (q) => {
    let inserted = 0;
    for (const { stage, position, attempt, code, cause } of rows)
      if (await q.insert(tables.attempt, { campaignId, stage, position, attempt, outcome: "rejected", code, cause, at: q.now() })) inserted++;
    return changed(inserted);
  });

export const insertInDoubt: Twin<typeof real.insertInDoubt> = (sql, campaignId, from, to) =>
  ask(sql, "insert in doubt", async (q) => {
    const inserted: { position: number; address: string | null }[] = [];
    for (let position = from; position <= to; position++) {
      const recipient = q.get(tables.recipient, recipientKey({ campaignId, position }));
      const key = { campaignId, stage: 1, position };
      if (recipient === undefined || q.get(tables.message, messageKey(key)) !== undefined) continue;
      const doubt = { state: "uncertain" as const, code: "lease_expired", cause: "", providerRef: null, at: q.now(), dueAt: null };
      if (await q.insert(tables.message, { ...key, attempt: 1, ...doubt, delays: 0, token: null, leaseUntil: null }))
        inserted.push({ position, address: recipient.address });
    }
    return inserted;
  });

export const acceptByReceipt: Twin<typeof real.acceptByReceipt> = (sql, campaignId, positions) =>
  ask(sql, "accept by receipt", async (q) => {
    const open = (m: Message) =>
      m.campaignId === campaignId && ["uncertain", "queued"].includes(m.state) && (positions === null || positions.includes(m.position));
    const accepted: real.Accepted[] = [];
    for (const seen of q.all(tables.message).filter(open).sort(byPlace)) {
      const [proof] = proofs(q, seen);
      if (proof === undefined) continue;
      const m = await q.lock(tables.message, messageKey(seen), ({ state }) => state === seen.state);
      if (m === undefined) continue;
      const { attempt, providerRef } = proof;
      q.put(tables.message, { ...m, state: "accepted", attempt, providerRef, code: null, cause: null, dueAt: null });
      accepted.push({ stage: m.stage, position: m.position, before: seen.state as real.Accepted["before"] });
    }
    return accepted;
  });

export const acceptLate: Twin<typeof real.acceptLate> = (sql, campaignId, late) =>
  ask(sql, "accept late", async (q) => {
    const lifts = ({ state, attempt }: Message) =>
      (state === "uncertain" && attempt >= late.attempt) || (state === "queued" && attempt > late.attempt);
    const m = await q.lock(tables.message, messageKey({ campaignId, ...late }));
    if (m === undefined || !lifts(m)) return [];
    const { attempt, providerRef } = late;
    q.put(tables.message, { ...m, state: "accepted", attempt, providerRef, code: null, cause: null, dueAt: null });
    return [{ stage: m.stage, position: m.position, before: m.state as real.Accepted["before"] }];
  });

export const lockMessage: Twin<typeof real.lockMessage> = (sql, campaignId, { stage, position }) =>
  ask(sql, "lock message", async (q) => changed((await q.lock(tables.message, messageKey({ campaignId, stage, position }))) === undefined ? 0 : 1));

export const refuseLate: Twin<typeof real.refuseLate> = (sql, campaignId, row) =>
  ask(sql, "refuse late", async (q) => {
    const campaign = q.get(tables.campaign, campaignId);
    const isSame = (m: Message) => m.attempt === row.attempt && m.state === "uncertain";
    const m = await q.lock(tables.message, messageKey({ campaignId, ...row }), isSame);
    if (m === undefined || campaign === undefined) return [];
    const goesOn = campaign.state === "running" || campaign.state === "paused";
    const { code, cause, delays } = row;
    const after: Message = {
      ...m,
      code,
      cause,
      delays,
      state: goesOn ? row.state : "failed",
      attempt: goesOn ? nextAttempt(row) : m.attempt,
      dueAt: goesOn && row.state === "queued" ? q.now() + (row.delayMs ?? 0) : null,
    };
    q.put(tables.message, after);
    return [written(after)];
  });

async function add(q: Statement, campaignId: string, { stage, accepted = 0, failed = 0, skipped = 0, uncertain = 0 }: real.CountChange) {
  return q.upsert(tables.count, countKey({ campaignId, stage }), (before) => ({
    campaignId,
    stage,
    accepted: (before?.accepted ?? 0) + accepted,
    failed: (before?.failed ?? 0) + failed,
    skipped: (before?.skipped ?? 0) + skipped,
    uncertain: (before?.uncertain ?? 0) + uncertain,
  }));
}

export async function countAccepted(q: Statement, campaignId: string, accepted: number): Promise<void> {
  await add(q, campaignId, { stage: 1, accepted });
}

export const addCounts: Twin<typeof real.addCounts> = (sql, campaignId, change) =>
  ask(sql, "add counts", async (q) => {
    const { accepted, failed } = await add(q, campaignId, change);
    return [{ accepted, failed }];
  });

export const amendStatement: Twin<typeof real.amendStatement> = (sql, campaignId, change) =>
  ask(sql, "amend statement", async (q) => {
    const campaign = await q.lock(tables.campaign, campaignId, ({ statement }) => statement !== null);
    if (campaign === undefined || campaign.statement === null) return changed(0);
    const amendments = [...(campaign.statement.amendments ?? []), { ...change, at: q.now() }];
    q.put(tables.campaign, { ...campaign, statement: { ...campaign.statement, amendments } });
    return changed(1);
  });
