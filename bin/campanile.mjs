#!/usr/bin/env -S node --max-semi-space-size=32
// (With half of it, what a turn needs outlives two collections of young objects and is moved for nothing: 10 % of the speed.)
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
