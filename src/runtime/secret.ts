import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Luck } from "./luck.ts";

const SECRET_BYTES = 32;

/**
 * The secret that encrypts stored credentials: the given one, else the one in `dataDir`, else a new one written there (mode 0600).
 * Two processes that start at once agree: whoever writes first wins.
 */
export async function loadSecret(given: string | undefined, dataDir: string, luck: Luck): Promise<string> {
  if (given !== undefined) return given;
  const path = join(dataDir, "secret");
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const fresh = Buffer.from(luck.bytes(SECRET_BYTES)).toString("base64url");
  try {
    await writeFile(path, `${fresh}\n`, { mode: 0o600, flag: "wx" });
    return fresh;
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  }
  const kept = (await readFile(path, "utf8")).trim();
  if (kept.length < 16) throw new Error(`${path} does not hold a secret (${kept.length} characters). Put the old one back, or set CAMPANILE_SECRET.`);
  return kept;
}
