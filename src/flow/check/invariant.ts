import type { Sql } from "../../runtime/postgres.ts";
import type { Found, Page } from "./store.ts";

/** A warning is no broken promise: it says that something is late, or that a risk somebody chose has come true. */
export type Severity = "violation" | "warning";

interface Named {
  readonly name: string;
  readonly severity: Severity;
  /** One sentence on what is wrong, and one on what to do. */
  readonly what: string;
}

/** What must be true of the data, and the statement that finds where it is not, asked page by page, or once per campaign, scope or database. */
export type Invariant = Named &
  (
    | { readonly per: "page"; readonly find: (sql: Sql, page: Page) => PromiseLike<readonly Found[]> }
    | { readonly per: "campaign" | "scope"; readonly find: (sql: Sql, id: string) => PromiseLike<readonly Found[]> }
    | { readonly per: "house"; readonly find: (sql: Sql) => PromiseLike<readonly Found[]> }
  );
