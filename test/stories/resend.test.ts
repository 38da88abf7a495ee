import { expect, test, vi } from "vitest";
import { openProduct } from "../faults/product.ts";

vi.setConfig({ testTimeout: 60_000 });

interface Person {
  readonly position: number;
  readonly address: string;
  readonly state: string;
  readonly code: string | null;
}

test("whom a campaign did not reach gets it again: who failed, by reason; who is in doubt; of whom nothing was heard", async () => {
  const mix = { successRate: 0.7, answerShare: 1, latencyMs: [0, 2] as [number, number], faults: { missingIdAccepted: 0.05 } };
  const { call, vendor, until, launch, database } = await openProduct({ vendor: { seed: 11, mix } });
  const { sql } = database;
  const isOver = async (id: string) => (await call("GET", `/api/v1/campaigns/${id}`)).body.data.status === "completed";
  const peopleOf = async (id: string): Promise<Person[]> => (await call("GET", `/api/v1/campaigns/${id}/recipients?limit=500`)).body.data;
  const addresses = (people: readonly Person[]) => people.map(({ address }) => address).sort();

  const id = await launch({ recipients: 200 });
  await until(() => isOver(id));
  const people = await peopleOf(id);
  const [late, read, ...silent] = people.filter(({ state }) => state === "accepted");
  await sql`update message set at = at - interval '10 minutes' where campaign_id = ${id}`;
  const hear = (position: number, kind: string, code: string | null = null) => sql`
    insert into receipt (campaign_id, stage, position, attempt, kind, at, code) values (${id}, 1, ${position}, 1, ${kind}, campanile.clock(), ${code})`;
  await hear(late?.position ?? 0, "failed", "131026");
  await hear(read?.position ?? 0, "read");
  await sql`update contact set first_name = 'Changed'`;
  await vendor.set({ mix: { successRate: 1, faults: { missingIdAccepted: 0 } } });

  const resend = async (scope: object, meanwhile: () => PromiseLike<unknown> = async () => {}) => {
    const { status, body } = await call("POST", `/api/v1/campaigns/${id}/resend`, { scope });
    expect(status, JSON.stringify(body)).toBe(201);
    expect(body.data).toMatchObject({ name: "a campaign (Resend)", status: "draft" });
    expect((await call("GET", `/api/v1/campaigns/${body.data.id}/stats`)).body.data.recipients).toBe(body.data.total_recipients);
    const early = await call("POST", `/api/v1/campaigns/${body.data.id}/resend`, { scope });
    expect(early.body).toMatchObject({ code: "transition_refused", status: 409 });
    await meanwhile();
    await call("POST", `/api/v1/campaigns/${body.data.id}/start`);
    await until(() => isOver(body.data.id));
    const reached = await peopleOf(body.data.id);
    expect(reached.every(({ state }) => state === "accepted")).toBe(true);
    expect(await vendor.ledger(body.data.id)).toMatchObject({ accepted: reached.length, duplicates: 0 });
    return { id: body.data.id as string, planned: body.data.total_recipients as number, to: addresses(reached) };
  };

  const invalid = people.filter(({ code }) => code === "131026");
  expect(invalid.length).toBeGreaterThan(5);
  const again = await resend({ of: "failed", codes: ["131026"] });
  expect(again.to).toEqual(addresses([...invalid, ...(late ? [late] : [])]));
  const first = (await call("GET", `/api/v1/campaigns/${again.id}/recipients/1`)).body.data;
  expect(first.variables.firstName, "what they were called the first time").toBe(`N${Number(first.address.slice(-8)) - 10_000_000}`);
  expect(first.story[0].text).toContain("in the campaign before");

  const failed = people.filter(({ state }) => state === "failed");
  expect((await resend({ of: "failed" })).to).toEqual(addresses([...failed, ...(late ? [late] : [])]));

  const doubtful = people.filter(({ state }) => state === "uncertain");
  expect(doubtful.length).toBeGreaterThan(3);
  expect((await resend({ of: "uncertain" })).to).toEqual(addresses(doubtful));

  const [heard, ...never] = silent;
  const unheard = await resend({ of: "not_delivered", afterMinutes: 5 }, () => hear(heard?.position ?? 0, "delivered"));
  expect(unheard).toMatchObject({ planned: silent.length, to: addresses(never) });

  expect((await call("GET", `/api/v1/campaigns/${unheard.id}`)).body.data.audienceConfig.resend).toEqual({
    campaignId: id,
    scope: { of: "not_delivered", afterMinutes: 5 },
  });
  for (const wrong of [{ of: "everybody" }, { of: "uncertain", codes: ["1"] }, { of: "not_delivered" }, { of: "failed", codes: [] }]) {
    expect((await call("POST", `/api/v1/campaigns/${id}/resend`, { scope: wrong })).status).toBe(400);
  }
});
