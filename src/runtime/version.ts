import { readFileSync } from "node:fs";

/** Two folders above the source, three above what is built of it. */
const candidates = ["../../package.json", "../../../package.json"];

/** The version in the package's own file. */
export function ownVersion(): string {
  for (const candidate of candidates) {
    const found = tryRead(new URL(candidate, import.meta.url));
    if (found?.name === "campanile" && typeof found.version === "string") return found.version;
  }
  throw new Error(`No package.json of campanile above ${import.meta.url}`);
}

function tryRead(url: URL): { name?: unknown; version?: unknown } | undefined {
  try {
    return JSON.parse(readFileSync(url, "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}
