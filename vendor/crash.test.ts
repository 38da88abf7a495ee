import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Pool } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { readLedger } from "./ledger.ts";
import { DEFAULT_PHONE_NUMBER_ID, DEFAULT_TOKEN } from "./world.ts";

const main = pathToFileURL(join(import.meta.dirname, "main.ts")).href;

/** A vendor in a process of its own, so that it can be killed; resolves to its address. */
async function vendorProcess(ledgerPath: string): Promise<{ child: ChildProcess; url: string }> {
  const code = `import { startVendor } from ${JSON.stringify(main)};
    const vendor = await startVendor({ ledgerPath: ${JSON.stringify(ledgerPath)}, settings: { limits: { throughput: null } } });
    console.log(vendor.url);`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  for await (const url of createInterface({ input: child.stdout })) return { child, url };
  throw new Error("The vendor ended before it listened.");
}

test("killed with -9 under load, twice: every message answered as accepted is in the ledger, once", { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "campanile-vendor-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const ledgerPath = join(folder, "ledger.jsonl");
  const answered: string[] = [];
  let position = 0;
  for (const round of [1, 2]) {
    const { child, url } = await vendorProcess(ledgerPath);
    const pool = new Pool(url, { connections: 20, pipelining: 1 });
    const until = answered.length + 400;
    const exited = new Promise((resolve) => child.once("exit", resolve));
    const lane = async () => {
      for (;;) {
        const body = JSON.stringify({ messaging_product: "whatsapp", to: `+1650${5_550_000 + ++position}`, type: "text", text: { body: "Hello" } });
        const headers = { authorization: `Bearer ${DEFAULT_TOKEN}`, "content-type": "application/json" };
        const answer = await pool.request({ path: `/v23.0/${DEFAULT_PHONE_NUMBER_ID}/messages`, method: "POST", headers, body });
        const text = await answer.body.text();
        if (answer.statusCode === 200) answered.push(JSON.parse(text).messages[0].id);
        if (answered.length >= until) child.kill("SIGKILL");
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: 20 }, lane));
    expect(lanes.every(({ status }) => status === "rejected")).toBe(true);
    await exited;
    await pool.destroy();
    expect(answered.length).toBeGreaterThanOrEqual(400 * round);
    const ledger = (await readLedger(ledgerPath)).map(({ wamid }) => wamid);
    expect(new Set(ledger).size).toBe(ledger.length);
    expect(answered.filter((id) => !ledger.includes(id))).toEqual([]);
  }
});
