import { openProxy, type Target } from "./proxy.ts";

export interface CutLine {
  /** The address of the same database, through this line. */
  readonly url: string;
  /** Cuts the line when the answer to the next statement that contains `word` comes back: it was carried out, and nobody hears of it. */
  cutAfter(word: string): void;
  close(): Promise<void>;
}

/** A line to the Postgres of `url`, over loopback, which can be cut at a chosen moment. */
export async function cutLine(url: string): Promise<CutLine> {
  const proxy = await openProxy(targetOf(new URL(url)), { speaks: "postgres" });
  return {
    url: throughPort(new URL(url), proxy.port),
    cutAfter: (word) => proxy.loseAnswerTo((statement) => statement.includes(word)),
    close: proxy.close,
  };
}

function targetOf(url: URL): Target {
  const folder = url.searchParams.get("host");
  const port = Number(url.searchParams.get("port") ?? (url.port || 5432));
  return folder === null ? { port, host: url.hostname } : { path: `${folder}/.s.PGSQL.${port}` };
}

function throughPort(url: URL, port: number): string {
  const user = url.username || url.searchParams.get("user") || "";
  return `postgres://${user}${url.password && `:${url.password}`}@127.0.0.1:${port}${url.pathname}`;
}
