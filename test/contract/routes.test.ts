import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Right } from "../../src/contract/key.ts";
import { Problem } from "../../src/contract/wire.ts";
import { openApiOf } from "../../src/doors/http/openapi.ts";
import { problemOf, statusOf } from "../../src/doors/http/problem.ts";
import { Refusal, type RefusalCode, refusals } from "../../src/rules/refusal.ts";
import { type Door, openDoor } from "../support/door.ts";

let door: Door;
let routes: { method: "GET" | "POST" | "PATCH" | "DELETE"; url: string; right: Right | undefined }[];
beforeAll(async () => {
  door = await openDoor({ whatsapp: { intake: { takeIn: async () => "stored" }, verifyToken: null } });
  await door.app.ready();
  routes = Object.entries(openApiOf(door.app).paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { description }]) => ({
      method: method.toUpperCase() as "GET",
      url: path.replace(/\{\w+\}/g, "12345678-1234-4234-8234-123456789abc"),
      right: Right.safeParse(/^Needs the right (\w+)\./.exec(description ?? "")?.[1]).data,
    })),
  );
});
afterAll(() => door.close());

const behindKeys = () => routes.filter(({ url }) => url.startsWith("/api/"));

test("the API is what openapi.json says (vitest -u writes it anew)", async () => {
  await expect(`${JSON.stringify(openApiOf(door.app), null, 2)}\n`).toMatchFileSnapshot("openapi.json");
});

test("every route under /api states a right, and no other does", () => {
  expect(behindKeys().length).toBeGreaterThan(20);
  for (const { url, right } of routes) expect(right !== undefined, url).toBe(url.startsWith("/api/"));
});

test("nothing under /api answers without a key", async () => {
  for (const { method, url } of behindKeys()) {
    const answer = await door.ask(method, url, { key: null });
    expect(answer.statusCode, `${method} ${url}`).toBe(401);
    expect(Problem.parse(answer.json()).code).toBe("unauthorized");
  }
  expect((await door.ask("GET", "/api/anything", { key: null })).statusCode).toBe(401);
});

describe("rights", () => {
  test.each(Right.options)("a key with nothing but %s opens what needs it, and nothing else", async (right) => {
    const key = await door.newKey([right]);
    for (const { method, url, right: needed } of behindKeys()) {
      const answer = await door.ask(method, url, { key });
      if (needed === right) expect(answer.statusCode, `${method} ${url}`).not.toBe(403);
      else {
        expect(answer.statusCode, `${method} ${url} with ${right}`).toBe(403);
        expect(Problem.parse(answer.json()).detail).toBe(`This key may not ${needed}. It has: ${right}.`);
      }
    }
  });

  test("a campaign that starts when it is made needs send too", async () => {
    const payload = {
      name: "x",
      accountId: "12345678-1234-4234-8234-123456789abc",
      messageType: "text",
      messageContent: "Hi",
      audienceType: "all",
      scheduleType: "now",
    };
    const answer = await door.ask("POST", "/api/v1/campaigns", { key: await door.newKey(["write"]), payload });
    expect(answer.statusCode).toBe(403);
  });
});

test("every refusal has its status, and its answer the shape of a problem", () => {
  for (const code of Object.keys(refusals) as RefusalCode[]) {
    const problem = Problem.parse(problemOf(new Refusal(code), "1"));
    expect(problem).toMatchObject({ success: false, code, status: statusOf[code], type: `/docs#${code}` });
  }
  expect(statusOf).toMatchInlineSnapshot(`
    {
      "already_running": 400,
      "campaign_not_found": 404,
      "database_regressed": 409,
      "file_empty": 422,
      "idempotency_in_progress": 409,
      "idempotency_mismatch": 422,
      "import_unreadable": 422,
      "in_use": 409,
      "liquid_invalid": 422,
      "malformed": 400,
      "media_type": 415,
      "method_not_allowed": 405,
      "not_a_draft": 409,
      "not_available": 503,
      "not_found": 404,
      "provider_refused": 422,
      "right_missing": 403,
      "route_not_found": 404,
      "sender_blocked": 409,
      "sender_not_connected": 422,
      "template_not_approved": 422,
      "template_parameters": 422,
      "template_unknown": 422,
      "too_large": 413,
      "too_slow": 503,
      "transition_refused": 409,
      "unauthorized": 401,
      "verify_token": 403,
      "webhook_signature": 401,
    }
  `);
});

test("pages and documents are served whole, and bring their own everything", async () => {
  for (const url of ["/whatsapp-admin", "/docs"]) {
    const page = await door.ask("GET", url, { key: null });
    expect(page.statusCode).toBe(200);
    expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(page.body).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(page.body).not.toMatch(/<script(?![^>]* src=)|<style|\son\w+=/);
    for (const [, file = ""] of page.body.matchAll(/(?:src|href)="(\/[^"#]+\.\w+)"/g))
      expect((await door.ask("GET", file, { key: null })).statusCode, file).toBe(200);
  }
  for (const code of Object.keys(refusals)) expect((await door.ask("GET", "/docs", { key: null })).body).toContain(`id="${code}"`);
});

test("metrics tell routes and refusals, and nobody's ids", async () => {
  await door.ask("GET", "/api/campaigns/12345678-1234-4234-8234-123456789abc");
  const { body } = await door.ask("GET", "/metrics", { key: null });
  expect(body).toContain('campanile_http_request_duration_seconds_count{method="GET",route="/api/campaigns/:id",status="404"}');
  expect(body).toContain('campanile_refusals_total{code="campaign_not_found"}');
  expect(body).not.toContain("12345678-1234");
});
