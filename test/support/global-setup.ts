import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { startEmbedded } from "../../src/runtime/embedded.ts";
import { migrate } from "../../src/runtime/migrate.ts";
import { addressOf, asAdmin, type TestServer } from "./database.ts";

/** One Postgres for the whole run: the one DATABASE_URL names, else an embedded one which forgets everything when the machine stops. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const prefix = `campanile_test_${process.pid}_`;
  const { url, teardown } = await openServer(prefix);
  const server: TestServer = { url, prefix, template: `${prefix}template` };
  try {
    await makeTemplate(server);
  } catch (error) {
    await teardown(); // vitest does not call it when the setup fails
    throw error;
  }
  project.provide("server", server);
  return teardown;
}

async function openServer(prefix: string): Promise<{ url: string; teardown: () => Promise<void> }> {
  const external = process.env["DATABASE_URL"];
  if (external !== undefined) return { url: external, teardown: () => dropAll(external, prefix) };
  const dir = mkdtempSync(join(tmpdir(), "campanile-test-"));
  const settings = { max_connections: "200", full_page_writes: "off", wal_level: "minimal", max_wal_senders: "0" };
  const embedded = await startEmbedded({ dir, fsync: false, settings });
  const teardown = async () => {
    await embedded.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  return { url: embedded.url, teardown };
}

async function makeTemplate({ url, template }: TestServer): Promise<void> {
  await asAdmin(url, (sql) => sql`create database ${sql(template)} template template0 encoding 'UTF8'`);
  await asAdmin(addressOf(url, template), (sql) => migrate(sql));
}

async function dropAll(url: string, prefix: string): Promise<void> {
  await asAdmin(url, async (sql) => {
    const left = await sql<{ name: string }[]>`select datname as name from pg_database where starts_with(datname, ${prefix})`;
    for (const { name } of left) await sql`drop database if exists ${sql(name)} with (force)`;
  });
}
