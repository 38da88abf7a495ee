import { createServer, connect as dial, type Socket } from "node:net";
import { statementReader } from "./statements.ts";

/** Where a proxy leads: a port of this machine, or a unix socket. */
export type Target = { readonly port: number; readonly host?: string } | { readonly path: string };

/** What every byte suffers, in both directions. */
export interface Toxics {
  readonly latencyMs: number;
  /** More latency, between 0 and this. */
  readonly jitterMs: number;
  /** Per connection and direction; null: as fast as it comes. */
  readonly bytesPerSecond: number | null;
}

const healthy: Toxics = { latencyMs: 0, jitterMs: 0, bytesPerSecond: null };

export interface TcpProxy {
  readonly port: number;
  /** Connections that are open. */
  readonly open: number;
  /** Connections that were cut or silenced, each with a call or a session on it perhaps. */
  readonly broken: number;
  /** Answers that were lost as `loseAnswerTo` demanded. */
  readonly lost: number;
  toxics(change: Partial<Toxics>): void;
  /** Resets a share of the connections (1: all); a number of them when it is above 1. Returns how many. */
  cut(share: number): number;
  /** Half-open: these connections stay, and every byte on them vanishes, until `heal` resets them. */
  silence(share: number): number;
  /** The next statement that matches is carried out, its answer vanishes, and the connection is cut: nobody hears of it. Postgres only. */
  loseAnswerTo(matches: (statement: string) => boolean): void;
  /** No toxics; what is silent is reset. */
  heal(): void;
  close(): Promise<void>;
}

export interface ProxyOptions {
  readonly speaks?: "postgres";
  /** Which connections are hit, and how much jitter; in [0, 1). */
  readonly luck?: () => number;
  /** Listens here instead of on any free port. */
  readonly port?: number;
}

/** Chunks that wait on a slow line; above that its sender is made to wait too. */
const WAITING_BYTES_MAX = 1024 * 1024;

interface State {
  readonly target: Target;
  readonly luck: () => number;
  readonly lines: Set<Line>;
  readonly speaksPostgres: boolean;
  toxics: Toxics;
  matches: ((statement: string) => boolean) | null;
  broken: number;
  lost: number;
}

interface Line {
  readonly near: Socket;
  readonly far: Socket;
  isSilent: boolean;
  answerIsLost: boolean;
}

/** A TCP proxy on loopback which does what networks do. It is at its best until told otherwise. */
export async function openProxy(target: Target, { speaks, luck = Math.random, port = 0 }: ProxyOptions = {}): Promise<TcpProxy> {
  const state: State = { target, luck, lines: new Set(), speaksPostgres: speaks === "postgres", toxics: healthy, matches: null, broken: 0, lost: 0 };
  const server = createServer({ allowHalfOpen: true }, (near) => open(state, near));
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  const heal = () => {
    state.toxics = healthy;
    for (const line of state.lines) if (line.isSilent) reset(line);
  };
  return {
    port: address.port,
    get open() {
      return state.lines.size;
    },
    get broken() {
      return state.broken;
    },
    get lost() {
      return state.lost;
    },
    toxics: (change) => {
      state.toxics = { ...state.toxics, ...change };
    },
    cut: (share) => hit(state, share, reset),
    silence: (share) =>
      hit(state, share, (line) => {
        line.isSilent = true;
      }),
    loseAnswerTo: (matches) => {
      state.matches = matches;
    },
    heal,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const line of state.lines) reset(line);
      await closed;
    },
  };
}

function hit(state: State, share: number, blow: (line: Line) => void): number {
  const standing = [...state.lines].filter((line) => !line.isSilent);
  const count = Math.min(standing.length, share > 1 ? share : Math.ceil(standing.length * share));
  for (let left = count; left > 0; left--) {
    const [line] = standing.splice(Math.floor(state.luck() * standing.length), 1);
    if (line !== undefined) blow(line);
  }
  state.broken += count;
  return count;
}

function reset({ near, far }: Line): void {
  near.resetAndDestroy();
  end(far);
}

/** A unix socket knows no reset. */
const end = (socket: Socket) => (socket.remoteAddress === undefined ? socket.destroy() : socket.resetAndDestroy());

function open(state: State, near: Socket): void {
  const { target } = state;
  const far = dial({ ...("path" in target ? target : { host: "127.0.0.1", ...target }), allowHalfOpen: true });
  near.setNoDelay(true);
  far.setNoDelay(true);
  const line: Line = { near, far, isSilent: false, answerIsLost: false };
  state.lines.add(line);
  const read = state.speaksPostgres ? statementReader() : null;
  const listen = (chunk: Buffer) => {
    for (const statement of read?.(chunk) ?? []) {
      if (state.matches === null || !state.matches(statement)) continue;
      state.matches = null;
      line.answerIsLost = true;
    }
    return true;
  };
  const muffle = () => {
    if (!line.answerIsLost) return true;
    // It waited for the last answer before it said this; so what comes back now is the answer to it, and it was carried out.
    state.lost++;
    reset(line);
    return false;
  };
  carry(state, line, { from: near, to: far, passes: listen });
  carry(state, line, { from: far, to: near, passes: muffle });
}

interface Direction {
  readonly from: Socket;
  readonly to: Socket;
  readonly passes: (chunk: Buffer) => boolean;
}

function carry(state: State, line: Line, { from, to, passes }: Direction): void {
  const waiting: (Buffer | null)[] = [];
  let waitingBytes = 0;
  let freeAt = 0;
  const deliver = (chunk: Buffer | null) => {
    if (line.isSilent) return;
    if (chunk === null) to.end();
    else if (!to.destroyed && !to.write(chunk)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  };
  const send = (chunk: Buffer | null) => {
    const { latencyMs, jitterMs, bytesPerSecond } = state.toxics;
    if (waiting.length === 0 && latencyMs === 0 && jitterMs === 0 && bytesPerSecond === null) return deliver(chunk);
    const now = performance.now();
    const bytes = chunk?.length ?? 0;
    freeAt = Math.max(freeAt, now + latencyMs + jitterMs * state.luck()) + (bytesPerSecond === null ? 0 : (bytes / bytesPerSecond) * 1_000);
    waiting.push(chunk);
    waitingBytes += bytes;
    if (waitingBytes > WAITING_BYTES_MAX) from.pause();
    // Timers of different lengths may fire in another order than they are due: each takes whatever is first.
    setTimeout(() => {
      const first = waiting.shift();
      waitingBytes -= first?.length ?? 0;
      if (from.isPaused() && waitingBytes <= WAITING_BYTES_MAX) from.resume();
      if (first !== undefined) deliver(first);
    }, freeAt - now);
  };
  from.on("data", (chunk: Buffer) => {
    if (!line.isSilent && passes(chunk)) send(chunk);
  });
  from.on("end", () => send(null));
  from.on("error", () => {});
  from.on("close", (failed) => {
    if (line.isSilent && !to.destroyed) return; // the other side is not told; `heal` ends it
    if (failed) end(to);
    else if (waiting.length === 0) to.destroySoon();
    if (line.near.closed && line.far.closed) state.lines.delete(line);
  });
}
