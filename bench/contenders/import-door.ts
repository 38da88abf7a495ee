import { createKey } from "../../src/runtime/keys.ts";
import { serve } from "../../src/serve.ts";
import type { LoadAnswer, LoadQuestion } from "../beside/load.ts";
import { startBeside } from "../beside.ts";
import type { Contender } from "../contender.ts";
import { assertNoErrors, houseAt } from "./house.ts";
import { csvPath, peopleAmong, writeCsv } from "./people-csv.ts";

interface Answer {
  readonly data: { readonly rows: number; readonly stored: number; readonly merged: number; readonly rejected: number };
}

/** A CSV file uploaded to this product's API: every row decoded, cleaned, validated, merged, and answered for. From request to answer. */
export const contender: Contender = {
  async prepare(place) {
    await writeCsv(place);
    const house = await houseAt(place);
    await house.close();
  },
  async open(place) {
    const house = await houseAt(place);
    const { key } = await createKey(house.sql, house.luck, { workspaceId: house.workspaceId, name: "bench", rights: ["write"] });
    const { url, stop } = await serve(house, { only: ["api"], port: 0 });
    const beside = startBeside<LoadQuestion, LoadAnswer>("load");
    await beside.ask({ do: "sign", n: 0, secret: "" }); // it is awake then
    let said = "";
    return {
      async work() {
        ({ said } = await beside.ask({ do: "upload", url: `${url}/api/v1/contacts/import`, key, path: csvPath(place) }));
      },
      async count() {
        assertNoErrors();
        const { rows, stored, merged, rejected } = (JSON.parse(said) as Answer).data;
        const [found] = await house.sql<{ contacts: number }[]>`select count(*) as contacts from contact`;
        const people = peopleAmong(place.n);
        if (found?.contacts !== people || stored !== people || stored + merged !== rows || rejected > 0) {
          throw new Error(`${found?.contacts} contacts, ${people} people, and the answer is ${said}`);
        }
        return rows;
      },
      async close() {
        beside.end();
        await stop();
        await house.close();
      },
    };
  },
};
