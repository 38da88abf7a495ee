import { createServer, connect as dial, type Socket } from "node:net";

export interface CutLine {
  /** The address of the same database, through this line. */
  readonly url: string;
  /** Cuts the line when the answer to the next message that contains `word` comes back: it was carried out, and nobody hears of it. */
  cutAfter(word: string): void;
  close(): Promise<void>;
}

/** A line to the Postgres of `url`, over loopback, which can be cut at a chosen moment. */
export async function cutLine(url: string): Promise<CutLine> {
  let word: string | undefined;
  const server = createServer((near) => {
    const far = dialPostgres(new URL(url));
    let answerIsLost = false;
    near.on("data", (chunk) => {
      answerIsLost ||= word !== undefined && chunk.includes(word);
      far.write(chunk);
    });
    far.on("data", (chunk) => (answerIsLost ? near.destroy() : near.write(chunk)));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: throughPort(new URL(url), server),
    cutAfter: (next) => {
      word = next;
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function dialPostgres(url: URL): Socket {
  const folder = url.searchParams.get("host");
  const port = Number(url.searchParams.get("port") ?? (url.port || 5432));
  return folder === null ? dial(port, url.hostname) : dial(`${folder}/.s.PGSQL.${port}`);
}

function throughPort(url: URL, server: ReturnType<typeof createServer>): string {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the line has no port");
  const user = url.username || url.searchParams.get("user") || "";
  return `postgres://${user}${url.password && `:${url.password}`}@127.0.0.1:${address.port}${url.pathname}`;
}
