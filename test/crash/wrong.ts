import { completeOver } from "../../src/flow/dispatch/complete.ts";
import { compileMessage } from "../../src/rules/message-render.ts";
import { formatReference } from "../../src/rules/reference.ts";
import type { TownEngine } from "../support/town.ts";
import { phoneOf } from "../support/town.ts";
import { RECIPIENTS, type Workday } from "./rig.ts";

/**
 * Two designs one meets in the field, kept to show that the suite can fail. Both keep a row per recipient and go on after a crash with
 * those who have none.
 */
const message = compileMessage({ type: "text", text: "Hi" }).render({});

/** Written to twice when it dies between the two: whoever comes next finds no row. */
export const sendThenRecord: Workday = (engine, id) =>
  eachWithoutRow(engine, id, async (position) => {
    const providerRef = await send(engine, id, position);
    if (providerRef !== null) await record(engine, id, { position, providerRef });
    else await fail(engine, id, position);
  });

/** Never written to when it dies between the two, while its row says accepted. */
export const recordThenSend: Workday = (engine, id) =>
  eachWithoutRow(engine, id, async (position) => {
    await record(engine, id, { position, providerRef: `not known yet ${position}` });
    const providerRef = await send(engine, id, position);
    if (providerRef !== null) await engine.sql`update message set provider_ref = ${providerRef} where campaign_id = ${id} and position = ${position}`;
    else await engine.sql`update message set state = 'failed', code = 'refused' where campaign_id = ${id} and position = ${position}`;
  });

async function eachWithoutRow(engine: TownEngine, id: string, step: (position: number) => Promise<void>): Promise<void> {
  for (let position = 1; position <= RECIPIENTS; position++) {
    const [row] = await engine.sql`select 1 from message where campaign_id = ${id} and position = ${position}`;
    if (row === undefined) await step(position);
  }
  await engine.sql`delete from lot where campaign_id = ${id}`;
  await engine.sql`delete from dispatch_count where campaign_id = ${id}`;
  await engine.sql`insert into dispatch_count (campaign_id, stage, accepted, failed)
    select ${id}, 1, count(*) filter (where state = 'accepted'), count(*) filter (where state = 'failed') from message where campaign_id = ${id}`;
  await completeOver(1, engine);
}

async function send(engine: TownEngine, campaignId: string, position: number): Promise<string | null> {
  if (!message.ok) throw new Error("the message does not render");
  const provider = await engine.openProvider("");
  const reference = formatReference({ campaignId, stage: 1, position, attempt: 1 });
  const outcome = await provider.send({ reference, address: phoneOf(position), message: message.message }, engine.signal);
  return outcome.kind === "accepted" ? outcome.providerRef : null;
}

const record = (engine: TownEngine, id: string, { position, providerRef }: { position: number; providerRef: string }) =>
  engine.sql`insert into message (campaign_id, stage, position, attempt, state, provider_ref, at) values (${id}, 1, ${position}, 1, 'accepted', ${providerRef}, campanile.clock())`;

const fail = (engine: TownEngine, id: string, position: number) =>
  engine.sql`insert into message (campaign_id, stage, position, attempt, state, code, at) values (${id}, 1, ${position}, 1, 'failed', 'refused', campanile.clock())`;
