import Fastify from "fastify";
import type { LoadAnswer, LoadQuestion } from "../beside/load.ts";
import { startBeside } from "../beside.ts";
import type { Contender } from "../contender.ts";
import { APP_SECRET } from "./house.ts";

/**
 * A bare fastify route: reads the raw body and answers 200. It verifies nothing, parses nothing and stores nothing, so no real receiver
 * can be as fast; the load is the same, signatures included.
 */
export const contender: Contender = {
  async open({ n }) {
    const app = Fastify({ logger: false });
    let bytes = 0;
    let requests = 0;
    app.removeAllContentTypeParsers();
    app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    app.post("/webhooks/whatsapp", async (request, reply) => {
      bytes += (request.body as Buffer).length;
      requests++;
      return reply.send();
    });
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    const beside = startBeside<LoadQuestion, LoadAnswer>("load");
    await beside.ask({ do: "sign", n, secret: APP_SECRET });
    let taken = 0;
    return {
      async work() {
        ({ taken } = await beside.ask({ do: "post", url }));
      },
      async count() {
        if (requests !== taken || bytes === 0) throw new Error(`${taken} were acknowledged, and ${requests} came`);
        return taken;
      },
      async close() {
        beside.end();
        await app.close();
      },
    };
  },
};
