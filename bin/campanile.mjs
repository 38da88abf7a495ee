#!/usr/bin/env -S node --max-semi-space-size=16
// (Young objects in 48 MB at most: at full speed V8 would take 96, and be no faster.)
// A clone runs its sources, the published package its build: nobody runs yesterday's build of today's sources by mistake.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const source = new URL("../src/main.ts", import.meta.url);
if (existsSync(fileURLToPath(source))) {
  const { register } = await import("tsx/esm/api");
  register();
  await import(source.href);
} else {
  await import(new URL("../dist/src/main.js", import.meta.url).href);
}
