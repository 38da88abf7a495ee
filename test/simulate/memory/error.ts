/** An error as the driver gives it: `code` is a SQLSTATE, or the driver's own word. */
export class PgError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = "PostgresError";
    this.code = code;
  }
}
