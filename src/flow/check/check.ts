import type { Sql } from "../../runtime/postgres.ts";
import type { Invariant, Severity } from "./invariant.ts";
import { invariants } from "./invariants.ts";
import { type Found, listCampaigns, listCapScopes, type Page, readExtent } from "./store.ts";

/** One invariant that does not hold, in one campaign or in what all share. */
export interface Violation {
  readonly invariant: string;
  readonly severity: Severity;
  /** Null: it concerns no single campaign. */
  readonly campaignId: string | null;
  /** What is wrong, and what to do. */
  readonly what: string;
  readonly count: number;
  /** Up to five of them, in words. */
  readonly examples: readonly string[];
}

/** All when it is empty. What only all campaigns together can tell (rows of nobody, webhooks) is looked at only then; a cap needs its workspace. */
export interface CheckScope {
  readonly workspaceId?: string;
  readonly campaignId?: string;
}

const CAMPAIGNS_PER_PAGE = 100;
/** Some 50 ms for the slowest statement of a page. */
const POSITIONS_PER_PAGE = 20_000;
const EXAMPLES_MAX = 5;
const INT_MAX = 2_147_483_647;

/**
 * Looks at every promise that can be seen in the data and tells where it does not hold, one invariant of one campaign at a time. It
 * only reads, in statements that are each a short transaction of its own, of one page of positions where rows are compared one by one:
 * a long snapshot would keep Postgres from clearing up. What is counted is counted in one snapshot with its counter, so campaigns may
 * run meanwhile. A million recipients take about a minute, and no memory here.
 */
export async function* check(sql: Sql, { workspaceId, campaignId }: CheckScope = {}): AsyncGenerator<Violation> {
  let afterId: string | null = null;
  for (;;) {
    const page: readonly { id: string }[] = await listCampaigns(sql, {
      workspaceId: workspaceId ?? null,
      campaignId: campaignId ?? null,
      afterId,
      limit: CAMPAIGNS_PER_PAGE,
    });
    for (const { id } of page) yield* checkCampaign(sql, id);
    afterId = page.at(-1)?.id ?? null;
    if (page.length < CAMPAIGNS_PER_PAGE) break;
  }
  if (campaignId !== undefined) return;
  const scopes = await listCapScopes(sql, workspaceId ?? null);
  for (const invariant of invariants) {
    if (invariant.per === "scope") for (const { id } of scopes) yield* told(invariant, null, await invariant.find(sql, id));
    if (invariant.per === "house" && workspaceId === undefined) yield* told(invariant, null, await invariant.find(sql));
  }
}

async function* checkCampaign(sql: Sql, campaignId: string): AsyncGenerator<Violation> {
  const pages = pagesOf(campaignId, await readExtent(sql, campaignId));
  for (const invariant of invariants) {
    if (invariant.per === "campaign") yield* told(invariant, campaignId, await invariant.find(sql, campaignId));
    if (invariant.per !== "page") continue;
    const found: Found[] = [];
    for (const page of pages) found.push(...(await invariant.find(sql, page)).filter(({ count }) => count > 0));
    yield* told(invariant, campaignId, found);
  }
}

/** The last page of a stage has no end: rows may have come meanwhile. */
function pagesOf(campaignId: string, extent: readonly { stage: number; last: number }[]): Page[] {
  return extent.flatMap(({ stage, last }) =>
    Array.from({ length: Math.floor(last / POSITIONS_PER_PAGE) + 1 }, (_, i) => {
      const from = i * POSITIONS_PER_PAGE;
      const to = from + POSITIONS_PER_PAGE > last ? INT_MAX : from + POSITIONS_PER_PAGE - 1;
      return { campaignId, stage, from, to };
    }),
  );
}

function* told({ name, severity, what }: Invariant, campaignId: string | null, found: readonly Found[]): Generator<Violation> {
  const count = found.reduce((sum, one) => sum + one.count, 0);
  const examples = found.flatMap((one) => one.examples).slice(0, EXAMPLES_MAX);
  if (count > 0) yield { invariant: name, severity, campaignId, what, count, examples };
}

/** A violation as people read it, on several lines. */
export function describe({ invariant, severity, campaignId, what, count, examples }: Violation): string {
  const where = campaignId === null ? "" : ` in campaign ${campaignId}`;
  const more = count > examples.length ? [`  … and ${count - examples.length} more`] : [];
  return [`${severity}: ${invariant}${where}`, `  ${what}`, ...examples.map((example) => `  - ${example}`), ...more].join("\n");
}
