import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { systemLuck } from "../../runtime/luck.ts";
import { newSecret, signatureHeaders } from "./signature.ts";

const secret = newSecret(systemLuck);
const signed = (secrets: readonly string[], body = '{"type":"campaign:started","text":"Grüße 🎉"}') => ({
  body,
  headers: { ...signatureHeaders({ id: "msg_1", body, at: new Date(), secrets }) },
});

test("the example of the specification", () => {
  const at = new Date(1614265330 * 1000);
  const body = '{"test": 2432232314}';
  const headers = signatureHeaders({ id: "msg_p5jXN8AQM9LWM0D4loKWxJek", body, at, secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] });
  expect(headers).toEqual({
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  });
});

test("the independent package verifies it, and nothing that was changed", () => {
  const { body, headers } = signed([secret]);
  const webhook = new Webhook(secret);
  expect(webhook.verify(body, headers)).toEqual(JSON.parse(body));
  for (const changed of [{ "webhook-id": "msg_2" }, { "webhook-timestamp": String(Math.floor(Date.now() / 1000) + 1) }])
    expect(() => webhook.verify(body, { ...headers, ...changed })).toThrow();
  expect(() => webhook.verify(`${body} `, headers)).toThrow();
  expect(() => new Webhook(newSecret(systemLuck)).verify(body, headers)).toThrow();
});

test("while a secret is replaced, either verifies", () => {
  const next = newSecret(systemLuck);
  const { body, headers } = signed([next, secret]);
  expect(headers["webhook-signature"]).toMatch(/^v1,\S{44} v1,\S{44}$/);
  for (const one of [secret, next]) expect(new Webhook(one).verify(body, headers)).toEqual(JSON.parse(body));
});

test("a secret has 256 bits, and no two are the same", () => {
  expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  expect(newSecret(systemLuck)).not.toBe(secret);
});
