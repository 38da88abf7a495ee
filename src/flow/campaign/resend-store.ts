import type { Fragment, Sql } from "../../runtime/postgres.ts";

/** Whom of an earlier campaign a message is sent to again. */
export type ResendScope =
  /** Whom the provider refused, at once or later; `codes`: for one of these reasons. */
  | { readonly of: "failed"; readonly codes?: readonly string[] | undefined }
  /** Who may or may not have got it. */
  | { readonly of: "uncertain" }
  /** Who was sent it so long ago, and of whom nothing was heard since. */
  | { readonly of: "not_delivered"; readonly afterMinutes: number };

/** An audience: the people of `campaignId` whom the scope names when the new campaign is planned. */
export interface Resending {
  readonly campaignId: string;
  readonly scope: ResendScope;
}

const message = (sql: Sql) => sql`m.campaign_id = r.campaign_id and m.stage = 1 and m.position = r.position`;
const receipt = (sql: Sql) => sql`t.campaign_id = r.campaign_id and t.stage = 1 and t.position = r.position`;

/** Whether recipient `r` of the earlier campaign is in the scope. */
export function inScope(sql: Sql, scope: ResendScope): Fragment {
  switch (scope.of) {
    case "failed": {
      const codes = scope.codes === undefined ? null : ([...scope.codes] as string[]);
      const isMeant = (code: Fragment) => sql`(${codes}::text[] is null or coalesce(${code}, 'unknown') = any(${codes}::text[]))`;
      return sql`(
        exists (select from message m where ${message(sql)} and m.state = 'failed' and ${isMeant(sql`m.code`)})
        or exists (select from message m where ${message(sql)} and m.state = 'accepted')
          and coalesce((select ${isMeant(sql`t.code`)} from receipt t where ${receipt(sql)} and t.kind = 'failed' order by t.attempt desc limit 1), false))`;
    }
    case "uncertain":
      return sql`exists (select from message m where ${message(sql)} and m.state = 'uncertain')`;
    case "not_delivered":
      return sql`exists (select from message m where ${message(sql)} and m.state = 'accepted' and m.at < campanile.clock() - ${scope.afterMinutes} * interval '1 minute')
        and not exists (select from receipt t where ${receipt(sql)} and t.kind <> 'sent')`;
  }
}
