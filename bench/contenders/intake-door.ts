import { serve } from "../../src/serve.ts";
import type { LoadAnswer, LoadQuestion } from "../beside/load.ts";
import { startBeside } from "../beside.ts";
import type { Contender } from "../contender.ts";
import { APP_SECRET, assertNoErrors, houseAt } from "./house.ts";

/** Signed webhooks to this product's door: verified over their raw bytes, and durable in the inbox before the answer. */
export const contender: Contender = {
  async prepare(place) {
    const house = await houseAt(place);
    await house.close();
  },
  async open(place) {
    const house = await houseAt(place);
    const { url, stop } = await serve(house, { only: ["api"], port: 0 });
    const beside = startBeside<LoadQuestion, LoadAnswer>("load");
    await beside.ask({ do: "sign", n: place.n, secret: APP_SECRET });
    let taken = 0;
    return {
      async work() {
        ({ taken } = await beside.ask({ do: "post", url: url ?? "" }));
      },
      async count() {
        assertNoErrors();
        const [found] = await house.sql<{ rows: number }[]>`select count(*) as rows from inbox`;
        if (found?.rows !== taken) throw new Error(`${taken} were acknowledged, and ${found?.rows} are stored`);
        return taken;
      },
      async close() {
        beside.end();
        await stop();
        await house.close();
      },
    };
  },
};
