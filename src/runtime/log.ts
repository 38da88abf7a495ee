import { type Logger, pino } from "pino";
import type { LogLevel } from "./config.ts";

export type Log = Logger;

/** Where lines go; `isTTY` decides between JSON for machines and short lines for people. */
export interface LogSink {
  readonly isTTY?: boolean;
  write(line: string): unknown;
}

const secretField = /authorization|password|secret|token|credential|cookie|^(api)?key$/i;

/**
 * Hides secrets by their shape and people by their number: a bearer token, a key of ours, a token of Meta's, the password of an
 * address, a phone of 10 to 15 digits with or without `+` (the last four stay, to tell two lines apart).
 */
function masked(text: string): string {
  return text
    .replace(/\bBearer\s+[\w.~+/=-]+/gi, "Bearer ***")
    .replace(/\bcpk_[\w-]+/g, "cpk_***")
    .replace(/\bEAA[A-Za-z0-9]{20,}/g, "EAA***")
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/[^\s:/@]*):[^\s@/]+@/gi, "$1:***@")
    .replace(/(?<![\w.-])\+?[1-9]\d{5,10}(\d{4})(?![\w.-])/g, "***$1");
}

type Line = Readonly<Record<string, unknown>>;

/** A finished line, every string in it masked: the same whether a value came in a field, a sentence or an error's stack. */
const safe = (line: string): Line =>
  JSON.parse(line, (name, value: unknown) => {
    if (value !== null && value !== undefined && secretField.test(name)) return "***";
    return typeof value === "string" ? masked(value) : value;
  });

const colours: Readonly<Record<string, string>> = {
  warn: "\u001b[33m",
  error: "\u001b[31m",
  fatal: "\u001b[31m",
  debug: "\u001b[2m",
  trace: "\u001b[2m",
};

/** `12:00:01 info  Campaign started {"campaignId":"…"}` */
function forPeople({ level, time, msg, ...rest }: Line): string {
  const fields = Object.keys(rest).length === 0 ? "" : ` ${JSON.stringify(rest)}`;
  const colour = colours[String(level)] ?? "";
  return `${colour}${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${String(msg ?? "")}${fields}${colour ? "\u001b[0m" : ""}`;
}

/** The log of this process. A message's text, a request's body and a secret are never handed to it; what slips in is masked. */
export function createLog(level: LogLevel, sink: LogSink = process.stderr): Log {
  return pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    { write: (line: string) => sink.write(`${sink.isTTY === true ? forPeople(safe(line)) : JSON.stringify(safe(line))}\n`) },
  );
}
