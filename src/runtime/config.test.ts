import { expect, test } from "vitest";
import { readConfig, variables, WrongConfiguration } from "./config.ts";

test("an empty environment gives the defaults", () => {
  expect(readConfig({})).toMatchObject({
    host: "127.0.0.1",
    port: 8080,
    dataDir: "./.campanile",
    apiVersion: "v25.0",
    dailyCap: 200,
    capCalendarZone: null,
    logLevel: "info",
    warnings: [],
  });
});

test.each([
  ["PORT", "abc", 'PORT is "abc"; allowed: a whole number from 0 to 65535.'],
  ["PORT", "0x50", 'PORT is "0x50"; allowed: a whole number from 0 to 65535.'],
  ["PORT", "70000", 'PORT is "70000"; allowed: a whole number from 0 to 65535.'],
  ["DAILY_CAP", "-1", 'DAILY_CAP is "-1"; allowed: a whole number from 0 to 100000000.'],
  ["DAILY_CAP_WINDOW", "weekly", 'DAILY_CAP_WINDOW is "weekly"; allowed: rolling or calendar.'],
  ["DAILY_CAP_TIME_ZONE", "Mars/Base", 'DAILY_CAP_TIME_ZONE is "Mars/Base"; allowed: an IANA time zone, such as Asia/Kolkata.'],
  ["META_API_VERSION", "25", 'META_API_VERSION is "25"; allowed: vNN.N, such as v25.0.'],
  ["LOG_LEVEL", "loud", 'LOG_LEVEL is "loud"; allowed: one of trace, debug, info, warn, error, fatal, silent.'],
])("%s=%s is refused by name, with the value and what is allowed", (name, value, sentence) => {
  expect(() => readConfig({ [name]: value })).toThrow(new WrongConfiguration(sentence));
});

test("a wrong secret is not shown", () => {
  expect(() => readConfig({ DATABASE_URL: "mysql://canary@host" })).toThrow(
    /^DATABASE_URL is set to a value that cannot be used \(secret, not shown\); allowed:/,
  );
  expect(() => readConfig({ CAMPANILE_API_KEY: "canary" })).toThrow(/^(?!.*canary)/);
});

test("every wrong variable has its line", () => {
  expect(() => readConfig({ PORT: "x", DAILY_CAP: "y" })).toThrow(/^PORT is .*\nDAILY_CAP is .*$/);
});

test("half a default sender is refused", () => {
  expect(() => readConfig({ META_ACCESS_TOKEN: "EAA" })).toThrow(/^META_PHONE_NUMBER_ID is not set although META_ACCESS_TOKEN is/);
});

test("other spellings are understood", () => {
  const config = readConfig({ CAMPAIGN_DATABASE_URL: "postgres://h/d", LOG_LEVEL: "WARNING", DAILY_CAP_WINDOW: "CALENDAR", PORT: " " });
  expect(config).toMatchObject({ databaseUrl: "postgres://h/d", logLevel: "warn", capCalendarZone: "UTC", port: 8080 });
  expect(readConfig({ DEBUG: "other,campaign-messaging" }).logLevel).toBe("debug");
});

test("MONGODB_* and misspelt names are warned about", () => {
  expect(readConfig({ MONGODB_URI: "x", META_ACCES_TOKEN: "y", PATH: "/bin" }).warnings).toEqual([
    "MONGODB_URI is ignored: Campanile keeps everything in Postgres.",
    "META_ACCES_TOKEN is not a setting Campanile knows; it is ignored.",
  ]);
});

test("every variable says what it is for and what is allowed", () => {
  for (const [name, shape] of Object.entries(variables.shape)) {
    expect(shape.meta(), name).toMatchObject({ group: expect.any(String), description: expect.any(String), allowed: expect.any(String) });
  }
});
