import type * as real from "../../../src/flow/campaign/regression-store.ts";
import { ask, type Twin } from "../memory/twin.ts";

/** The database in memory never goes back; what else the readers of flow/campaign/regression-store.ts import is never called. */
// biome-ignore lint/performance/noBarrelFile: a twin stands in for the whole module
export { pauseAll } from "../../../src/flow/campaign/regression-store.ts";

export const openRegression: Twin<typeof real.openRegression> = (sql) => ask(sql, "open regression", async () => []);
