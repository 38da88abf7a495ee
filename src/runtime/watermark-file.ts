import { open, readFile, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";

/** What a folder of this machine knows of a database, kept outside of it. */
const Mark = z.object({
  /** The row of `watermark` that is this folder's. */
  owner: z.uuid(),
  /** Up to when it knew the database, as Postgres writes an instant: microseconds. */
  at: z.string(),
  /** The server it was known on; null: that server does not tell. */
  systemIdentifier: z.string().nullable(),
  timeline: z.string().nullable(),
});
export type Mark = Readonly<z.infer<typeof Mark>>;

/** One file for each database that this folder was used with. */
export const markPath = (folder: string, databaseId: string): string => join(folder, `watermark-${databaseId}.json`);

/** Null when this folder has not known the database so far. Throws, in one sentence, when the file cannot be understood. */
export async function readMark(path: string): Promise<Mark | null> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
  try {
    return Mark.parse(JSON.parse(text));
  } catch {
    throw new Error(
      `${path} cannot be understood. It holds up to when this machine knew its database: put the file back, ` +
        "or remove it if you are sure that the database is not older than what was sent from it.",
    );
  }
}

/** Durable when it ends: a machine that loses its power has this mark or the one before, never half of one. */
export async function writeMark(path: string, mark: Mark): Promise<void> {
  const fresh = `${path}.${process.pid}.new`;
  await write(fresh, `${JSON.stringify(mark)}\n`);
  await rename(fresh, path);
  const folder = await open(dirname(path), "r");
  await folder.sync().finally(() => folder.close());
}

async function write(path: string, text: string): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.datasync();
  } finally {
    await file.close();
  }
}
