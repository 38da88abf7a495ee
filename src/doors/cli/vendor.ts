import type { Command } from "commander";
import { startVendor } from "../../../vendor/main.ts";
import { createScreen } from "./screen.ts";
import { untilTold } from "./serve.ts";
import { type Common, command } from "./session.ts";
import { portOf } from "./values.ts";
import { WrongUsage } from "./world.ts";

interface VendorOptions extends Common {
  readonly port: string;
  readonly ledger?: string;
  readonly seed?: string;
  readonly successRate?: string;
  readonly webhook?: string;
  readonly appSecret: string;
  readonly verifyToken: string;
}

export const vendorCommand = (): Command =>
  command("vendor", "Run the simulated WhatsApp: the Graph API's wire over real HTTP, with signed webhooks and a ledger.")
    .option("--port <port>", "listen here", "9090")
    .option("--ledger <file>", "keep the ledger of what was accepted in this file (default: in memory)")
    .option("--seed <seed>", "what decides the fate of each message", "1")
    .option("--success-rate <share>", "share of messages that are delivered, 0 to 1")
    .option("--webhook <address>", "where to send webhooks, such as http://127.0.0.1:8080/webhooks/whatsapp")
    .option("--app-secret <secret>", "what webhooks are signed with", "vendor-app-secret")
    .option("--verify-token <token>", "what is said in the webhook's handshake", "vendor-verify-token")
    .action(async (options: VendorOptions) => {
      const screen = createScreen(options.json ?? false);
      const vendor = await startVendor({
        port: portOf(options.port),
        ...(options.ledger === undefined ? {} : { ledgerPath: options.ledger }),
        settings: { seed: options.seed ?? 1, ...(options.successRate === undefined ? {} : { mix: { successRate: shareOf(options.successRate) } }) },
        ...(options.webhook === undefined
          ? {}
          : { webhook: { url: options.webhook, appSecret: options.appSecret, verifyToken: options.verifyToken } }),
      });
      screen.say(`The simulated WhatsApp listens on ${vendor.url}. Let Campanile use it:`);
      screen.say();
      for (const [name, value] of Object.entries(environmentOf(vendor, options))) screen.say(`  export ${name}=${value}`);
      screen.say();
      if (options.webhook === undefined)
        screen.say("It tells nobody what becomes of messages: give it --webhook http://127.0.0.1:8080/webhooks/whatsapp");
      screen.say(`Change its behaviour while it runs: curl ${vendor.url}/_control/settings`);
      screen.result({ url: vendor.url, ...environmentOf(vendor, options) });
      await untilTold();
      await vendor.stop();
    });

const environmentOf = (vendor: { url: string; token: string; phoneNumberId: string; wabaId: string }, options: VendorOptions) => ({
  META_API_BASE: vendor.url,
  META_ACCESS_TOKEN: vendor.token,
  META_PHONE_NUMBER_ID: vendor.phoneNumberId,
  META_WABA_ID: vendor.wabaId,
  META_APP_SECRET: options.appSecret,
  META_VERIFY_TOKEN: options.verifyToken,
});

function shareOf(text: string): number {
  const share = Number(text);
  if (!(share >= 0 && share <= 1)) throw new WrongUsage(`--success-rate is ${text}; it must be a number from 0 to 1.`);
  return share;
}
