import type { Parcel, Provider } from "../../src/flow/provider/port.ts";
import type { Clock } from "../../src/runtime/clock.ts";
import type { Database } from "../../src/runtime/postgres.ts";

/** Sees every effect an engine has on the world: each statement, each commit, each call. */
export interface Watcher {
  /** Called before an effect, which is the `number`th; may never return: then the process is dead. */
  before(name: string, number: number): void | Promise<void>;
  after(name: string, number: number): void | Promise<void>;
}

export interface Watched {
  readonly sql: Database;
  /** `inProcess`: its calls may sleep on the stopped clock, and do not keep the world busy. */
  provider(provider: Provider, inProcess: boolean): Provider;
  /** Its sleeps are effects too: a process may die before one, or when it wakes. */
  clock(clock: Clock): Clock;
  readonly pending: number;
}

type Begin = (...args: unknown[]) => Promise<unknown>;
type Then = (resolve?: (value: unknown) => unknown, reject?: (error: unknown) => unknown) => unknown;

/** Wraps the ports of an engine. No hook is needed in the engine itself. */
export function watched(database: Database, watcher: Watcher): Watched {
  let pending = 0;
  let begun = 0;
  async function effect<T>(name: string, work: () => Promise<T>, weight = 1): Promise<T> {
    pending += weight;
    try {
      const number = ++begun;
      await watcher.before(name, number);
      const result = await work();
      await watcher.after(name, number);
      return result;
    } finally {
      pending -= weight;
    }
  }

  function watchQuery(query: unknown, name: string): unknown {
    if (typeof query !== "object" || query === null || !("then" in query) || !("strings" in query)) return query;
    const run = (query.then as Then).bind(query);
    const held = query as { then: Then };
    let started: Promise<unknown> | undefined;
    // biome-ignore lint/suspicious/noThenProperty: a query of the driver begins when somebody waits for it; that is the moment of the effect
    held.then = (resolve, reject) => {
      started ??= effect(name, () => new Promise((ok, fail) => run(ok, fail)));
      return started.then(resolve, reject);
    };
    return query;
  }

  function watchSql(target: object): Database {
    return new Proxy(target as Database, {
      apply: (sql, self, args: [unknown]) => watchQuery(Reflect.apply(sql, self, args), nameOf(args[0])),
      get(sql, key) {
        const value: unknown = Reflect.get(sql, key);
        if (key !== "begin") return value;
        return async (options: string, work: (tx: Database) => Promise<unknown>) => {
          pending++;
          try {
            const begin = value as Begin;
            let number = 0;
            const result = await begin.call(sql, options, async (tx: object) => {
              const inner = await work(watchSql(tx));
              number = ++begun;
              await watcher.before("commit", number);
              return inner;
            });
            await watcher.after("commit", number);
            return result;
          } finally {
            pending--;
          }
        };
      },
    });
  }

  return {
    sql: watchSql(database),
    provider: (provider, inProcess) => ({
      name: provider.name,
      send: (parcel: Parcel, signal: AbortSignal) => effect(`send ${parcel.address}`, () => provider.send(parcel, signal), inProcess ? 0 : 1),
    }),
    clock: (clock) => ({ ...clock, sleep: (ms, signal) => effect("sleep", () => clock.sleep(ms, signal), 0) }),
    get pending() {
      return pending;
    },
  };
}

/** The effect of a turn that nothing limits: one statement, which commits by itself. */
export const FAST_TURN = "turn_at_full_speed";

/** `insert message`, `update lot`: the verb of a statement and its table; `lock campaign` for a read that locks. */
function nameOf(strings: unknown): string {
  const text = Array.isArray(strings) ? strings.join("?").replace(/\s+/g, " ").trim() : "";
  if (text.includes(FAST_TURN)) return FAST_TURN;
  const write = /\b(insert) into (\w+)|\b(update) (\w+)(?: as)?(?: \w+)? set|\b(delete) from (\w+)/.exec(text);
  if (write !== null) return write.slice(1).filter(Boolean).join(" ");
  const table = /\bfrom (\w+)/.exec(text.replace(/extract\(.*?\)/g, ""))?.[1] ?? "clock";
  return `${/ for (no key )?update/.test(text) ? "lock" : "read"} ${table}`;
}
