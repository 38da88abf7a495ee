import { register } from "node:module";
import { patchNamed } from "./wrong.ts";

const args = process.argv.slice(2);
const wrong = args.indexOf("--wrong");
register("./replace.mjs", import.meta.url, { data: { patch: wrong === -1 ? null : patchNamed(args[wrong + 1] ?? "") } });
const { command } = await import("./command.ts");
process.exitCode = await command(args);
