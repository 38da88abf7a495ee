import { afterEach, beforeEach, expect, test } from "vitest";
import { pauseAll } from "../../src/flow/campaign/regression-store.ts";
import { startEngine } from "../../src/flow/dispatch/engine.ts";
import { rehearsalProvider } from "../../src/flow/provider/rehearsal.ts";
import { WINDOW_MAX } from "../../src/rules/limits.ts";
import { parseReference } from "../../src/rules/reference.ts";
import { conditional } from "../../src/runtime/postgres.ts";
import { type Town, town } from "../support/town.ts";

let place: Town;
beforeEach(async () => {
  place = await town();
});
afterEach(() => place.close());

test.each([
  ["at full speed", null],
  ["at a pace", 3_000],
])("%s: from one moment to the next the database is not the one that was known; nothing more is marked in it", async (_, perMinute) => {
  const id = await place.campaign({ recipients: 1_000, perMinute });
  const sent: number[] = [];
  let gone = false;
  let marked = 0;
  const provider = rehearsalProvider({
    clock: place.clock,
    latencyMs: 10,
    witness: ({ reference }) => {
      sent.push(parseReference(reference)?.position ?? 0);
      if (sent.length === 300) gone = true;
    },
  });
  const engine = place.engine(provider);
  const sql = conditional(engine.sql, {
    holds: (inner) => (gone ? inner`false` : inner`true`),
    restore: async () => {
      const [lot] = await place.sql<{ handed: number }[]>`select handed from lot where campaign_id = ${id}`;
      marked = lot?.handed ?? 0;
      await pauseAll(place.sql, "It went back.");
      gone = false;
    },
  });
  const running = startEngine({ ...engine, sql }, { campaignsMax: 5, lotsPerCampaign: 4, pollMs: 5_000, sweepMs: 1_000 });
  await place.clock.pass(12_000);
  await place.clock.until(running.stop());
  await engine.kill();

  expect(gone).toBe(false);
  expect(marked).toBeLessThanOrEqual(300 + WINDOW_MAX);
  expect(Math.max(...sent)).toBeLessThanOrEqual(marked);
  expect(new Set(sent).size).toBe(sent.length);
  const [campaign] =
    await place.sql`select state, pause_reason, (select count(*)::int from message where campaign_id = ${id}) as messages from campaign where id = ${id}`;
  expect(campaign).toEqual({ state: "paused", pauseReason: "database_regressed", messages: sent.length }); // what came back was stored all the same
});
