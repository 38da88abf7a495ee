import { phoneNumberIdsOf } from "../../rules/receipt.ts";
import type { Sql } from "../../runtime/postgres.ts";
import { insertInbox } from "./inbox-store.ts";
import { isSigned } from "./signature.ts";

export interface IntakeOptions {
  readonly sql: Sql;
  /** The app secret of the sender with this phone number id, null when it has none of its own. Asked before the signature is known to be good: answer from memory. */
  readonly appSecretOf: (phoneNumberId: string) => Promise<string | null>;
  /** For senders without a secret of their own, and for webhooks that name none; null: there is none. */
  readonly defaultAppSecret: string | null;
  /** Webhooks that may wait to be stored. */
  readonly waitingMax?: number;
  readonly waitingBytesMax?: number;
}

type TakenIn =
  /** Durable: it may be acknowledged. */
  | "stored"
  /** The signature is missing or does not match; nothing was stored. */
  | "forged"
  /** Too many wait already; nothing was stored, and the vendor will come again. */
  | "full";

export interface Intake {
  /** Takes in a WhatsApp webhook: the bytes as they came and X-Hub-Signature-256. Rejects when the database does not store it. */
  takeIn(body: Buffer, signature: string | undefined): Promise<TakenIn>;
}

/**
 * Verifies webhooks and stores them in the inbox. Those that come while others are being stored share the next insert and its commit
 * (some 30 of them at full load), so the rate is not bound by the disk.
 */
export function createIntake({ sql, appSecretOf, defaultAppSecret, waitingMax = 5_000, waitingBytesMax = 64_000_000 }: IntakeOptions): Intake {
  const store = createStore(sql, { waitingMax, waitingBytesMax });
  const secretOf = async (phoneNumberId: string) => (await appSecretOf(phoneNumberId)) ?? defaultAppSecret;

  /** The secret is that of the first phone number a webhook names; others in it must have the same, or what is said of them is refused later. */
  async function takeIn(body: Buffer, signature: string | undefined): Promise<TakenIn> {
    const [first, ...others] = phoneNumberIdsIn(body);
    const secret = first === undefined ? defaultAppSecret : await secretOf(first);
    if (secret === null || !isSigned(body, signature, secret)) return "forged";
    const senders = first === undefined ? [] : [first];
    for (const id of others) if ((await secretOf(id)) === secret) senders.push(id);
    return store({ body, senders });
  }
  return { takeIn };
}

/** As Meta writes it; in a text, where its quotes are escaped, it cannot stand. */
const NAME = Buffer.from('"phone_number_id":"');
const KEY = NAME.subarray(0, -2);

/** Nearly all webhooks name one sender once, who is found without reading all they say: that takes longer than to check the signature. */
function phoneNumberIdsIn(body: Buffer): string[] {
  const at = body.indexOf(NAME) + NAME.length;
  if (at >= NAME.length && body.indexOf(KEY, at) < 0) {
    const [id] = /^[\w-]{1,64}(?=")/.exec(body.toString("latin1", at, at + 65)) ?? [];
    if (id !== undefined) return [id];
  }
  try {
    return phoneNumberIdsOf(JSON.parse(body.toString("utf8")));
  } catch (error) {
    if (error instanceof SyntaxError) return []; // kept if it is signed: the vendor would only send it again
    throw error;
  }
}

interface Delivery {
  readonly body: Buffer;
  readonly senders: readonly string[];
}
interface Waiting extends Delivery {
  readonly resolve: (taken: TakenIn) => void;
  readonly reject: (error: unknown) => void;
}

const INSERT_ROWS_MAX = 500;
const INSERT_BYTES_MAX = 8_000_000;
/** Under way at a time. A second one is for those who are kept waiting by a slow commit; for few it would only cost one more. */
const INSERTS_MAX = 2;
const SECOND_INSERT_ROWS_MIN = 32;

function createStore(sql: Sql, { waitingMax, waitingBytesMax }: { waitingMax: number; waitingBytesMax: number }) {
  const queue: Waiting[] = [];
  let waiting = 0;
  let waitingBytes = 0;
  let inserts = 0;
  let isGathering = false;

  function begin() {
    while (queue.length > 0 && (inserts === 0 || (inserts < INSERTS_MAX && queue.length >= SECOND_INSERT_ROWS_MIN))) void insert(nextBatch(queue));
  }

  async function insert(batch: readonly Waiting[]) {
    inserts++;
    const settle = await insertInbox(sql, "whatsapp", batch).then(
      () => (one: Waiting) => one.resolve("stored"),
      (error: unknown) => (one: Waiting) => one.reject(error),
    );
    inserts--;
    waiting -= batch.length;
    waitingBytes -= batch.reduce((sum, { body }) => sum + body.length, 0);
    begin(); // first: Postgres works while these are answered
    batch.forEach(settle);
  }

  /** What comes in the same turn of the event loop is stored together. */
  function gather() {
    if (isGathering) return;
    isGathering = true;
    setImmediate(() => {
      isGathering = false;
      begin();
    });
  }

  return (delivery: Delivery): TakenIn | Promise<TakenIn> => {
    if (waiting >= waitingMax || waitingBytes >= waitingBytesMax) return "full";
    waiting++;
    waitingBytes += delivery.body.length;
    return new Promise<TakenIn>((resolve, reject) => {
      queue.push({ ...delivery, resolve, reject });
      gather();
    });
  };
}

function nextBatch(queue: Waiting[]): Waiting[] {
  let bytes = 0;
  let rows = 0;
  while (rows < Math.min(queue.length, INSERT_ROWS_MAX) && (rows === 0 || bytes + (queue[rows]?.body.length ?? 0) <= INSERT_BYTES_MAX)) {
    bytes += queue[rows]?.body.length ?? 0;
    rows++;
  }
  return queue.splice(0, rows);
}
