import { WrongUsage } from "./world.ts";

export function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new WrongUsage(`--port is ${text}; it must be a whole number from 0 to 65535.`);
  return port;
}
