import type { LookupAddress } from "node:dns";
import { describe, expect, test } from "vitest";
import { openReceiver } from "../../../test/support/receiver.ts";
import { systemClock } from "../../runtime/clock.ts";
import { addressOf, guardedLookup, isAllowed, type Resolve, reachOf } from "./guard.ts";
import { openPoster } from "./post.ts";

const table = {
  public: ["1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "192.167.1.1", "223.255.255.255"],
  public6: ["2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "::ffff:8.8.8.8", "2002:808:808::1", "64:ff9b::8.8.8.8"],
  private: ["127.0.0.1", "127.255.255.254", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "198.18.0.1"],
  private6: [
    "::1",
    "0:0:0:0:0:0:0:1",
    "fc00::1",
    "fdff:ffff::1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:10.1.2.3",
    "2002:7f00:1::",
    "2002:a00:1::1",
  ],
  nat64: ["64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b::192.168.1.1"],
  never: ["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1", "198.51.100.1"],
  never4: ["203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"],
  never6: ["::", "fe80::1", "fe80::1%eth0", "febf::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "2001::1", "2001:0:4136:e378::1", "3fff::1"],
  metadata6: [
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "::127.0.0.1",
    "100::1",
  ],
  none: ["", "localhost", "127.1", "0x7f.1", "999.1.1.1", ":::1"],
};
const expected = (group: string) => (group.startsWith("public") ? "public" : /^(private|nat64)/.test(group) ? "private" : "never");

describe.each(Object.entries(table))("%s", (group, addresses) => {
  test.each(addresses)("%s", (address) => {
    expect(reachOf(address)).toBe(expected(group));
    expect(isAllowed(address, false)).toBe(expected(group) === "public");
    expect(isAllowed(address, true)).toBe(expected(group) !== "never");
  });
});

test.each([
  ["http://2130706433/", "127.0.0.1"],
  ["http://0x7f.1/", "127.0.0.1"],
  ["http://017700000001/", "127.0.0.1"],
  ["http://127.1/", "127.0.0.1"],
  ["http://①②⑦.0.0.1/", "127.0.0.1"],
  ["http://[::ffff:127.0.0.1]/", "::ffff:7f00:1"],
  ["http://[::1]:8080/", "::1"],
  ["http://example.com/", null],
  ["http://127.0.0.1.example.com/", null],
])("the host of %s is %s", (url, address) => {
  expect(addressOf(new URL(url))).toBe(address);
});

const answering =
  (...turns: readonly (readonly string[])[]): Resolve =>
  async () =>
    (turns.length > 1 ? ((turns as string[][]).shift() ?? []) : (turns[0] ?? [])).map((address) => ({
      address,
      family: address.includes(":") ? 6 : 4,
    }));

const lookedUp = (resolve: Resolve, all: boolean, allowPrivate = false) =>
  new Promise<string | LookupAddress[]>((found, refused) => {
    guardedLookup(resolve, allowPrivate)("name.test", { all }, (error, address) => (error === null ? found(address) : refused(error)));
  });

test("a name is looked up once for each connection, and every address of it must be allowed", async () => {
  expect(await lookedUp(answering(["8.8.8.8", "1.1.1.1"]), false)).toBe("8.8.8.8");
  expect(await lookedUp(answering(["8.8.8.8", "2606:4700::1"]), true)).toEqual([
    { address: "8.8.8.8", family: 4 },
    { address: "2606:4700::1", family: 6 },
  ]);
  for (const addresses of [["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], []])
    await expect(lookedUp(answering(addresses), true)).rejects.toThrow("name.test leads to an internal address");
  await expect(lookedUp(answering(["169.254.169.254"]), true, true)).rejects.toThrow("internal");
  await expect(lookedUp(() => Promise.reject(new Error("ENOTFOUND")), true)).rejects.toThrow("ENOTFOUND");
});

describe("a POST", () => {
  const post = { headers: {}, body: "{}" };
  const { signal } = new AbortController();

  test("goes to the address that was looked at, whatever the name says a moment later", async () => {
    const first = await openReceiver();
    const port = new URL(first.url).port;
    let lookups = 0;
    const resolve: Resolve = async () => [{ address: lookups++ === 0 ? "127.0.0.1" : "127.0.0.2", family: 4 }];
    const posted = await openPoster({ clock: systemClock, allowPrivate: true, resolve })({ ...post, url: `http://rebinding.test:${port}/` }, signal);
    expect(posted).toMatchObject({ kind: "answered", status: 204 });
    expect(first.received[0]?.headers["host"]).toBe(`rebinding.test:${port}`);
    expect(lookups).toBe(1);
  });

  test("never reaches this machine through a name that was public when it was entered", async () => {
    const inside = await openReceiver();
    const port = new URL(inside.url).port;
    const resolve = answering(["8.8.8.8"], ["127.0.0.1"]);
    expect((await resolve("rebinding.test"))[0]?.address).toBe("8.8.8.8");
    const poster = openPoster({ clock: systemClock, allowPrivate: false, resolve });
    const posted = await poster({ ...post, url: `https://rebinding.test:${port}/` }, signal);
    expect(posted).toMatchObject({ kind: "failed", cause: expect.stringContaining("internal address") });
    for (const url of [`https://127.0.0.1:${port}/`, `https://[::ffff:127.0.0.1]:${port}/`, `https://2130706433:${port}/`])
      expect(await poster({ ...post, url }, signal)).toMatchObject({ kind: "failed", cause: expect.stringContaining("internal address") });
    expect(await poster({ ...post, url: inside.url }, signal)).toMatchObject({ kind: "failed", cause: expect.stringContaining("https only") });
    expect(inside.received).toEqual([]);
  });

  test("follows no redirect, and reads no more than it must", async () => {
    const inside = await openReceiver();
    const outside = await openReceiver();
    outside.answers((_one, number) =>
      number === 1 ? { status: 307, headers: { location: inside.url } } : { status: 200, body: "x".repeat(10_000_000) },
    );
    const poster = openPoster({ clock: systemClock, allowPrivate: true });
    expect(await poster({ ...post, url: outside.url }, signal)).toMatchObject({ kind: "answered", status: 307 });
    expect(await poster({ ...post, url: outside.url }, signal)).toMatchObject({ kind: "answered", status: 200 });
    expect(inside.received).toEqual([]);
  });

  test("that nobody hears says why", async () => {
    const poster = openPoster({ clock: systemClock, allowPrivate: true });
    expect(await poster({ ...post, url: "http://127.0.0.1:1/" }, signal)).toMatchObject({
      kind: "failed",
      cause: expect.stringContaining("ECONNREFUSED"),
    });
    expect(await poster({ ...post, url: "http://127.0.0.1:1/" }, AbortSignal.abort())).toEqual({ kind: "aborted" });
  });
});
