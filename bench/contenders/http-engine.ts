import { connectSender, createSender, updateSender } from "../../src/flow/provider/sender.ts";
import { startVendor } from "../../vendor/main.ts";
import type { VendorAnswer, VendorQuestion } from "../beside/vendor.ts";
import { startBeside } from "../beside.ts";
import type { Contender } from "../contender.ts";
import { accepted, houseAt, idleEngine, plannedCampaign, sendAll } from "./house.ts";

/** This engine as in engine.ts, but over real HTTP to the simulated WhatsApp in another process, whose ledger says what was sent. */
export const contender: Contender = {
  async prepare(place) {
    const vendor = await startVendor();
    const house = await houseAt(place);
    const { workspaceId, senders } = house;
    const { token: accessToken, phoneNumberId: externalId, url: apiBase } = vendor;
    const settings = { apiBase, apiVersion: "v25.0" };
    const given = { workspaceId, provider: "whatsapp_cloud", name: "Bench", externalId, settings, accessToken, cap: null, perSecond: null } as const;
    const { id } = await createSender(given, senders);
    await connectSender({ workspaceId, id }, senders);
    await updateSender({ workspaceId, id }, { cap: null }, senders); // connecting lowers it to that of the account
    await plannedCampaign(house, id, place.n);
    await house.close();
    await vendor.stop();
  },
  async open(place) {
    const beside = startBeside<VendorQuestion, VendorAnswer>("vendor");
    const { url: apiBase } = await beside.ask({ do: "start", latencyMs: place.options.latencyMs ?? 0 });
    const house = await houseAt(place);
    const [sender] = await house.sql<{ workspaceId: string; id: string }[]>`select workspace_id, id from sender`;
    if (sender === undefined) throw new Error("there is no sender");
    await updateSender(sender, { settings: { apiBase } }, house.senders);
    const stop = await idleEngine(house);
    return {
      work: () => sendAll(house),
      async count() {
        const ledger = await beside.ask({ do: "count" });
        if (ledger.accepted !== (await accepted(house)) || ledger.duplicates > 0) throw new Error(`the vendor's ledger: ${JSON.stringify(ledger)}`);
        return ledger.accepted;
      },
      async close() {
        await stop();
        await house.close();
        beside.end();
      },
    };
  },
};
