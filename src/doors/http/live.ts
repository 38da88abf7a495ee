import { type Socket as AnySocket, type DefaultEventsMap, Server } from "socket.io";
import { Adapter } from "socket.io-adapter";
import { z } from "zod";
import type { ClientEvents, Subscribed } from "../../contract/live.ts";
import { readCampaign, readStats } from "../../flow/campaign/read.ts";
import { missedBetween, openTail, type PlacedEvent, type Tail } from "../../flow/live/tail.ts";
import { Refusal } from "../../rules/refusal.ts";
import { type Caller, callerOf } from "../../runtime/keys.ts";
import { campaignOut, statsOut } from "./campaign-view.ts";
import type { App, Deps } from "./deps.ts";
import { instant } from "./wire.ts";

interface Listener {
  readonly caller: Caller;
  readonly key: string;
}

/** What is said is typed where clients hear it (`CampaignEvents`): here it comes from the database, name and body together. */
type LiveServer = Server<ClientEvents, DefaultEventsMap, DefaultEventsMap, Listener>;
type Socket = AnySocket<ClientEvents, DefaultEventsMap, DefaultEventsMap, Listener>;

/** What happens to campaigns, told to whoever listens. */
export interface Live {
  /** Tells what is new; returns how many events. */
  step(): Promise<number>;
  /** Sends those away whose keys were revoked. */
  recheck(): Promise<void>;
  close(): Promise<void>;
}

/** A client that missed more fetches what it needs; telling it all would take as long as fetching it. */
const MISSED_MAX = 2_000;
const MESSAGE_BYTES_MAX = 16 * 1024;
const CampaignRef = z.object({ campaignId: z.string().max(100) });

const roomOf = (workspaceId: string) => `workspace ${workspaceId}`;
const detailOf = (campaignId: string) => `campaign ${campaignId}`;

/**
 * Socket.io on the server's own port. Every process tells the same events, for each follows their common tail: no adapter between
 * processes is needed. The last argument of each event is its place; the stock client gives the place it has seen back when it connects
 * again, to whichever process, and is told what it missed.
 */
export async function openLive(app: App, { sql, prompt, log }: Pick<Deps, "sql" | "prompt" | "log">): Promise<Live> {
  let isClosing = false;
  // Before anybody can connect: whoever came in between would be let in without a key, and hear nothing.
  const tail = await openTail(sql, (events) => prepare(io, sql, events));
  const io: LiveServer = new Server(app.server, {
    // Whoever is let go while the server stops tries again at once, and would keep it from stopping.
    allowRequest: (_request, answer) => answer(null, !isClosing),
    adapter: Adapter,
    // Makes the client send the place. Sessions themselves are not kept: another process may be asked.
    connectionStateRecovery: { skipMiddlewares: false },
    cors: { origin: "*" }, // a key is asked for, never a cookie
    maxHttpBufferSize: MESSAGE_BYTES_MAX,
  });
  io.use((socket, next) => {
    const key = keyOf(socket.handshake.auth["token"]);
    callerOf(prompt, key).then(
      (caller) => {
        if (caller?.rights.includes("read")) Object.assign(socket.data, { caller, key });
        next(caller === null ? unauthorized() : caller.rights.includes("read") ? undefined : refusedTo(caller));
      },
      (error: unknown) => {
        log.warn({ err: error }, "a listener's key could not be checked");
        next(new Error("The key cannot be checked just now; try again."));
      },
    );
  });
  io.on("connection", (socket) => {
    socket.on("subscribe", (given, ack) => void subscribe(socket, sql, given).then(ack, (error) => ack?.(asRefused(error))));
    socket.on("unsubscribe", (given, ack) => {
      const ref = CampaignRef.safeParse(given);
      if (ref.success) void socket.leave(detailOf(ref.data.campaignId));
      ack?.({ success: true });
    });
    void welcome(socket, tail, sql).catch((error: unknown) => {
      log.warn({ err: error }, "a listener could not be told what it missed");
      socket.disconnect(true);
    });
  });
  return {
    step: () => tail.step(),
    async recheck() {
      for (const socket of await io.fetchSockets()) {
        if ((await callerOf(prompt, socket.data.key)) === null) socket.disconnect(true);
      }
    },
    close: async () => {
      isClosing = true;
      // As if the line broke: the stock client then connects again, which it does not when it is told to go. The server itself is closed by
      // whoever opened it.
      io.engine.close();
    },
  };
}

