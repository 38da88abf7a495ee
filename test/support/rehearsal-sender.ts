import { credentialKey } from "../../src/flow/provider/credentials.ts";
import { openProviders } from "../../src/flow/provider/open.ts";
import { connectSender, createSender, type SenderDeps } from "../../src/flow/provider/sender.ts";
import { upsertTemplates } from "../../src/flow/provider/store.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemLuck } from "../../src/runtime/luck.ts";
import type { Database } from "../../src/runtime/postgres.ts";

export interface RehearsalOptions {
  /** Unique recipients in 24 h. */
  readonly cap?: number | null;
  readonly externalId?: string;
}

/** A connected sender that accepts everything at once, with the approved template `welcome` (no parameters, en_US). Returns its id. */
export async function rehearsalSender(
  sql: Database,
  workspaceId: string,
  { cap = null, externalId = "100200300" }: RehearsalOptions = {},
): Promise<string> {
  const keys = [credentialKey("a secret of tests only")] as const;
  const providers = openProviders({ sql, clock: systemClock, keys });
  const deps: SenderDeps = { sql, luck: systemLuck, keys, providers };
  try {
    const { id } = await createSender({ workspaceId, provider: "rehearsal", name: "Rehearsal", externalId, cap, perSecond: null }, deps);
    await connectSender({ workspaceId, id }, deps);
    const template = {
      id: systemLuck.uuid(),
      name: "welcome",
      language: "en_US",
      category: "MARKETING",
      status: "APPROVED",
      parameterFormat: "POSITIONAL" as const,
      components: [{ type: "BODY", text: "Welcome!" }],
      externalId: "1",
    };
    await upsertTemplates(sql, { workspaceId, id }, [template]);
    return id;
  } finally {
    await providers.close();
  }
}
