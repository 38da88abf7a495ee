import { connectSender, createSender } from "../../src/flow/provider/sender.ts";
import type { Contender } from "../contender.ts";
import { accepted, houseAt, idleEngine, plannedCampaign, sendAll } from "./house.ts";

/**
 * This engine with all its promises, as `campanile engine` runs it (four lots of a campaign at a time), in front of the rehearsal
 * provider; from the campaign's start until it is completed with its statement. Nothing limits the sender unless `cap` is given.
 */
export const contender: Contender = {
  async prepare(place) {
    const house = await houseAt(place);
    const { workspaceId, senders } = house;
    const sender = await createSender(
      { workspaceId, provider: "rehearsal", name: "Bench", externalId: "100200300", cap: place.options.cap ?? null, perSecond: null },
      senders,
    );
    await connectSender({ workspaceId, id: sender.id }, senders);
    await plannedCampaign(house, sender.id, place.n);
    await house.close();
  },
  async open(place) {
    const house = await houseAt(place);
    const stop = await idleEngine(house);
    return {
      work: () => sendAll(house),
      count: () => accepted(house),
      async close() {
        await stop();
        await house.close();
      },
    };
  },
};
