import { expect, test } from "vitest";
import { phoneOf } from "../support/town.ts";
import { campaignOf, everybody, openTown, positionsOf, statesOf, work } from "./scene.ts";

test("one person for whom the text cannot be made is skipped with the reason; everybody else gets theirs", async () => {
  const place = await openTown();
  const id = await place.campaign({
    recipients: 10,
    message: { type: "text", text: "Hi {{ firstName }}: {{ bill | divided_by: guests }} each" },
  });
  await place.sql`update recipient set variables = variables || '{"bill": 90, "guests": 3}' where campaign_id = ${id}`;
  await place.sql`update recipient set variables = variables || '{"guests": 0}' where campaign_id = ${id} and position = 3`;
  await place.sql`update recipient set variables = variables - 'bill' where campaign_id = ${id} and position = 5`;
  await place.sql`update recipient set variables = jsonb_set(variables, '{firstName}', to_jsonb(repeat('long', 2000))) where campaign_id = ${id} and position = 7`;
  const hands = work(place);
  await place.clock.pass(5_000);
  const rows = await place.sql<{ position: number; code: string; cause: string }[]>`
    select position, code, cause from message where campaign_id = ${id} and state = 'skipped' order by position`;
  expect(rows.map(({ position, code }) => `${position} ${code}`)).toEqual(["3 invalid", "5 missing_variable", "7 invalid"]);
  expect(rows.every(({ cause }) => cause.length > 3)).toBe(true);
  expect(positionsOf(hands)).toEqual([1, 2, 4, 6, 8, 9, 10]);
  expect((await campaignOf(place, id)).statement).toMatchObject({ accepted: 7, skipped: { invalid: 2, missing_variable: 1 } });
});

test("a call that breaks in our own hands for one person puts that one in doubt, and nobody else", async () => {
  const place = await openTown({ perSecond: 40 });
  const id = await place.campaign({ recipients: 30 });
  const broken = ({ position }: { position: number }) => {
    if (position === 13) throw new Error("a bug");
    return undefined;
  };
  const hands = work(place, { outcome: broken });
  await place.clock.pass(10_000);
  expect(positionsOf(hands)).toEqual(everybody(30).filter((position) => position !== 13));
  expect(await statesOf(place, id)).toEqual({ accepted: 29, uncertain: 1 });
  const [row] = await place.sql`select position, code, cause from message where campaign_id = ${id} and state = 'uncertain'`;
  expect(row).toEqual({ position: 13, code: "provider_threw", cause: "a bug" });
});

test("a campaign that cannot be read any more does not keep the others from being sent", async () => {
  const place = await openTown();
  const broken = await place.campaign({ recipients: 5, message: { type: "text", text: "Hi {{ firstName" } });
  const id = await place.campaign({ recipients: 20, addressOf: (position) => phoneOf(100 + position) });
  work(place);
  await place.clock.pass(10_000);
  expect(await statesOf(place, id)).toEqual({ accepted: 20 });
  expect(await statesOf(place, broken)).toEqual({});
});

test("a campaign that cannot be read any more pauses and says why", async () => {
  const place = await openTown();
  const id = await place.campaign({ recipients: 5, message: { type: "text", text: "Hi {{ firstName" } });
  work(place);
  await place.clock.pass(60_000);
  expect(await campaignOf(place, id)).toMatchObject({ state: "paused", pauseReason: expect.stringContaining("never closed") });
});
