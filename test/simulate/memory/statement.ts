import type { Statement as ClosingStatement } from "../../../src/rules/statement.ts";
import type { Statement } from "./server.ts";
import { tables } from "./twin.ts";

/** campanile.statement(): the closing statement, counted from the rows of the first stage. */
export function statementOf(q: Statement, campaignId: string): ClosingStatement {
  const messages = q.all(tables.message).filter((m) => m.campaignId === campaignId && m.stage === 1);
  const skipped: Record<string, number> = {};
  for (const { state, code } of messages) if (state === "skipped" && code !== null) skipped[code] = (skipped[code] ?? 0) + 1;
  const of = (state: string) => messages.filter((m) => m.state === state);
  const failed = new Set(
    q.all(tables.receipt).flatMap((r) => (r.campaignId === campaignId && r.stage === 1 && r.kind === "failed" ? [r.position] : [])),
  );
  return {
    recipients: q.all(tables.recipient).filter((r) => r.campaignId === campaignId).length,
    accepted: of("accepted").length,
    failed: of("failed").length,
    skipped,
    uncertain: of("uncertain").length,
    undelivered: of("accepted").filter(({ position }) => failed.has(position)).length,
  };
}