const keyOf = (token: unknown): string => (typeof token === "string" ? token.replace(/^Bearer /i, "").slice(0, 512) : "");

const unauthorized = () => asError(new Refusal("unauthorized"));
const refusedTo = ({ rights }: Caller) => asError(new Refusal("right_missing", { right: "read", has: rights.join(", ") }));

/** As socket.io hands it to the client's connect_error: `data` has the code. */
const asError = (refusal: Refusal) => Object.assign(new Error(refusal.message), { data: { code: refusal.code } });

/** Tells what was missed since the place that the client names, then lets it listen; at no time between the two is anything lost. */
async function welcome(socket: Socket, tail: Tail, sql: Deps["sql"]): Promise<void> {
  const { workspaceId } = socket.data.caller;
  const named: unknown = socket.handshake.auth["offset"];
  let seen = typeof named === "string" && /^\d{1,15}$/.test(named) ? Number(named) : tail.position;
  if (seen > tail.position) await tail.step(); // another process was a moment ahead
  if (seen > tail.position) seen = skip(socket, "The events are not those that you have seen.", tail.position);
  for (let told = 0; seen < tail.position; ) {
    const upTo = tail.position;
    const missed = await missedBetween(sql, workspaceId, { after: seen, upTo, limit: MISSED_MAX + 1 - told });
    told += missed.length;
    if (told > MISSED_MAX) {
      seen = skip(socket, `More than ${MISSED_MAX} events were missed.`, upTo);
    } else {
      for (const event of missed) socket.emit(...(await said(sql, event)));
      seen = upTo;
    }
  }
  // In memory, and so in the same moment as the comparison before.
  void socket.join(roomOf(workspaceId));
  socket.emit("ready", { position: seen }, String(seen));
}

function skip(socket: Socket, why: string, to: number): number {
  socket.emit("resync", { reason: `${why} Fetch what you show.` }, String(to));
  return to;
}

async function subscribe(socket: Socket, sql: Deps["sql"], given: unknown): Promise<Subscribed> {
  const { campaignId } = CampaignRef.parse(given);
  const ref = { workspaceId: socket.data.caller.workspaceId, id: campaignId };
  const campaign = await readCampaign(sql, ref);
  await socket.join(detailOf(campaign.id));
  return { success: true, data: { campaign: campaignOut(campaign), stats: statsOut(await readStats(sql, ref)) } };
}

function asRefused(error: unknown): Subscribed {
  if (error instanceof Refusal) return { success: false, code: error.code, message: error.message };
  if (error instanceof z.ZodError) return { success: false, code: "malformed", message: "Expected {campaignId}" };
  return { success: false, code: "internal", message: "This could not be done; try again." };
}

/** To everybody of each event's workspace; and the figures of each campaign, once, to those who look at it. */
async function prepare(io: LiveServer, sql: Deps["sql"], events: readonly PlacedEvent[]): Promise<() => void> {
  const says: (() => void)[] = [];
  for (const event of events) {
    const emitted = await said(sql, event);
    says.push(() => io.to(roomOf(event.workspaceId)).emit(...emitted));
  }
  for (const { workspaceId, campaignId } of new Map(events.map((event) => [event.campaignId, event])).values()) {
    if (!io.of("/").adapter.rooms.has(detailOf(campaignId))) continue;
    const stats = await readStats(sql, { workspaceId, id: campaignId }).catch(goneAsNull);
    if (stats !== null) says.push(() => io.to(detailOf(campaignId)).emit("campaign:stats", { campaignId, stats: statsOut(stats) }));
  }
  return () => {
    for (const say of says) say();
  };
}

function goneAsNull(error: unknown): null {
  if (error instanceof Refusal) return null;
  throw error;
}

/** An event as it is emitted: its name, what it says, and its place. A completed campaign comes whole. */
async function said(sql: Deps["sql"], event: PlacedEvent): Promise<[name: string, body: object, position: string]> {
  const { name, campaignId, workspaceId, seq, body, at, position } = event;
  const whole = name === "campaign:completed" ? await readCampaign(sql, { workspaceId, id: campaignId }).catch(goneAsNull) : null;
  const told = { ...body, campaignId, seq, at: instant(at), ...(whole === null ? {} : { campaign: campaignOut(whole) }) };
  return [name, told, String(position)];
}
