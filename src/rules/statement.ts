/**
 * What became of everybody, when a campaign has ended: outcomes of the first stage, counted from rows. It never changes. `undelivered`:
 * accepted messages of which the provider said later that they failed; they stay accepted.
 */
export interface Statement {
  readonly recipients: number;
  readonly accepted: number;
  readonly failed: number;
  /** By reason; a reason nobody had is not there. */
  readonly skipped: Readonly<Record<string, number>>;
  readonly uncertain: number;
  readonly undelivered: number;
  /** What was settled after the statement was given, each by how much a count changed. */
  readonly amendments?: readonly Readonly<Record<string, unknown>>[];
}

const skippedOf = ({ skipped }: Pick<Statement, "skipped">): number => Object.values(skipped).reduce((sum, n) => sum + n, 0);

/** Everybody who has an outcome. */
export const accountedFor = (statement: Statement): number => statement.accepted + statement.failed + skippedOf(statement) + statement.uncertain;

/** Why a statement may not be given, in words; null when it adds up. */
export function statementFault(statement: Statement): string | null {
  const { recipients, accepted, failed, uncertain, undelivered } = statement;
  const counts = [recipients, accepted, failed, uncertain, undelivered, ...Object.values(statement.skipped)];
  if (counts.some((n) => !Number.isSafeInteger(n) || n < 0)) return `a count is not a whole number: ${counts.join(", ")}`;
  const accounted = accountedFor(statement);
  if (accounted !== recipients) {
    return `accepted ${accepted} + failed ${failed} + skipped ${skippedOf(statement)} + uncertain ${uncertain} = ${accounted}, of ${recipients} recipients`;
  }
  return undelivered > accepted ? `${undelivered} undelivered of ${accepted} accepted` : null;
}
