/** Calls the product's API as a patient client does: what failed on its way is asked again, under the same key, so nothing is done twice. */
export interface Api {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: unknown): Promise<T>;
  upload(path: string, csv: string): Promise<void>;
}

const TRIES_FOR_MS = 120_000;
const AGAIN_MS = 500;

/** Somebody answered, and said no for good. */
class Refused extends Error {
  override readonly name = "Refused";
}

export function openApi(urlOf: () => string, key: string, keyOf: () => string): Api {
  async function call<T>(method: string, path: string, init: RequestInit): Promise<T> {
    const headers = { ...init.headers, authorization: `Bearer ${key}` };
    const giveUpAt = performance.now() + TRIES_FOR_MS;
    for (;;) {
      try {
        const answer = await fetch(`${urlOf()}${path}`, { ...init, method, headers });
        const text = await answer.text();
        if (answer.ok) return (text === "" ? undefined : JSON.parse(text)) as T;
        // 409: the same call is still being answered.
        if (answer.status < 500 && answer.status !== 409 && answer.status !== 429) throw new Refused(`${method} ${path}: ${answer.status} ${text}`);
        if (performance.now() > giveUpAt) throw new Refused(`${method} ${path}: ${answer.status} ${text}, again and again`);
      } catch (error) {
        if (error instanceof Refused || performance.now() > giveUpAt) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
  return {
    get: (path) => call("GET", path, {}),
    post: (path, body) => {
      const headers = { "idempotency-key": keyOf() };
      return call(
        "POST",
        path,
        body === undefined ? { headers } : { body: JSON.stringify(body), headers: { ...headers, "content-type": "application/json" } },
      );
    },
    // Without a key: to upload the same people again changes nothing.
    upload: (path, csv) => call("POST", path, { body: csv, headers: { "content-type": "text/csv" } }),
  };
}
